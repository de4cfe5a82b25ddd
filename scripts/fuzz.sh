#!/usr/bin/env bash
# Coverage-guided fuzzing: scripts/fuzz.sh SECONDS [TARGET…] runs each target so long, two at a time, and fails if one finds
# something. All targets unless told otherwise. FUZZ_JOBS says how many run at once, FUZZ_NICE=19 leaves the machine to others.
# New inputs go to fuzz/found, failing ones to fuzz/artifacts; the seeds stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?"how many seconds each"}
shift
all=$(cd fuzz/checks && ls -- *.rs | sed 's/\.rs$//')
targets=${*:-$all}

# Pgward's own code is built anew, a little optimised and with counters; what it depends on is shared with the tests.
build() {
  RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh CARGO_PROFILE_DEV_OPT_LEVEL=1 \
    cargo build --quiet --locked --features fuzzing --example fuzz --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/fuzz\(-[^"]*\)\{0,1\}\)".*/\1/p' | tail -1
}

run() {
  local target=$1 words=(-max_len=4096) log=fuzz/found/$1.log
  case $target in
    lex | read | redact | resolve) words=(-dict=fuzz/sql.dict -max_len=600) ;;
    session) words=(-dict=fuzz/sql.dict -max_len=1200) ;;
  esac
  mkdir -p "fuzz/found/$target" "fuzz/artifacts/$target"
  if PGWARD_FUZZ=$target RUST_LOG=off nice -n "${FUZZ_NICE:-0}" "$binary" "fuzz/found/$target" "fuzz/corpus/$target" \
    -max_total_time="$seconds" -timeout=60 -rss_limit_mb=3072 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="fuzz/artifacts/$target/" "${words[@]}" >"$log" 2>&1; then
    report "$target" "$log" ok
  else
    local code=$?
    report "$target" "$log" FOUND
    echo "it ended with $code; the end of $log:"
    grep -E -A6 'panicked at|ERROR: libFuzzer|Test unit written' "$log" | tail -30 || tail -5 "$log"
    return 1
  fi
}

report() {
  local last runs
  last=$(grep -E '^#[0-9]+' "$2" | tail -1 || true)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")
  printf '%-9s %-5s %9s executions, %5s edges, %6s features, %5s inputs\n' "$1" "$3" "${runs:-?}" \
    "$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$last")" "$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' <<<"$last")" \
    "$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' <<<"$last")"
}

binary=$(build)
[ -x "$binary" ] || { echo "the fuzzer was not built" >&2; exit 1; }
export -f run report
export binary seconds
mkdir -p fuzz/found
printf '%s\n' $targets | xargs -P "${FUZZ_JOBS:-2}" -I{} bash -euo pipefail -c 'run {}'
