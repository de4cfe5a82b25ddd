#!/usr/bin/env bash
# Installs what `make demo`, `make test` or `make bench` needs from Debian's or Ubuntu's packages and is missing.
# Everything that is there already is left alone; no service is started.
set -euo pipefail

purpose=${1:-demo}
missing=()

want() { # want PACKAGE TEST...: the package, unless the test succeeds
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

# PostgreSQL's own grammar, which the tests compare with, is bound by libclang with its headers.
has_libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null; }
has_package() { dpkg-query -W -f='${Status}' "$1" | grep -q 'ok installed'; }
has_server() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

want gcc command -v cc
want libc6-dev test -e /usr/include/stdio.h
want make command -v make
want postgresql has_server
want postgresql-client command -v psql
want openssl command -v openssl
want util-linux command -v setpriv
# For libFuzzer alone.
if [ "$purpose" = test ] || [ "$purpose" = fuzz ]; then want g++ command -v c++; fi
if [ "$purpose" = test ]; then
  want python3 test -x /usr/bin/python3
  want libclang-dev has_libclang
  want python3-psycopg /usr/bin/python3 -c 'import psycopg'
  want npm command -v npm
  # The web UI is clicked through, and called as others might.
  want chromium command -v chromium
  want curl command -v curl
  # Clocks that are wrong.
  want libfaketime compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'
  want pgbouncer command -v pgbouncer
  want python3-pip /usr/bin/python3 -m pip --version
  # The clients of tests/compat that are run with all other tests.
  want python3-psycopg2 /usr/bin/python3 -c 'import psycopg2'
  want python3-asyncpg /usr/bin/python3 -c 'import asyncpg'
  want libdbd-pg-perl perl -MDBD::Pg -e 1
  want python3-cryptography /usr/bin/python3 -c 'import cryptography.hazmat.primitives.ciphers.aead'
fi
if [ "$purpose" = packages ]; then # those that are named after it
  for package in "${@:2}"; do want "$package" has_package "$package"; done
fi
if [ "$purpose" = bench ]; then
  want pgbouncer command -v pgbouncer
  want valgrind command -v valgrind
  # Without perf system calls are not counted, and that is said. Not every distribution has it under this name.
  ! apt-cache show linux-perf >/dev/null 2>&1 || want linux-perf command -v perf
fi

# What cannot be had is said, and the tests that need it fail by name; the others still tell what they have to tell.
others() {
  [ "$purpose" = test ] || return 0
  "$(dirname "$0")/install-servers.sh" || echo "not all servers could be installed: the tests of those will fail" >&2
}
if [ ${#missing[@]} -eq 0 ]; then
  others
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]}; install them with your system's package manager" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "missing: ${missing[*]}; install them as root" >&2; exit 1; }
  as_root=(sudo)
fi

echo "installing: ${missing[*]}" >&2
# Debian's package would start a cluster of its own on port 5432; nothing here uses it.
if printf '%s\n' "${missing[@]}" | grep -qx postgresql && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${as_root[@]}" apt-get update -qq
# A service that a package would start is not wanted: 101 is policy-rc.d's word for "no".
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  made_policy=1
fi
status=0
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || status=$?
[ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"
[ "$status" -ne 0 ] || others
exit "$status"
