#!/usr/bin/env bash
# Runs a command with DATABASE_URL set to a throw-away PostgreSQL that holds the whole schema (apalis' and ours), for
# `cargo sqlx prepare`. It does not use the app, which cannot be built while a query is not in .sqlx yet.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "no PostgreSQL in /usr/lib/postgresql; apt-get install postgresql" >&2; exit 1; }
work=$(mktemp -d)
run=()
if [ "$(id -u)" = 0 ]; then
  chown postgres "$work"
  run=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
pg() { (cd "$work" && "${run[@]}" "$@"); }
stop() {
  [ -f "$work/data/postmaster.pid" ] && pg "$bin/pg_ctl" -D "$work/data" -m immediate -s stop || true
  rm -rf "$work"
}
trap stop EXIT
pg "$bin/initdb" -D "$work/data" -U app --auth=trust -E UTF8 --no-sync >/dev/null
pg "$bin/pg_ctl" -D "$work/data" -w -s -l "$work/log" -o "-c listen_addresses= -k $work -c fsync=off" start
export DATABASE_URL="postgres://app@localhost/postgres?host=$work"
apalis=$(cargo metadata --format-version 1 | python3 -c 'import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "apalis-postgres"))')
# In the order of src/queue/schema.rs.
for file in "$apalis"/migrations/*.sql migrations/*.sql src/documents/sql/*.sql src/queue/sql/*.sql; do
  pg psql -q -v ON_ERROR_STOP=1 -h "$work" -U app postgres <"$file" >/dev/null
done
"$@"
