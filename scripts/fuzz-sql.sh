#!/usr/bin/env bash
# Compares our reading of SQL with PostgreSQL's own over many made-up texts: scripts/fuzz-sql.sh [TEXTS] [SEED].
set -euo pipefail
cd "$(dirname "$0")/.."
PGWARD_FUZZ=${1:-1000000} PGWARD_FUZZ_SEED=${2:-1} PGWARD_FUZZ_REASONS=${PGWARD_FUZZ_REASONS:-40} \
  exec cargo test --release --locked --test oracle made_up -- --nocapture
