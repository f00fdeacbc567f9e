#!/usr/bin/env bash
# Puts what gpu/check.sh needs into .gpu: gpu/prepare.sh [--no-build]
# The program with the feature cuda, stripped and compressed; the fixtures' models, pages and answers. FAMILY=… names a folder
# with more fixtures of the same form.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  "") cargo build --release --locked --features cuda --bin app ;;
  --no-build) ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
exclude=$(git rev-parse --git-path info/exclude)
grep -qx '/.gpu/' "$exclude" || echo '/.gpu/' >>"$exclude"
mkdir -p .gpu
git describe --always --dirty --abbrev=12 >.gpu/commit
app=${CARGO_TARGET_DIR:-target}/release/app
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$app" ]; then
  strip -o "$work/app" "$app"
  xz -T0 -c "$work/app" >"$work/app.xz"
  mv "$work/app.xz" .gpu/app.xz
else
  echo "$app is missing: .gpu/app.xz stays as it is" >&2
fi
family=${FAMILY:-../shared/detectron2/family}
rm -rf .gpu/fixtures
for source in tests/fixtures/tiny_mask tests/fixtures/tiny_faster "$family"/{r101_fpn,x101_fpn,gn,avg_fuse,cls_agnostic}; do
  [ -d "$source" ] || { echo "without $source" >&2; continue; }
  to=.gpu/fixtures/$(basename "$source")
  mkdir -p "$to"
  for file in "$source"/{config.yaml,model_final.pth,model.safetensors,page[0-9].png,page[0-9].json}; do
    [ ! -f "$file" ] || install -m 644 "$file" "$to"
  done
done
echo "in .gpu:"
du -ch .gpu/app.xz .gpu/fixtures .gpu/commit
echo "beside it travel $(git ls-files -coz --exclude-standard | du -ch --files0-from=- 2>/dev/null | tail -1 | cut -f1) of this tree"
echo "next: gpu/aside.sh out; there, with .gpu/app.xz, .gpu/fixtures and .gpu/commit: gpu/check.sh --seconds 420 --out DIR; then gpu/aside.sh back"
