#!/usr/bin/env bash
# Asks a running server whatever its OpenAPI description allows and forbids (schemathesis), and fails at any 5xx, any answer that is
# not as described, any bad request that is let through. Before that, its exports are read by the tools that they are for.
# Needs PyPI once. MAX_EXAMPLES asks for more.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/schemathesis
if [ ! -e "$venv/page.xsd" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check schemathesis==4.32.5 pycocotools==2.0.11 lxml==6.1.3
  # Only for the schema of PAGE-XML that it carries.
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$venv" ocrd==3.13.3
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("ocrd_validators/page.xsd"))' \
    "$venv"/ocrd-*.whl >"$venv/page.xsd.part"
  mv "$venv/page.xsd.part" "$venv/page.xsd"
fi
app=${CARGO_TARGET_DIR:-target}/debug/app
cargo build --quiet
data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
s3_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$app" up --data-dir "$data" --port "$port" --s3-port "$s3_port" >"$data/log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || true; rm -rf "$data"' EXIT
url=http://127.0.0.1:$port
for _ in $(seq 200); do
  if curl -sf -o /dev/null "$url/readyz"; then break; fi
  kill -0 $pid || { cat "$data/log"; exit 1; }
  sleep 0.1
done
# So that there is something to read.
for title in one two; do
  id=$(curl -sf -F title=$title -F file=@samples/amt_handbook_sample.pdf "$url/api/v1/documents" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
  curl -sf -o /dev/null "$url/api/v1/documents/$id?wait=25"
done
"$venv/bin/python" scripts/check-exports.py "$url/api/v1/documents/1" "$venv"
"$venv/bin/schemathesis" --config-file scripts/schemathesis.toml run "$url/api/v1/openapi.json" \
  --max-examples "${MAX_EXAMPLES:-10}" --seed 1 --request-timeout 35 --no-color || { grep -v " INFO " "$data/log" | tail -20; exit 1; }
if grep -E "panicked|ERROR" "$data/log"; then exit 1; fi
