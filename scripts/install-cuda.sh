#!/usr/bin/env bash
# Installs the CUDA compiler and its headers from PyPI's pinned wheels into lib/cuda (or the folder given); needs no GPU and no
# driver. CUDA 13.0, because driver 580 compiles no PTX of a newer toolkit. cuBLAS is only needed where the GPU is.
set -euo pipefail
into=${1:-$(dirname "$0")/../lib/cuda}
wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
  nvidia-cuda-cccl==13.0.85)
stamp="$into/wheels.txt"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "${wheels[*]}" ] && exit 0
command -v c++ >/dev/null || { echo "a C++ compiler is missing: apt-get install g++" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform manylinux_2_28_x86_64 \
  --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_12_x86_64 --platform manylinux2014_x86_64 \
  --platform manylinux2010_x86_64 -d "$work" "${wheels[@]}"
for wheel in "$work"/*.whl; do
  python3 -m zipfile -e "$wheel" "$work/wheels"
done
rm -rf "$into"
mkdir -p "$(dirname "$into")"
cp -r "$work/wheels/nvidia/cu13" "$into"
# zipfile keeps no permissions.
chmod -R u+x "$into/bin" "$into/nvvm/bin"
echo "${wheels[*]}" > "$stamp"
"$into/bin/nvcc" --version | tail -2 | head -1
echo "the CUDA compiler is in $into"
