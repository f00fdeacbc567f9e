# make demo: from nothing to detections of a real PDF. make test: all tests of the program (training/ has its own). Both install what is missing (Debian).
PDF ?= samples/amt_handbook_sample.pdf
SKIPPED = $(or $(CARGO_TARGET_DIR),target)/tmp/skipped.txt

.PHONY: demo test setup browser screenshots lint settings sqlx schema cuda check-canaries check-dependencies check-memory check-api check-cuda check-gpu-dry-run train-smoke

demo: setup
	cargo build --release --locked --bin app
	scripts/demo.sh "$(PDF)"

# What this machine cannot test is listed at the end; REQUIRE_ISA=amx,avx512 fails where one of these is missing.
test: browser
	@rm -f $(SKIPPED)
	cargo test --locked --lib --bins --tests --examples
	DOCREADER_ISA=avx512 cargo test --locked --test rcnn fidelity
	DOCREADER_ISA=avx2 cargo test --locked --test rcnn fidelity
	cargo test --locked --doc
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	@if [ -s $(SKIPPED) ]; then echo "Not tested here:"; sort -u $(SKIPPED); fi

# Circles between files and files that are too long, formatting, the documentation's lines, lints, and whether .sqlx fits
# the queries and docs/schema.sql the migrations. The check builds dependencies as without tests: their own queries would
# be missed in .sqlx.
lint: setup
	scripts/check-house.py
	scripts/install-sqlx-cli.sh
	cargo fmt --check
	scripts/check-docs.py
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --test canaries -- -D warnings
	cargo check --locked
	scripts/with-postgres.sh cargo sqlx prepare --check
	scripts/schema.sh --check

# The dependencies' licenses and sources. Not a part of lint, since its first run builds cargo-deny, which takes minutes.
check-dependencies:
	scripts/install-cargo-deny.sh
	cargo deny --locked check --hide-inclusion-graph licenses bans sources

# Writes docs/SETTINGS.md, the table of all settings.
settings: setup
	UPDATE=1 cargo test --locked --test cli settings_table

# Writes docs/screenshots: every page of the web admin, large and small, light and dark.
screenshots: browser
	UPDATE=1 cargo test --locked --test admin screenshots

# Whether the faults of apalis and sqlx are still there that docreader has remedies for: a test that fails says that one is mended.
check-canaries: setup
	cargo test --locked --test canaries

# The kernels' tests under AddressSanitizer.
check-memory:
	scripts/check-memory.sh

# What gpu/check.sh does on a GPU, small and on the CPU. PYTHON=... names a Python with PyTorch, for the peer.
check-gpu-dry-run:
	gpu/check.sh --dry-run

# The program that also runs on an NVIDIA GPU; it starts on machines without one. Installs the compiler into lib/cuda.
cuda: setup
	scripts/install-cuda.sh
	cargo build --release --locked --features cuda --bin app

# The feature `cuda` as far as a machine without a GPU can check it: lints, the kernels' twins, a page by the built program.
check-cuda: cuda
	cargo clippy --locked --features cuda --all-targets -- -D warnings
	cargo test --release --locked --features cuda --lib rcnn
	cargo test --release --locked --features cuda --test rcnn cuda
	target/release/app detect "$(PDF)" --out target/check-cuda

# Training on a GPU, in small and on the CPU: two minutes, and PyTorch in target/torch where no PYTHON has it.
train-smoke:
	scripts/train-smoke.sh

# The API against its own description (schemathesis), and the exports against the tools that read them.
check-api: setup
	scripts/check-api.sh

# After a query, a migration or a file in src/*/sql has changed: writes .sqlx and docs/schema.sql. The first line builds the dependencies, whose own queries do not
# belong in there; it may fail for want of the new query.
sqlx: setup
	scripts/install-sqlx-cli.sh
	-cargo check
	scripts/with-postgres.sh cargo sqlx prepare
	scripts/schema.sh

# Writes docs/schema.sql.
schema:
	scripts/schema.sh

setup:
	@scripts/setup.sh

# The same, and a browser for tests of the pages.
browser:
	@scripts/setup.sh browser
