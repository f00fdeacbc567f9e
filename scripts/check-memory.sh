#!/usr/bin/env bash
# The kernels' tests under AddressSanitizer: reads and writes beside what their unsafe code may touch. What AMX's assembler touches is not seen. A
# crate of the kernels alone, in target/asan, since the sanitizer wants everything built anew. Stable Rust has the sanitizer behind RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
crate=target/asan
version() { sed -n "s/^$1 = .*\"\([0-9.]*\)\".*/\1/p" Cargo.toml | head -1; }
mkdir -p $crate/src
cat >$crate/Cargo.toml <<TOML
[package]
name = "docreader"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
candle-core = { version = "$(version candle-core)", default-features = false }
libc = "$(version libc)"
rayon = "$(version rayon)"
[[test]]
name = "kernels"
path = "$root/tests/kernels/main.rs"
[profile.dev]
opt-level = 1
[profile.dev.package."*"]
opt-level = 1
TOML
echo "#[path = \"$root/src/kernels/mod.rs\"] pub mod kernels;" >$crate/src/lib.rs
cp Cargo.lock $crate/
cd $crate
WITHOUT_ARENA=1 RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
  cargo test --quiet --target x86_64-unknown-linux-gnu --target-dir target --test kernels
