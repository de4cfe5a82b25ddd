#!/usr/bin/env bash
# Asks `cargo deny` whether what pgward is built from may be in it: licenses, sources, versions, and security advisories.
# The advisories lie in a repository of their own. Where that cannot be reached, this is said and the rest still counts;
# with ADVISORIES=required it is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=$PWD/target/tools
deny=$tools/bin/cargo-deny

if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  # Unoptimised: it takes a minute less to build than it would save.
  cargo install --quiet --debug --locked --root "$tools" --target-dir "$tools/build" "cargo-deny@$version"
  rm -rf "$tools/build"
fi

"$deny" --locked --offline check --hide-inclusion-graph licenses bans sources

if said=$(timeout 60 "$deny" --locked fetch db 2>&1); then
  "$deny" --locked check --disable-fetch advisories
elif [ "${ADVISORIES:-}" = required ]; then
  printf '%s\n' "$said" >&2
  exit 1
else
  echo 'advisories NOT CHECKED: the database of advisories cannot be reached from here' >&2
fi
scripts/dependencies.sh
