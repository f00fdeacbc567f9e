#!/usr/bin/env bash
# docreader beside PyTorch, ONNX Runtime and OpenVINO: the dense part of the full-size Mask R-CNN R50-FPN (see dense.py), two threads each, in
# turns, fastest of five runs and median. docreader's figure is the sum of its stages stem, ResNet, pyramid, upsampling, RPN head and box head, each
# run in a process of its own; docreader-bf16 is MODEL_DTYPE=bf16, whose backbone is f32, docreader-bf16-all is bf16 throughout. Needs a release build,
# and PyPI once: what is missing goes to target/torch, or into the environment of PYTHON=…. ROUNDS=…, RUNS=… and ENGINES="…" take other ones.
# The machine must be idle: other processes slow some engines far more than others.
set -euo pipefail
cd "$(dirname "$0")/../.."
app=${APP:-${CARGO_TARGET_DIR:-target}/release/app}
python=${PYTHON:-target/torch/bin/python}
rounds=${ROUNDS:-3} runs=${RUNS:-5}
# Without AMX docreader multiplies f32 whatever is asked for.
bf16=$(grep -qm1 amx_bf16 /proc/cpuinfo && echo docreader-bf16 docreader-bf16-all torch-bf16 torch-last-bf16 openvino-bf16 || true)
engines=${ENGINES:-docreader torch torch-last onnxruntime openvino $bf16}
[ -x "$python" ] || python3 -m venv target/torch
"$python" -c 'import numpy, onnx, onnxruntime, onnxscript, openvino, PIL, torch' 2>/dev/null ||
  "$python" -m pip install -q numpy pillow torch torchvision onnx onnxscript onnxruntime openvino
model=target/bench/r50 work=target/bench/dense
[ -f $model/model.safetensors ] || "$python" benches/compare/make_model.py $model
image=${IMAGE:-target/bench/page.png}
[ -f "$image" ] || "$python" -c "from PIL import Image
Image.open('tests/fixtures/tiny_mask/page0.png').convert('RGB').resize((918, 1188)).save('$image')"
[ $work/dense.onnx -nt $model/model.safetensors ] && [ $work/dense.onnx -nt benches/compare/dense.py ] ||
  "$python" benches/compare/dense.py $model $work prepare >$work.log 2>&1 || { cat $work.log; exit 1; }
ours() {
  for _ in $(seq "$runs"); do
    RAYON_NUM_THREADS=2 "$app" bench "$image" --model $model --score-threshold 0.05 --runs 1 --model-dtype "$1" |
      awk '/^(stem|ResNet|pyramid|upsampling) / {ms += $2} /^(RPN|box) head / {ms += $3} END {print ms}'
  done | sort -n | awk '{v[NR] = $1} END {printf "%.1f %.1f - - -\n", v[1], v[int((NR + 1) / 2)]}'
}
busy() { vmstat 1 2 | awk 'END {if ($15 < 90) printf " (the machine was %d %% busy before it)", 100 - $15}' || true; }
for round in $(seq "$rounds"); do
  for engine in $engines; do
    noise=$(busy)
    case $engine in
    docreader) line=$(ours f32) ;;
    docreader-*) line=$(ours "${engine#docreader-}") ;;
    *) line=$("$python" benches/compare/dense.py $model $work "$engine" "$runs" 2>>$work.log) ;;
    esac
    echo "$round $engine $line$noise"
  done
done | tee $work.txt >&2
# docreader's median over that of the other in the same round (f32's over f32's, bf16-all's over bf16's): below 1, docreader is faster.
awk '{best[$1, $2] = $3; median[$1, $2] = $4; away[$2] = $5 " | " $6 " | " $7; if (!($2 in known)) {known[$2]; names[++n] = $2} rounds = $1}
  END {
    printf "| engine |"; for (r = 1; r <= rounds; r++) printf " best (median) ms |"; print " docreader / it | pyramid off by | RPN | box head |"
    printf "|---|"; for (r = 1; r <= rounds; r++) printf "---|"; print "---|---|---|---|"
    for (i = 1; i <= n; i++) {
      printf "| %s |", names[i]; ratios = ""
      for (r = 1; r <= rounds; r++) {
        printf " %.0f (%.0f) |", best[r, names[i]], median[r, names[i]]
        ours = names[i] ~ /bf16$/ ? "docreader-bf16-all" : "docreader"
        ratios = ratios (r > 1 ? ", " : "") sprintf("%.2f", median[r, ours] / median[r, names[i]])
      }
      print " " ratios " | " away[names[i]] " |"
    }
  }' $work.txt
