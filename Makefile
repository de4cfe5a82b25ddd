# demo: a tour on a throw-away PostgreSQL (CHECK=1 runs it by itself).  test: everything.  bench: the benchmarks.
# enforcement: the three walls, measured.  check: format, lints, layers.
CARGO ?= cargo

.PHONY: demo test bench enforcement check build deps

# The tour is about what happens, not how fast: the development build is there in half the time, and `test` shares it.
demo: deps
	@$(CARGO) build --locked --bin pgward
	@CHECK=$(CHECK) PGWARD_BIN=$(CURDIR)/target/debug/pgward demo/run.sh

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
	@PGWARD_BIN=$(CURDIR)/target/release/pgward benches/run.sh

enforcement:
	@scripts/install-deps.sh test
	@scripts/enforcement.sh

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --test layers
