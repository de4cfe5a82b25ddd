#!/usr/bin/env bash
# Runs one fuzz target for some seconds: fuzz/run.sh TARGET [SECONDS]. New inputs go to fuzz/found, the seeds stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?"which target: $(cd fuzz/checks && ls -- *.rs | sed 's/\.rs$//' | tr '\n' ' ')"}
seconds=${2:-60}
mkdir -p "fuzz/found/$target"
words=()
case $target in lex | read | redact | resolve) words=(-dict=fuzz/sql.dict -max_len=600) ;; esac
exec cargo fuzz run -s none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 "${words[@]}"
