#!/usr/bin/env bash
# A database with a million documents: what each answer and each command costs, by time, by pages of the database read (buffers), and by plan.
# DOCUMENTS=100000 makes it smaller, KEEP=1 keeps the database for the next time. Needs wrk (apt-get install wrk), PostgreSQL, a release build
# and 12 GB of disk. The client, the server and PostgreSQL share this machine's cores.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || { echo "apt-get install wrk" >&2; exit 1; }
app=$PWD/${CARGO_TARGET_DIR:-target}/release/app documents=${DOCUMENTS:-1000001}
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
work=$PWD/${CARGO_TARGET_DIR:-target}/million
run=()
if [ "$(id -u)" = 0 ]; then run=(setpriv --reuid=postgres --regid=postgres --clear-groups); fi
pg() { (cd / && "${run[@]}" "$@"); }
mkdir -p "$work/pg" && if [ "$(id -u)" = 0 ]; then chown postgres "$work/pg"; fi
up=
end() {
  [ -z "$up" ] || { kill "$up" && wait "$up"; } 2>/dev/null || true
  pg "$bin/pg_ctl" -D "$work/pg/data" -m fast -s stop || true
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap end EXIT
settings="-c listen_addresses= -k $work/pg -c fsync=off -c shared_buffers=1GB -c max_wal_size=4GB -c shared_preload_libraries=auto_explain,pg_stat_statements -c pg_stat_statements.track_planning=on"
[ -d "$work/pg/data" ] || pg "$bin/initdb" -D "$work/pg/data" -U app --auth=trust -E UTF8 --no-sync >/dev/null
pg "$bin/pg_ctl" -D "$work/pg/data" -w -s -l "$work/pg/log" -o "$settings" start
export DATABASE_URL="postgres://app@localhost/postgres?host=$work/pg"
"$app" migrate
sql() { psql -q -X -h "$work/pg" -U app postgres -v ON_ERROR_STOP=1 "$@"; }
if [ "$(sql -Atc 'select count(*) from (select 1 from documents limit 1) d')" = 0 ]; then
  echo "filling the database with $documents documents"
  started=$SECONDS
  sql -v n="$documents" -f benches/million.sql
  echo "  $((SECONDS - started)) s"
fi
sql -Atc "select count(*) || ' documents' from documents" \
  -c "select reltuples::bigint || ' ' || relname from pg_class where relname in ('detections', 'document_events', 'jobs') and relkind = 'r'" \
  -c "select pg_size_pretty(pg_database_size('postgres'))" | paste -sd, | sed 's/,/, /g'

export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_STORAGE_BUCKET_NAME=bucket AWS_S3_ENDPOINT_URL=http://127.0.0.1:9
export HOST=127.0.0.1 PORT=0 API_AUTH=off
"$app" serve >"$work/serve.log" 2>&1 &
up=$!
until url=$(sed -n 's/.*listening on \(http[^ ]*\)\/api.*/\1/p' "$work/serve.log"); [ -n "$url" ]; do sleep 0.1; done
python3 benches/million.py "$url" "$app" "$work/pg" "$work/plans.txt"

echo "500 keep-alive readers of /api/v1/documents, 10 s:"
wrk -t1 -c500 -d10s --latency "$url/api/v1/documents" | grep -E 'Requests/sec|99%|Non-2xx|Socket errors' || true
echo "  one reader of 1 document: $(wrk -t1 -c1 -d3s "$url/api/v1/documents/1" | awk '/Requests\/sec/ {print $2}')/s"
memory() { awk -v k="$1" '$1 == k {printf "%.1f MB", $2 / 1024}' "/proc/$up/status"; }
echo "app serve: $(memory VmRSS:) resident, at most $(memory VmHWM:)"
echo "GET /api/create/, all of it:"
curl -s -o "$work/all.json" -w '  %{http_code}, %{size_download} bytes, %{time_total} s\n' "$url/api/create/"
echo "app serve: $(memory VmRSS:) resident, at most $(memory VmHWM:)"
