#!/usr/bin/env bash
# Writes a crate of the kernels and their tests alone into a folder, for what everything has to be built anew for: kernels-crate.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
crate=$1
version() { sed -n "s/^$1 = .*\"\([0-9.]*\)\".*/\1/p" Cargo.toml | head -1; }
mkdir -p "$crate/src"
cat >"$crate/Cargo.toml" <<TOML
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
echo "#[path = \"$root/src/kernels/mod.rs\"] pub mod kernels;" >"$crate/src/lib.rs"
cp Cargo.lock "$crate/"
