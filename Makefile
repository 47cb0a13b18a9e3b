# Everything a newcomer needs; each target does its own set-up.

.DEFAULT_GOAL := help
.PHONY: help build demo test lint need-cargo need-python

help:
	@echo 'make demo    plan, apply, change and destroy two clusters in a test cloud on this machine'
	@echo 'make test    all tests'
	@echo 'make lint    formatting and clippy, warnings denied'
	@echo 'make build   the program: target/debug/groundplan'

build: need-cargo
	cargo build

demo: need-cargo need-python
	@demo/run

test: need-cargo need-python
	cargo test

# Clippy and build share little of the AWS SDK, so both take their time the first time.
lint: need-cargo
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

need-cargo:
	@command -v cargo >/dev/null || { \
	  echo 'error: cargo is missing: Rust 1.95 or newer is needed' >&2; \
	  echo 'hint: https://rustup.rs installs it' >&2; exit 69; }
	@command -v cc >/dev/null || { \
	  echo 'error: cc is missing: the TLS library and the linker need a C compiler' >&2; \
	  echo 'hint: apt-get install gcc libc6-dev, dnf install gcc, or xcode-select --install' >&2; exit 69; }

need-python:
	@command -v python3 >/dev/null || { \
	  echo 'error: python3 is missing: the test cloud is written in it (3.10 or newer)' >&2; \
	  echo 'hint: apt-get install python3 python3-venv, dnf install python3, or brew install python' >&2; exit 69; }
