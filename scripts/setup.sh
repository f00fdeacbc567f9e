#!/usr/bin/env bash
# Installs what building, tests and the demo need beyond Rust: a C compiler, PostgreSQL, curl, ip, pip (to fetch the pinned
# libpdfium) and venv (for schemathesis). `setup.sh browser` adds Chromium and its WebDriver, which tests and screenshots drive.
# Asks Debian's apt only for what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
need=()
command -v cc >/dev/null || need+=(gcc libc6-dev)
command -v curl >/dev/null || need+=(curl)
command -v psql >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need+=(postgresql)
python3 -m pip --version >/dev/null 2>&1 || need+=(python3 python3-pip)
command -v ip >/dev/null || need+=(iproute2)
python3 -c 'import ensurepip' 2>/dev/null || need+=(python3-venv)
if [ "${1:-}" = browser ]; then
  command -v chromium >/dev/null && command -v chromedriver >/dev/null || need+=(chromium chromium-driver)
fi
if [ ${#need[@]} -gt 0 ]; then
  echo "installing ${need[*]}"
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi
scripts/install-pdfium.sh
