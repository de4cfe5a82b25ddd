# demo: a tour on a throw-away PostgreSQL (CHECK=1 runs it by itself).  test: everything.  bench: the benchmarks.
# check: format, lints, layers.
CARGO ?= cargo
export PGWARD_BIN ?= $(CURDIR)/target/release/pgward

.PHONY: demo test bench check build deps

demo: deps build
	@CHECK=$(CHECK) demo/run.sh

build:
	@$(CARGO) build --release --locked --bin pgward

deps:
	@scripts/install-deps.sh demo

test:
	@scripts/install-deps.sh test
	@scripts/test.sh

bench:
	@scripts/install-deps.sh bench
	@$(CARGO) build --release --locked --bin pgward
	@benches/run.sh

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --test layers
