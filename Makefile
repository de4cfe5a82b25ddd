# demo: a tour on a throw-away PostgreSQL (CHECK=1 runs it by itself).  test: everything.  bench: the benchmarks, PgBouncer beside.  profile: flame graphs.
# soak: an hour of everything.  compat: every client, with and without pgward.  enforcement: the three walls, measured.
# check: format, lints, layers, dependencies.  fuzz: every target, until stopped.
CARGO ?= cargo


.PHONY: demo test compat bench bench-scale profile enforcement retention replica-faults replica-scale soak fuzz check build deps

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

# CLIENTS, ROUNDS, SECONDS, PARTS, PEERS and others choose what runs: see benches/end_to_end/main.rs.
bench:
	@scripts/install-deps.sh bench
	@BENCH_SECONDS='$(SECONDS)' $(CARGO) bench --quiet --locked --bench end_to_end

# Thousands of sessions and grants, gigabytes through one session, against an upstream that only looks like one.
bench-scale:
	@scripts/install-deps.sh bench
	@PARTS='$(or $(PARTS),idle,scale)' $(CARGO) bench --quiet --locked --bench end_to_end

# Flame graphs of the three protocols into docs/performance, and lists of what is heaviest into target/bench.
profile:
	@scripts/install-deps.sh bench
	@$(CARGO) build --quiet --locked --profile profiling --bin pgward
	@PGWARD_BIN=$(CURDIR)/target/profiling/pgward PEERS=pgward PARTS=profile BENCH_SECONDS='$(or $(SECONDS),8)' \
	  $(CARGO) bench --quiet --locked --bench end_to_end

enforcement:
	@scripts/install-deps.sh test
	@scripts/enforcement.sh

# Purges millions of rows with two crashes in the middle, and compares plan, journal and database: PGWARD_RETENTION_ROWS.
retention:
	@scripts/install-deps.sh test
	@PGWARD_RETENTION_ROWS='$(or $(PGWARD_RETENTION_ROWS),10000000)' \
	  $(CARGO) test --quiet --locked --test integration -- retention::planned

# Three replicas on one store under PGWARD_FAULT_ROUNDS faults of all kinds.
replica-faults:
	@scripts/install-deps.sh test
	@PGWARD_FAULT_ROUNDS='$(or $(PGWARD_FAULT_ROUNDS),200)' \
	  $(CARGO) test --quiet --locked --test integration -- replica_faults

# What a store has to do for how many replicas.
replica-scale:
	@scripts/install-deps.sh test
	@PGWARD_REPLICAS='$(or $(PGWARD_REPLICAS),1,3,10,100)' PGWARD_SECONDS='$(or $(SECONDS),10)' \
	  $(CARGO) test --quiet --locked --test replica_scale -- --nocapture

# Clients of all kinds and all kinds of harm for SOAK_MINUTES; then nothing may be left of them. PGWARD_BIN: a program that is there already.
soak:
	@scripts/install-deps.sh test
	@test -n '$(PGWARD_BIN)' || $(CARGO) build --quiet --release --locked --bin pgward
	@PGWARD_TEST_BINARY='$(or $(PGWARD_BIN),$(CURDIR)/target/release/pgward)' SOAK_MINUTES='$(or $(SOAK_MINUTES),60)' \
	  nice -n 10 $(CARGO) test --quiet --locked --test soak -- --nocapture

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --test layers
	@scripts/supply-chain.sh

# All targets in turn, FUZZ_SECONDS each, until one finds something or you stop it: docs/fuzzing.md.
fuzz:
	@scripts/install-deps.sh fuzz
	@while scripts/fuzz.sh '$(or $(FUZZ_SECONDS),600)'; do :; done; exit 1

# Every client that people use, through pgward and without it: writes docs/clients.md. COMPAT_REQUIRE=1: all of them have to be there.
compat:
	@scripts/install-deps.sh test
	@COMPAT=all COMPAT_INSTALL=1 $(CARGO) test --locked --test compat
