# Everything a newcomer needs; each target does its own set-up.

.DEFAULT_GOAL := help
.PHONY: help build dist demo test test-busy fuzz crash-matrix edit-trials storms histories lint doc bench-engine bench-controller bench-aws need-cargo need-python

# Wherever cargo puts things: CARGO_TARGET_DIR, a config file, or ./target.
TARGET = $$(cargo metadata --format-version 1 --no-deps | \
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

help:
	@echo 'make demo          plan, apply, change and destroy two clusters in a test cloud on this machine'
	@echo 'make test          all tests'
	@echo 'make test-busy     the tests with signals, kills and leases, beside four busy loops (some minutes)'
	@echo 'make fuzz          all readers of files with random input, 30 seconds each (FUZZ=180 for longer)'
	@echo 'make crash-matrix  kill -9 at every mutating call, then run again (half an hour)'
	@echo 'make edit-trials   kill -9 at a random call, edit the configuration, run again, compare (ten minutes)'
	@echo 'make storms        throttling, errors, resets, timeouts, late lists: same result, calls counted (five minutes)'
	@echo 'make histories     ten thousand random histories of a MachineSet: no creation or deletion too many (four minutes)'
	@echo 'make lint          formatting and clippy, warnings denied'
	@echo 'make doc           API documentation of all crates; a broken link is an error (a minute)'
	@echo 'make build         the program: target/debug/groundplan'
	@echo 'make dist          the program, small and stripped: target/dist/groundplan (forty minutes)'
	@echo 'make bench-engine  cost of the engine and of reading an install-config, without a cloud'
	@echo 'make bench-controller  a thousand Machines: time, calls to EC2, memory'
	@echo 'make bench-aws     cost of whole runs: AWS calls, CPU, memory (a release build: 6 minutes)'

build: need-cargo
	cargo build

dist: need-cargo
	cargo build --profile dist --bin groundplan

demo: need-cargo need-python
	@echo 'building groundplan: about four minutes the first time on two cores, seconds later' >&2
	cargo build --bin groundplan
	@tests/cloud/play demo/demo.py "$(TARGET)/debug/groundplan"

# Most of a whole run's time is waiting, so more of them at once than there are CPUs.
test: need-cargo need-python
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-10} cargo test --workspace

# No test may depend on how fast the machine is. BUSY is the command's time limit, in seconds.
test-busy: need-cargo need-python
	cargo test --workspace --test it --no-run
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-10} tests/busy 4 $${BUSY:-900} cargo test --test it -- \
	  cli::recovery cli::trouble cli::states cli::in_s3 cli::handler cloud::control state_in_s3

# FUZZ='180 config' is 180 seconds of one target. The first build takes some minutes.
fuzz: need-cargo
	@CARGO_TARGET_DIR="$(TARGET)/fuzz" fuzz/run $(FUZZ)

# CRASH='--every 10' takes a sample, CRASH='--homes local' half of it, and CRASH=--help says what else.
# GROUNDPLAN_RELEASE=5.0 selects the layout.
crash-matrix: need-cargo need-python
	cargo build --quiet --bin groundplan
	@tests/cloud/play tests/cloud/trials/crash_matrix.py "$(TARGET)/debug/groundplan" $(CRASH)

# EDITS='--trials 20 --seed 7' is a smaller sample of other trials.
edit-trials: need-cargo need-python
	cargo build --quiet --bin groundplan
	@tests/cloud/play tests/cloud/trials/edits.py "$(TARGET)/debug/groundplan" $(EDITS)

storms: need-cargo need-python
	cargo build --quiet --bin groundplan
	@tests/cloud/play tests/cloud/trials/storms.py "$(TARGET)/debug/groundplan" $(STORMS)

# Random restarts, delays and lost responses. The seed of a failed history is printed. HISTORIES=100 is a sample.
histories: need-cargo
	GROUNDPLAN_HISTORIES=$${HISTORIES:-10000} cargo test --release -p groundplan-controller --lib -- histories

# Clippy needs only metadata of dependencies, which cargo does not share with a build.
lint: need-cargo
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features test-support -- -D warnings

# A front page for each crate: target/doc/groundplan/index.html.
doc: need-cargo
	RUSTDOCFLAGS="$$RUSTDOCFLAGS -D warnings" cargo doc --workspace --no-deps

# Without the SDK: less to build than the whole program.
bench-engine: need-cargo
	cargo bench -p groundplan-engine --features test-support
	cargo bench -p groundplan-openshift --features test-support

bench-controller: need-cargo
	cargo bench -p groundplan-controller --features test-support

bench-aws: need-cargo need-python
	cargo build --release --bin groundplan
	@tests/cloud/play benches/aws.py "$(TARGET)/release/groundplan"

need-cargo:
	@command -v cargo >/dev/null || { \
	  echo 'error: cargo is missing: Rust 1.95 or newer is needed' >&2; \
	  echo 'hint: https://rustup.rs installs it' >&2; exit 69; }
	@command -v cc >/dev/null || { \
	  echo 'error: cc is missing: the TLS library and the linker need a C compiler' >&2; \
	  echo 'hint: apt-get install gcc libc6-dev, dnf install gcc, or xcode-select --install' >&2; exit 69; }

need-python:
	@command -v python3 >/dev/null || { \
	  echo 'error: python3 is missing: the test cloud is written in it (3.11 or newer)' >&2; \
	  echo 'hint: apt-get install python3 python3-venv, dnf install python3, or brew install python' >&2; exit 69; }
