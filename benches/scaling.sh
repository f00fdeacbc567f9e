#!/usr/bin/env bash
# How the model's time grows with pixels and falls with threads: a page at five input sizes, on one thread and two, in turns. Needs a release build
# and the model that benches/compare/run.sh makes. Prints a table; with PYTHON=… (one that has matplotlib) draws docs/scaling.svg.
set -euo pipefail
cd "$(dirname "$0")/.."
app=${CARGO_TARGET_DIR:-target}/release/app
model=target/bench/r50
sizes=${SIZES:-"400 560 720 880 1040"}
table=target/bench/scaling.txt
printf '%-8s %10s %12s %12s %8s\n' side Mpixels "1 thread ms" "2 threads ms" ratio | tee $table
for side in $sizes; do
  folder=target/bench/side-$side
  mkdir -p "$folder"
  ln -sf ../r50/model.safetensors "$folder/model.safetensors"
  sed "s/MIN_SIZE_TEST: [0-9]*/MIN_SIZE_TEST: $side/; s/MAX_SIZE_TEST: [0-9]*/MAX_SIZE_TEST: 4000/" $model/config.yaml >"$folder/config.yaml"
  time_of() {
    RAYON_NUM_THREADS=$1 "$app" bench target/bench/page.png --model "$folder" --score-threshold 0.05 --runs 5 |
      sed -n 's/.*fastest run \([0-9.]*\) ms.*/\1/p'
  }
  best=(1e9 1e9)
  for _ in 1 2; do
    for threads in 1 2; do
      best[threads - 1]=$(printf '%s\n%s\n' "${best[threads - 1]}" "$(time_of $threads)" | sort -g | head -1)
    done
  done
  # 918 × 1188 px, resized.
  awk -v s="$side" -v a="${best[0]}" -v b="${best[1]}" \
    'BEGIN {printf "%-8d %10.3f %12.0f %12.0f %8.2f\n", s, s * s * 1188 / 918 / 1e6, a, b, a / b}' | tee -a $table
done
[ -z "${PYTHON:-}" ] || "$PYTHON" - $table <<'PY'
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

rows = [[float(v) for v in line.split()] for line in open(sys.argv[1]).readlines()[1:]]
figure, axes = pyplot.subplots(figsize=(6, 3.6))
for column, label in ((2, "1 thread"), (3, "2 threads")):
    axes.plot([row[1] for row in rows], [row[column] for row in rows], "o-", label=label)
axes.set(xlabel="megapixels of the network's input", ylabel="ms a page", xlim=0, ylim=0, title="Mask R-CNN R50-FPN")
axes.legend()
axes.grid(alpha=0.3)
figure.tight_layout()
figure.savefig("docs/scaling.svg")
PY
