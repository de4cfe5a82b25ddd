#!/usr/bin/env bash
# Runs every test; leaves nothing running. The integration tests start one PostgreSQL of their own for the whole run.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
cargo test --locked --no-fail-fast 2>&1 | tee "$log" || status=$?

# One line over all test binaries, since each prints its own.
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
exit "$status"
