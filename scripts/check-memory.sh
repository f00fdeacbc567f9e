#!/usr/bin/env bash
# The kernels' tests under AddressSanitizer: reads and writes beside what their unsafe code may touch. What AMX's assembler touches is not seen.
# Stable Rust has the sanitizer behind RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/kernels-crate.sh target/asan
cd target/asan
WITHOUT_ARENA=1 RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
  cargo test --quiet --target x86_64-unknown-linux-gnu --target-dir target --lib --test kernels
