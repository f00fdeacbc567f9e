#!/usr/bin/env bash
# Asks a running server whatever its OpenAPI description allows and forbids (schemathesis), and fails at any 5xx, any answer that is
# not as described, any bad request that is let through. Needs PyPI once. MAX_EXAMPLES asks for more.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/schemathesis
[ -x "$venv/bin/schemathesis" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check schemathesis==4.32.5; }
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
"$venv/bin/schemathesis" --config-file scripts/schemathesis.toml run "$url/api/v1/openapi.json" \
  --max-examples "${MAX_EXAMPLES:-10}" --seed 1 --request-timeout 35 --no-color || { grep -v " INFO " "$data/log" | tail -20; exit 1; }
if grep -E "panicked|ERROR" "$data/log"; then exit 1; fi
