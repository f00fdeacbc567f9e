#!/usr/bin/env bash
# The REST API under load: lists of 25 documents, then uploads. Needs wrk and curl (apt-get install wrk curl) and a release build.
# Everything runs on this machine and shares its cores: the server, PostgreSQL, S3 and the client.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || { echo "apt-get install wrk" >&2; exit 1; }
data=$(mktemp -d)
DATA_DIR=$data PORT=0 S3_PORT=0 "${CARGO_TARGET_DIR:-target}/release/app" up --workers 0 >"$data/log" 2>&1 &
up=$!
trap 'kill $up; wait $up || true; rm -rf "$data"' EXIT
until api=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$data/log"); [ -n "$api" ]; do sleep 0.1; done
server=$(pgrep -P "$up" -f 'app serve')
memory() { awk '/VmHWM/ {printf "%.1f MB peak RSS of app serve\n", $2 / 1024}' "/proc/$server/status"; }
pdf=samples/amt_handbook_sample.pdf
for i in $(seq 25); do curl -sf -o /dev/null -F "title=Document $i" -F "file=@$pdf" "$api"; done
echo "GET $api, 25 documents, 16 connections, 3 × 5 s:"
for _ in 1 2 3; do wrk -t1 -c16 -d5s "$api" | grep -E 'Requests/sec|Non-2xx' ; done
memory
echo "POST of $(stat -c %s "$pdf") bytes, one after the other, 100 times:"
start=$(date +%s%N)
for i in $(seq 100); do curl -sf -o /dev/null -F "title=Upload $i" -F "file=@$pdf" "$api"; done
echo "$(( ($(date +%s%N) - start) / 100000000 )) ms an upload, curl's start included"
memory
