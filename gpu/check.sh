#!/usr/bin/env bash
# Fidelity and speed on a GPU: gpu/check.sh [--dry-run] [--seconds N] [--out DIR]
# Needs what gpu/prepare.sh put into .gpu, and a Python with PyTorch and torchvision (PYTHON=…) for the peer.
# Leaves gpu.json and check.log in DIR (.gpu/out). --dry-run: the same steps on the CPU, small. APP=… takes another program.
set -euo pipefail
cd "$(dirname "$0")/.."
device=cuda dtypes=f32,f16,f16-all,bf16,bf16-all jobs=8 seconds=420 out=.gpu/out dry=()
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) device=cpu dtypes=f32 jobs=2 seconds=130 dry=(--dry-run); shift ;;
    --seconds) seconds=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
cores=$(nproc)
deadline=$(($(date +%s) + seconds))
mkdir -p "$out"
json=$(realpath "$out")/gpu.json
rm -f "$json"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As many threads as a worker takes by itself; PyTorch's on a CPU that others use would wait for each other.
unset RAYON_NUM_THREADS OMP_NUM_THREADS
[ $device = cuda ] || export OMP_NUM_THREADS=1
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

find_python() {
  local found
  for found in "${PYTHON:-}" python3 target/torch/bin/python; do
    [ -n "$found" ] && "$found" -c 'import importlib.util as u, sys
sys.exit(not all(map(u.find_spec, ("numpy", "torch", "torchvision", "PIL"))))' 2>/dev/null && break
    found=
  done
  python=${found:-${PYTHON:-python3}}
  [ -n "$found" ] || echo "no Python with PyTorch and torchvision (PYTHON=…): no peer, no full-size model"
}

unpack_app() {
  if [ -n "${APP:-}" ]; then
    cp "$APP" "$work/docreader"
  elif [ -f .gpu/app.xz ]; then
    xz -dc .gpu/app.xz >"$work/docreader" 2>/dev/null || "$python" -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' .gpu/app.xz "$work/docreader"
  else
    cp target/release/app "$work/docreader"
  fi
  # PyTorch's wheels bring cuBLAS; the program looks for it where the loader does.
  local libraries
  libraries=$("$python" -c 'import glob, sys
print(*dict.fromkeys(d for root in sys.path if root for d in sorted(glob.glob(root + "/nvidia/*/lib"))), sep=":")' || true)
  case $libraries in
    *nvidia*) ;;
    *) libraries=/usr/local/cuda/lib64 ;;
  esac
  echo "libraries: $libraries"
  app=$work/app
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec %s "$@"\n' "$libraries" "$work/docreader" >"$app"
  chmod +x "$app" "$work/docreader"
}

note() { # name value
  PYTHONPATH=gpu "$python" -c 'import sys, results
results.update(sys.argv[1], **{sys.argv[2]: sys.argv[3]})' "$json" "$1" "$2"
}

fixtures() {
  if [ -d .gpu/fixtures ]; then echo .gpu/fixtures; else echo tests/fixtures; fi
}

# One page, alone: the driver compiles the kernels, and what is missing shows.
probe() {
  local from status=0 started=$SECONDS
  from=$(fixtures)/tiny_mask
  echo "== first page"
  timeout 60 "$app" model info "$from" | head -5 || true
  timeout 90 "$app" detect "$from/page0.png" --model "$from" --json --device "$device" --score-threshold 0.3 \
    >"$work/first.json" 2>"$work/first.err" || status=$?
  tail -20 "$work/first.err"
  note first_page "exit status $status, $((SECONDS - started)) s; $(tail -c 2000 "$work/first.err")"
  [ "$status" = 0 ] || echo "the first page failed: exit status $status; going on for the other figures"
}

# The page and the weights of benches/compare, for the speed.
full_size() {
  "$python" benches/compare/make_model.py "$work/r50" && "$python" -c 'import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").resize((918, 1188)).save(sys.argv[2])' "$(fixtures)/tiny_mask/page0.png" "$work/page.png"
  # Read once, so that the peer starts sooner.
  "$python" -c 'import torch, torchvision' || true
}

check() {
  local failed=0 share background model=$work/r50
  find_python
  echo "commit $(cat .gpu/commit 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown), $cores cores, $seconds s, $device"
  note date "$(date -u +%F)"
  note commit "$(cat .gpu/commit 2>/dev/null || echo unknown)"
  note host "$cores cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $("$python" --version)"
  local gpu="no GPU: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)"
  [ "$device" = cpu ] || gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2>&1 | head -1) || true
  echo "$gpu"
  note gpu "$gpu"
  unpack_app
  full_size >"$work/full_size.log" 2>&1 &
  background=$!
  probe
  echo "== fidelity"
  share=$(($(date +%s) + seconds / 4))
  "$python" gpu/fidelity.py --app "$app" --fixtures "$work/fixtures" --json "$json" --device "$device" --dtypes "$dtypes" \
    --jobs "$jobs" --deadline "$share" || failed=1
  wait "$background" || { echo "no full-size model"; tail -5 "$work/full_size.log"; }
  echo "== speed"
  [ -f "$work/page.png" ] || cp "$(fixtures)/tiny_mask/page0.png" "$work/page.png"
  [ "$device" = cuda ] || model=$(fixtures)/tiny_mask
  "$python" gpu/speed.py --app "$app" --model "$model" --weights "$work/r50" --image "$work/page.png" --json "$json" \
    --device "$device" --deadline "$deadline" "${dry[@]}" || failed=1
  [ "$device" = cpu ] || nvidia-smi --query-gpu=clocks.sm,temperature.gpu,power.draw --format=csv,noheader || true
  echo "== $json"
  "$python" gpu/table.py "$json" || failed=1
  return $failed
}

# Only what has answers; a link, because tests/fixtures holds more.
mkdir "$work/fixtures"
for name in tiny_mask tiny_faster r101_fpn x101_fpn gn avg_fuse cls_agnostic; do
  if [ -d "$(fixtures)/$name" ]; then ln -s "$(realpath "$(fixtures)/$name")" "$work/fixtures/$name"; fi
done
check 2>&1 | tee "$out/check.log"
