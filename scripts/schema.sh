#!/usr/bin/env bash
# Writes docs/schema.sql from a migrated database; with --check, fails where it differs.
set -euo pipefail
cd "$(dirname "$0")/.."
file=docs/schema.sql
made=$(mktemp)
trap 'rm -f "$made"' EXIT
scripts/with-postgres.sh sh -c 'psql -Xq "$DATABASE_URL" -f scripts/schema.sql' >"$made"
if [ "${1:-}" = --check ]; then
  diff -u "$file" "$made" || { echo "$file is not what the migrations make; run make schema" >&2; exit 1; }
else
  cp "$made" "$file"
fi
