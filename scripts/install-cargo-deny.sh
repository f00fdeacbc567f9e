#!/usr/bin/env bash
# What checks the dependencies' licenses and sources.
set -euo pipefail
cargo deny --version 2>/dev/null | grep -q ' 0\.20\.2$' && exit 0
cargo install --quiet cargo-deny@0.20.2 --locked --no-default-features
