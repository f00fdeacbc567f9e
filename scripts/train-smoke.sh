#!/usr/bin/env bash
# training/gpu/run --smoke with a Python that has PyTorch: PYTHON, python3, or target/torch, which is made where the others have none.
set -euo pipefail
cd "$(dirname "$0")/.."
needed='import matplotlib, numpy, PIL, pycocotools, safetensors, torch, torchvision, tqdm, yaml'
for python in "${PYTHON:-}" python3 target/torch/bin/python; do
  [ -n "$python" ] && "$python" -c "$needed" 2>/dev/null && break
  python=
done
if [ -z "$python" ]; then
  echo "installing PyTorch and what else training needs into target/torch"
  python3 -m venv target/torch
  python=target/torch/bin/python
  "$python" -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
fi
exec "$python" training/gpu/run --smoke
