#!/usr/bin/env bash
# Counts what pgward is built from: its own list, all that this brings, and what of it only builds or tests.
set -euo pipefail
cd "$(dirname "$0")/.."

crates() { cargo tree --locked --prefix none --format '{p}' -e "$1" | sed -E 's/ \((\*|proc-macro)\)//g' | sort -u | grep -vc '^pgward '; }

direct=$(cargo tree --locked --depth 1 --prefix none -e normal | sort -u | grep -vc '^pgward ')
linked=$(crates normal,no-proc-macro)
printf '%-44s %5d\n' 'named in Cargo.toml' "$direct" 'in the program, with what those bring' "$linked" \
  '… and what builds it' "$(crates normal,build)" '… and what tests it' "$(crates normal,build,dev)"
