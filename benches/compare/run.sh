#!/usr/bin/env bash
# docreader beside PyTorch: the same full-size Mask R-CNN R50-FPN weights, the same image, two threads each, in turns. Needs a release build, and
# PyPI once: torch and torchvision go to target/torch (or name a Python that has them: PYTHON=…). IMAGE=… takes another page.
set -euo pipefail
cd "$(dirname "$0")/../.."
app=${CARGO_TARGET_DIR:-target}/release/app
python=${PYTHON:-target/torch/bin/python}
[ -x "$python" ] || { python3 -m venv target/torch && target/torch/bin/pip install -q torch torchvision numpy pillow; }
model=target/bench/r50
[ -f $model/model.safetensors ] || "$python" benches/compare/make_model.py $model
image=${IMAGE:-target/bench/page.png}
[ -f "$image" ] || "$python" -c "from PIL import Image
Image.open('tests/fixtures/tiny_mask/page0.png').convert('RGB').resize((918, 1188)).save('$image')"
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
for round in 1 2 3; do
  theirs=$("$python" benches/compare/peer.py $model "$image" 5 2>/dev/null)
  for memory in fast low; do
    ours=$("$app" bench "$image" --model $model --score-threshold 0.05 --runs 5 --model-memory $memory)
    awk -v a="$(awk '/^whole page/ {print $3}' <<<"$ours")" -v b="$(head -5 <<<"$theirs" | median)" -v memory=$memory \
      -v rss="$(sed -n 's/.*s; \([0-9]*\) MB resident.*/\1/p' <<<"$ours")" \
      -v rss2="$(tail -1 <<<"$theirs" | sed 's/.*peak_mb": \([0-9]*\).*/\1/')" \
      'BEGIN {printf "docreader (%s) %.0f ms, %d MB   PyTorch %.0f ms, %d MB   ratio %.2f, %.2f\n", memory, a, rss, b, rss2, a / b, rss / rss2}'
  done
done
"$app" detect "$image" --model $model --score-threshold 0.05 --json >target/bench/ours.json
tail -1 <<<"$theirs" >target/bench/theirs.json
"$python" - <<'PY'
import json
ours = json.load(open("target/bench/ours.json"))["pages"][0]["detections"]
theirs = json.load(open("target/bench/theirs.json"))
def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
matched = sum(any(o["class_id"] == c and overlap(o["box_px"], b) > 0.9 for b, c in zip(theirs["boxes"], theirs["classes"])) for o in ours)
print(f"regions: {len(ours)} and {len(theirs['boxes'])}, of which {matched} have the same class and overlap by 0.9 or more")
PY
