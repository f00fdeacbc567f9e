# make demo: from nothing to detections of a real PDF. make test: all tests of the program (training/ has its own). Both install what is missing (Debian).
PDF ?= samples/amt_handbook_sample.pdf

.PHONY: demo test setup lint sqlx cuda check-memory check-api check-cuda check-gpu-dry-run train-smoke

demo: setup
	cargo build --release --locked --bin app
	scripts/demo.sh "$(PDF)"

test: setup
	cargo test --locked --lib --bins --tests
	DOCREADER_ISA=avx512 cargo test --locked --test rcnn fidelity
	DOCREADER_ISA=avx2 cargo test --locked --test rcnn fidelity

# Circles between files and files that are too long, the dependencies' licenses, formatting, lints, and whether .sqlx fits the
# queries and the schema.
lint: setup
	scripts/check-house.py
	scripts/install-cargo-deny.sh
	cargo deny --locked check --hide-inclusion-graph licenses bans sources
	scripts/install-sqlx-cli.sh
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	scripts/with-postgres.sh cargo sqlx prepare --check

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

# After a query or a migration has changed: writes .sqlx. The first line builds the dependencies, whose own queries do not
# belong in there; it may fail for want of the new query.
sqlx: setup
	scripts/install-sqlx-cli.sh
	-cargo check
	scripts/with-postgres.sh cargo sqlx prepare

setup:
	@scripts/setup.sh
