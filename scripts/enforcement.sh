#!/usr/bin/env bash
# The three walls, measured: `make enforcement`. Each part prints what it found; the exit is that of the worst.
#   STATEMENTS=20000 TEXTS=1000000 SEED=11 change how much is compared.
set -uo pipefail
cd "$(dirname "$0")/.."
statements=${STATEMENTS:-20000} texts=${TEXTS:-1000000} seed=${SEED:-11}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0

part() { printf '\n== %s\n' "$*"; }
# run PATTERN COMMAND...: of what it prints, the lines that report; all of it where it fails.
run() {
  local pattern=$1
  shift
  if "$@" >"$log" 2>&1; then
    grep -E "$pattern" "$log" || true
  else
    status=1
    cat "$log"
  fi
}

part "the policy world through the proxy: wall one alone, with a second opinion, with short-lived roles"
run '^test judge::|let through' cargo test --locked --test integration -- judge:: --nocapture

part "what clients send, under a grant of everything: what is not allowed, and why"
run '^test ' cargo test --locked --test corpora
awk -F '\t' '!/^#/ { print "  " $1 ": " $2 ": " $3 }' tests/corpora/left.txt | sort | uniq -c | sort -rn

part "verdicts against a role with exactly the grant's privileges"
run '.' env PGWARD_AGREEMENT="$statements" cargo test --locked --test agreement -- --nocapture

part "the reader against PostgreSQL's own: tokens, and whatever its tree names"
run '^(lexer|reader|mutations|clients|  +[0-9]+ )|texts' env PGWARD_FUZZ="$texts" PGWARD_FUZZ_SEED="$seed" \
  cargo test --locked --release --test oracle -- --nocapture

part "fuzz targets over their seeds; servers of other versions where there are any"
run '^test ' cargo test --locked --test fuzz_seeds --test versions

part "cost of a verdict"
run 'time:|^[a-z]' cargo bench --locked --bench verdict

exit "$status"
