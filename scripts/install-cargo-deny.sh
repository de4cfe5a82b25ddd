#!/usr/bin/env bash
# Puts cargo-deny into target/tools, unless it is there or installed, and prints where it is. It is built from its source;
# unoptimised, since that takes a minute less than it would save.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
if command -v cargo-deny >/dev/null; then
  command -v cargo-deny
  exit 0
fi
tool=$PWD/target/tools/bin/cargo-deny
if [ "$("$tool" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  cargo install --quiet --locked --debug --root target/tools --target-dir target/tools/build --version "$version" cargo-deny >&2
  rm -rf target/tools/build
fi
echo "$tool"
