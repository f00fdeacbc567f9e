#!/usr/bin/env bash
# Moves large tracked folders that gpu/check.sh does not read out of the tree, and back: gpu/aside.sh out|back
# They go to a folder beside the repository (ASIDE=…) by renaming alone: nothing is copied or overwritten.
# Both can be repeated at any time; back restores what there is.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
aside=${ASIDE:-$(dirname "$root")/$(basename "$root").aside}
paths=(models tests/fixtures samples docs/overlay.png)

move() { # from to path
  if [ ! -e "$1/$3" ]; then return 0; fi
  if [ -e "$2/$3" ]; then
    echo "$3 is both in $1 and in $2: left alone; keep one" >&2
    return 1
  fi
  mkdir -p "$(dirname "$2/$3")"
  mv -nT "$1/$3" "$2/$3"
}

case ${1:-} in
  out) from=$root to=$aside ;;
  back) from=$aside to=$root ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
[ -d "$aside" ] || [ "$1" = out ] || { echo "nothing is aside"; exit 0; }
mkdir -p "$aside"
if [ "$(stat -c %d "$root")" != "$(stat -c %d "$aside")" ]; then
  echo "$aside is on another file system: a move could break off half-way" >&2
  exit 1
fi
failed=0
for path in "${paths[@]}"; do
  move "$from" "$to" "$path" || failed=1
done
if [ "$1" = back ]; then
  find "$aside" -depth -type d -empty -delete
  for path in "${paths[@]}"; do
    [ -e "$root/$path" ] || { echo "$path is not there: git checkout -- $path" >&2; failed=1; }
  done
  git status --short -- "${paths[@]}"
else
  du -sh "$aside" | sed 's/\t/ aside in /'
fi
exit $failed
