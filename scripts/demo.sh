#!/usr/bin/env bash
# Uploads a PDF to `app up`, waits until it is processed, and shows what is in the database and in the bucket.
set -euo pipefail
cd "$(dirname "$0")/.."
pdf=${1:?usage: scripts/demo.sh FILE.pdf}
[ -f "$pdf" ] || { echo "$pdf is not a file" >&2; exit 1; }
app=${CARGO_TARGET_DIR:-target}/release/app
data=$PWD/data/demo
log=$data/up.log
mkdir -p "$data"

# The usual port if nobody has it, so that the link below still fits another time.
port=8000
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then port=0; fi
# The password of a new account stays out of the log; a link comes at the end.
DATA_DIR=$data PORT=$port S3_PORT=0 $app up 2>"$log" >/dev/null &
up=$!
stop() {
  kill "$up" 2>/dev/null || true
  wait "$up" 2>/dev/null || true
}
trap stop EXIT
fail() {
  echo "demo: $1; the log is $log:" >&2
  tail -n 20 "$log" >&2
  exit 1
}

echo "starting app up (PostgreSQL, S3, server, worker) in $data"
for _ in $(seq 300); do
  api=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$log")
  [ -n "$api" ] && break
  kill -0 "$up" 2>/dev/null || fail "app up has ended"
  sleep 0.2
done
[ -n "$api" ] || fail "no server after 60 s"
database=$(sed -n 's/.*database: \(postgres[^ ]*\).*/\1/p' "$log" | head -1)
sql() { psql -X -q -v ON_ERROR_STOP=1 "$database" "$@"; }

echo "uploading $pdf"
answer=$(curl -sS -w '\n%{http_code}' -F "title=$(basename "$pdf")" -F "file=@$pdf" "$api")
[ "${answer##*$'\n'}" = 201 ] || fail "the upload was answered with $answer"
echo "  POST $api → ${answer%$'\n'*}"
id=$(sql -At -c 'select max(id) from documents')

for _ in $(seq 3000); do
  IFS='|' read -r status done count error < <(sql -At -c "select status, pages_done, coalesce(page_count, 0), error from documents where id = $id")
  if [ -t 1 ]; then printf '\r  %s: page %s of %s ' "$status" "$done" "$count"; fi
  case $status in
    done) break ;;
    failed) fail "the document failed: $error" ;;
  esac
  kill -0 "$up" 2>/dev/null || fail "app up has ended"
  sleep 0.2
done
[ "$status" = done ] || fail "the document is still $status"
printf '\r  done: %s pages            \n\n' "$count"

sql -c "select p.number as page, d.label, round(d.score::numeric, 2) as score,
               round(d.x0_pt) as x0, round(d.y0_pt) as y0, round(d.x1_pt) as x1, round(d.y1_pt) as y1, d.crop_key
        from detections d join pages p on p.id = d.page_id where p.document_id = $id order by p.number, d.ordinal limit 15"
found=$(sql -At -c "select count(*) from detections d join pages p on p.id = d.page_id where p.document_id = $id")
missing=0
for key in $(sql -At -c "select overlay_key from pages where document_id = $id union all
                         select crop_key from detections d join pages p on p.id = d.page_id where p.document_id = $id and crop_key is not null"); do
  [ -s "$data/s3/docreader/$key" ] || { echo "object $key is missing" >&2; missing=1; }
done
[ "$found" -gt 0 ] || fail "no detections"
[ "$missing" = 0 ] || fail "objects are missing"
echo "$found detections of document $id in table detections; overlay and crops are files below"
echo "  $data/s3/docreader/results/$id/"
echo "Page 1 with its regions:  $data/s3/docreader/$(sql -At -c "select overlay_key from pages where document_id = $id order by number limit 1")"

front=${api%/api/create/}
echo
echo "This link logs in as admin, once, within a day:"
echo "  $(DATABASE_URL=$database $app user link admin --url "$front")"
if [ -t 1 ]; then
  echo "docreader runs at $front/ until Ctrl-C."
  wait "$up"
else
  echo "docreader stops now; to open it: DATA_DIR=$data $app up"
fi
