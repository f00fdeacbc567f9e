#!/usr/bin/env bash
# Puts libpdfium.so into lib/ (or the folder given), from the pinned pypdfium2 wheel, with its checksum and licences.
set -euo pipefail
into=${1:-$(dirname "$0")/../lib}
version=5.15.2
case $(uname -m) in
  x86_64) sum=c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9 ;;
  aarch64) sum=4378615ad9710397c96c112611be9018629bbfe38805d91a2663a534b99c28ca ;;
  *) echo "no pinned libpdfium for $(uname -m); install one and set PDFIUM_LIB" >&2; exit 1 ;;
esac
mkdir -p "$into"
check() { echo "$sum  $1" | sha256sum --check --status; }
[ -f "$into/libpdfium.so" ] && check "$into/libpdfium.so" && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$work" "pypdfium2==$version"
python3 -m zipfile -e "$work"/pypdfium2-*.whl "$work/wheel"
check "$work/wheel/pypdfium2_raw/libpdfium.so" || { echo "libpdfium.so of pypdfium2 $version has another checksum than expected" >&2; exit 1; }
rm -rf "$into/pdfium-licenses"
cp -r "$work"/wheel/pypdfium2-*.dist-info/licenses "$into/pdfium-licenses"
install -m 755 "$work/wheel/pypdfium2_raw/libpdfium.so" "$into/libpdfium.so"
echo "libpdfium.so (pypdfium2 $version) is in $into"
