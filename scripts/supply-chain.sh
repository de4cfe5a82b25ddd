#!/usr/bin/env bash
# Holds the dependencies to deny.toml: licences, versions, sources, and known vulnerabilities. The database of those is a git
# repository; where it cannot be reached and was never fetched, that is said, and all else is checked. Where it was fetched once,
# that copy is asked, and the check fails once it is older than deny.toml allows. PGWARD_ADVISORIES=required: it must be there.
set -euo pipefail
cd "$(dirname "$0")/.."
deny=$(scripts/install-cargo-deny.sh)
"$deny" --locked check licenses bans sources

databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if timeout 120 "$deny" --locked fetch db >"$log" 2>&1; then
  "$deny" --locked check --disable-fetch advisories
elif compgen -G "$databases/*/.git" >/dev/null; then
  echo "the advisory database cannot be reached; the copy in $databases is asked"
  "$deny" --locked check --disable-fetch advisories
elif [ "${PGWARD_ADVISORIES:-}" = required ]; then
  cat "$log" >&2
  echo "the advisory database cannot be reached, and PGWARD_ADVISORIES=required" >&2
  exit 1
else
  echo "NOT CHECKED: known vulnerabilities. The RustSec advisory database cannot be reached from here, and there is no copy of it."
  tail -3 "$log"
fi
