#!/usr/bin/env bash
# One PDF through one worker with the full-size model (target/bench/r50, of benches/compare/run.sh): how much of the time the model works, and the
# worker's memory. Another file or model: benches/document.sh FILE FOLDER. Needs a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-tests/fixtures/bytefield.pdf}
MODEL_PATH=$(realpath "${2:-target/bench/r50}")
export MODEL_PATH SCORE_THRESHOLD=${SCORE_THRESHOLD:-0.05} CROP_MIN_SCORE=${CROP_MIN_SCORE:-0.05}
worker= up= data=
trap 'kill $worker $up 2>/dev/null; wait 2>/dev/null || true; rm -rf "$data"' EXIT
. benches/up.sh
"$app" work >"$data/worker.log" 2>&1 &
worker=$!
until [ "$(sql "select count(*) from worker_processes where ended_at is null")" = 1 ]; do sleep 0.1; done
for round in 1 2 3; do
  curl -sf -o /dev/null -F "title=$round" -F "file=@$file" "$api"
  until [ "$(sql "select count(*) from documents where title = '$round' and status in ('done', 'failed')")" = 1 ]; do sleep 0.2; done
  sql "select 'round $round: ' || count(*) || ' pages, ' || sum(p.detections) || ' regions in ' ||
      round(extract(epoch from max(d.finished_at) - max(d.started_at))::numeric, 1) || ' s, of which the model ' ||
      round(100 * sum(p.detect_ms) / (1000 * extract(epoch from max(d.finished_at) - max(d.started_at))), 1) || ' %, ' ||
      round(avg(p.detect_ms)) || ' ms a page; rendering, meanwhile, ' || round(avg(p.render_ms)) || ' ms a page'
    from documents d join (select pages.*, (select count(*) from detections where detections.page_id = pages.id) as detections from pages) p
      on p.document_id = d.id where d.title = '$round'"
  echo "  the worker: $(awk '/VmHWM/ {hwm = $2} /VmRSS/ {rss = $2} END {printf "%d MB resident, %d MB at most", rss / 1024, hwm / 1024}' /proc/$worker/status)"
done
