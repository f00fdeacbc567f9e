#!/usr/bin/env bash
# The sqlx command line, in the version of the library.
set -euo pipefail
cargo sqlx --version 2>/dev/null | grep -q ' 0\.9\.0$' && exit 0
cargo install --quiet sqlx-cli@0.9.0 --locked --no-default-features --features postgres,rustls
