#!/usr/bin/env bash
# Counts what pgward is made of: the crates that it names, all that are linked into the program, and those that only build it or
# test it.
set -euo pipefail
cd "$(dirname "$0")/.."
crates() { cargo tree --locked --prefix none --format '{p}' "$@" | sed 's/ (\*)$//; s/ (proc-macro)//' | grep -v '^pgward ' | sort -u; }
direct() { cargo tree --locked --prefix none --depth 1 --format '{p}' -e "$1" | sed 's/ (\*)$//' | grep -v '^pgward ' | sort -u | grep -c . || true; }
linked=$(crates -e normal,no-proc-macro)
built=$(crates -e normal,build)
all=$(crates -e normal,build,dev)
count() { grep -c . <<<"$1" || true; }
printf '%4d named in Cargo.toml, and %d more for tests and benchmarks\n' "$(direct normal)" "$(($(direct normal,dev) - $(direct normal)))"
printf '%4d linked into the program\n' "$(count "$linked")"
printf '%4d more to build it: macros and build scripts\n' "$(comm -13 <(echo "$linked") <(echo "$built") | grep -c . || true)"
printf '%4d more to test it\n' "$(comm -13 <(echo "$built") <(echo "$all") | grep -c . || true)"
