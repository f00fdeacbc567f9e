#!/usr/bin/env bash
# The REST API under load beside its peer: Django REST framework behind gunicorn with two workers, on the same PostgreSQL, asked in
# turns. Needs wrk and curl (apt-get install wrk curl), a release build, and PyPI once. Everything shares this machine's cores: the
# servers, PostgreSQL, S3 and the client.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || { echo "apt-get install wrk" >&2; exit 1; }
venv=target/django
[ -x "$venv/bin/gunicorn" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check \
  django==5.2.19 djangorestframework==3.18.3 gunicorn==27.0.1 'psycopg[binary]==3.3.9'; }
data=$(mktemp -d)
DATA_DIR=$data PORT=0 S3_PORT=0 "${CARGO_TARGET_DIR:-target}/release/app" up --workers 0 >"$data/log" 2>&1 &
up=$!
peer=
trap 'kill $up $peer 2>/dev/null; wait $up $peer 2>/dev/null || true; rm -rf "$data"' EXIT
until api=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$data/log"); [ -n "$api" ]; do sleep 0.1; done
server=$(pgrep -P "$up" -f 'app serve')
memory() { for pid in "$@"; do cat "/proc/$pid/status"; done | awk '/VmRSS/ {sum += $2} END {printf "%.1f MB", sum / 1024}'; }
peak() { awk '/VmHWM/ {printf "%.1f MB", $2 / 1024}' "/proc/$server/status"; }
pdf=samples/amt_handbook_sample.pdf
for i in $(seq 25); do curl -sf -o /dev/null -F "title=Document $i" -F "file=@$pdf" "$api"; done

export DATABASE_HOST=$data/pg/run PYTHONPATH=benches
"$venv/bin/python" benches/django_peer.py
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$venv/bin/gunicorn" -w 2 -b "127.0.0.1:$port" --log-level warning django_peer:application &
peer=$!
until curl -sf -o /dev/null "http://127.0.0.1:$port/api/create/"; do sleep 0.1; done

rate() { wrk -t1 -c16 -d5s "$1" | awk '/Non-2xx/ {print "answers that are no success" > "/dev/stderr"; exit 1} /Requests\/sec/ {print $2}'; }
echo "GET /api/create/, 25 documents, 16 connections, 5 s each:"
for _ in 1 2 3; do
  ours=$(rate "$api")
  theirs=$(rate "http://127.0.0.1:$port/api/create/")
  awk -v a="$ours" -v b="$theirs" 'BEGIN {printf "  docreader %8.0f/s   Django %6.0f/s   ratio %.1f\n", a, b, a / b}'
done
echo "  resident: docreader $(memory "$server"), gunicorn and its workers $(memory "$peer" $(pgrep -P "$peer"))"

echo "POST of $(stat -c %s "$pdf") bytes, one after the other, 100 times:"
start=$(date +%s%N)
for i in $(seq 100); do curl -sf -o /dev/null -F "title=Upload $i" -F "file=@$pdf" "$api"; done
echo "  $(( ($(date +%s%N) - start) / 100000000 )) ms an upload, curl's start included"
echo "POST of 6 MiB, 200 at once:"
head -c 6291456 /dev/zero >"$data/large"
start=$(date +%s%N)
for i in $(seq 200); do echo "-F title=$i -F file=@$data/large;filename=large.pdf $api"; done |
  xargs -P 200 -L 1 curl -s -o /dev/null -w '%{http_code}\n' | sort | uniq -c | sed 's/^ */  answers: /'
echo "  $(( ($(date +%s%N) - start) / 1000000 )) ms in all; peak of app serve: $(peak)"
