#!/usr/bin/env bash
# The tour: a throw-away PostgreSQL, pgward before it, one request made and approved. CHECK=1 walks it alone and ends
# with 0 only if every step came out right. Ctrl-C (or the end) leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."

pgward=${PGWARD_BIN:-target/debug/pgward}
port=6432 control=6443
dir=$(mktemp -d /tmp/pgward-demo.XXXXXX)
chmod 755 "$dir"
postgres_pid='' serve_pid='' query_pid=''

cleanup() {
  trap - EXIT INT TERM
  for pid in "$query_pid" "$serve_pid"; do
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  done
  [ -z "$serve_pid" ] || wait "$serve_pid" 2>/dev/null || true
  if [ -n "$postgres_pid" ]; then
    kill -INT "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
field() { sed -nE "s/.*\"$1\": *\"([^\"]*)\".*/\1/p" | head -n 1; }

free_port() {
  local candidate
  for candidate in $(shuf -i 20000-29999 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
  done
  die 'no free port'
}

for taken in $port $control; do
  if (exec 3<>"/dev/tcp/127.0.0.1/$taken") 2>/dev/null; then
    die "port $taken is taken: stop what listens there (another demo?) and try again"
  fi
done

# --- certificates and PostgreSQL, never as root ------------------------------------------------------------------------
"$pgward" dev-certs certs >/dev/null
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v postgres || die 'no PostgreSQL server found')")
unprivileged=()
if [ "$(id -u)" -eq 0 ]; then
  id postgres >/dev/null 2>&1 || die 'run as root, PostgreSQL needs the system user postgres'
  unprivileged=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
mkdir "$dir/pg"
head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$dir/upstream_password"
cp "$dir/upstream_password" "$dir/pg/password"
cp certs/server.crt "$dir/pg/server.crt"
cp certs/server.key "$dir/pg/server.key"
chmod 600 "$dir/upstream_password" "$dir/pg/password" "$dir/pg/server.key"
[ "$(id -u)" -ne 0 ] || chown -R postgres:postgres "$dir/pg"
upstream=$(free_port)
say 'Starting a throw-away PostgreSQL'
(cd "$dir/pg" && "${unprivileged[@]}" "$bin/initdb" -D "$dir/pg/data" -U demo_admin -A scram-sha-256 --pwfile="$dir/pg/password" -E UTF8 --locale=C -N >/dev/null)
(cd "$dir/pg" && exec "${unprivileged[@]}" "$bin/postgres" -D "$dir/pg/data" -k "$dir/pg" -p "$upstream" -c listen_addresses=127.0.0.1 -c ssl=on \
  -c ssl_cert_file="$dir/pg/server.crt" -c ssl_key_file="$dir/pg/server.key" -c fsync=off >"$dir/postgres.log" 2>&1) &
postgres_pid=$!
PGPASSWORD=$(cat "$dir/upstream_password")
export PGPASSWORD
for _ in $(seq 1 100); do
  psql -XAtq -h "$dir/pg" -p "$upstream" -U demo_admin -d postgres -c 'SELECT 1' >/dev/null 2>&1 && break
  sleep 0.1
done
psql -Xq -h "$dir/pg" -p "$upstream" -U demo_admin -d postgres -v "password=$PGPASSWORD" -f demo/shop.sql >/dev/null || die 'the sample data did not load'
unset PGPASSWORD

# --- the proxy, on the example configuration with this run's ports, paths and tokens -----------------------------------
person() { # person NAME: a new control token for NAME
  local made
  made=$("$pgward" token -o json)
  echo "$made" | field token >"$dir/$1.token"
  echo "$made" | field hash >"$dir/$1.hash"
  chmod 600 "$dir/$1.token"
}
for name in alice bob billing; do person "$name"; done
cert_dir=$PWD/certs
awk -v alice="$(cat "$dir/alice.hash")" -v bob="$(cat "$dir/bob.hash")" -v billing="$(cat "$dir/billing.hash")" '
  /^name *= *"/ { split($0, quoted, "\""); user = quoted[2] }
  /^token_hash *= *"/ {
    if (user == "alice") sub(/"[^"]*"/, "\"" alice "\"")
    if (user == "bob") sub(/"[^"]*"/, "\"" bob "\"")
    if (user == "billing") sub(/"[^"]*"/, "\"" billing "\"")
  }
  { print }' proxy.toml |
  sed -E -e "s#\"certs/#\"$cert_dir/#g" -e "s#=certs/#=$cert_dir/#g" -e "s#sqlite://var/#sqlite://$dir/#" -e "s#\"var/audit\"#\"$dir/audit\"#" \
    -e "s#@[a-z0-9.]+:[0-9]+/shop#@localhost:$upstream/shop#" -e "s#^password_file.*#password_file = \"$dir/upstream_password\"#" >"$dir/proxy.toml"

say "Starting pgward on 127.0.0.1:$port, control port on 127.0.0.1:$control"
"$pgward" serve --config "$dir/proxy.toml" >"$dir/serve.log" 2>&1 &
serve_pid=$!
for _ in $(seq 1 100); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && (exec 3<>"/dev/tcp/127.0.0.1/$control") 2>/dev/null && break
  kill -0 "$serve_pid" 2>/dev/null || { cat "$dir/serve.log" >&2; die 'pgward did not start'; }
  sleep 0.1
done

as() { # as NAME ARGUMENTS: pgward's command line as NAME
  local name=$1
  shift
  PGWARD_URL="https://127.0.0.1:$control" PGWARD_CA="$cert_dir/ca.crt" PGWARD_TOKEN=$(cat "$dir/$name.token") "$pgward" "$@"
}

say 'alice asks for orders-read, for half an hour'
request=$(as alice request orders-read --for 30m --reason 'the demo' -o json | field id)
echo "$request"
say 'bob approves'
approved=$(as bob approve "$request" -o json)
grant=$(echo "$approved" | grep -o 'gr_[0-9a-f]*' | head -n 1)
echo "$grant"
minted=$(as alice credentials shop -o json)
alice_password=$(echo "$minted" | field password)
export PGSSLROOTCERT="$cert_dir/ca.crt"
as_alice() { PGPASSWORD=$alice_password PGSSLMODE=verify-full psql -XAt -h localhost -p "$port" -U alice -d shop "$@"; }

if [ -z "${CHECK:-}" ]; then
  cat <<TEXT

$(printf '\033[1mPaste this in another terminal:\033[0m')

  PGPASSWORD='$alice_password' psql 'host=localhost port=$port user=alice dbname=shop sslmode=verify-full sslrootcert=$cert_dir/ca.crt'

and try
  SELECT status, count(*) FROM orders GROUP BY status;      -- within the grant
  SELECT name, country FROM customers LIMIT 3;              -- these columns are
  SELECT email FROM customers;                              -- this one is not: the error says what to ask for
  SELECT * FROM eu.customers;                               -- another region
  SHOW pgward.grants;
  SELECT pg_sleep(60);                                      -- and end the grant meanwhile, as bob:

  export PGWARD_URL=https://127.0.0.1:$control PGWARD_CA=$cert_dir/ca.crt
  PGWARD_TOKEN=\$(cat $dir/bob.token) $PWD/$(realpath --relative-to="$PWD" "$pgward") revoke $grant
  PGWARD_TOKEN=\$(cat $dir/bob.token) $PWD/$(realpath --relative-to="$PWD" "$pgward") audit search --principal alice
  PGWARD_TOKEN=\$(cat $dir/bob.token) $PWD/$(realpath --relative-to="$PWD" "$pgward") audit verify

Control port (API, later the web UI): https://127.0.0.1:$control/      Log: $dir/serve.log
Ctrl-C ends everything and removes it.
TEXT
  wait "$serve_pid" || { cat "$dir/serve.log" >&2; die 'pgward ended'; }
  exit 0
fi

# --- CHECK=1: the same tour by itself -----------------------------------------------------------------------------------
failed=0
step() { # step NAME EXPECTED ACTUAL
  if [[ $3 == *"$2"* ]]; then
    printf 'ok    %s\n' "$1"
  else
    printf 'FAIL  %s: expected "%s", got: %s\n' "$1" "$2" "$3"
    failed=1
  fi
}
say 'The tour'
step 'an allowed query answers' '5000' "$(as_alice -c 'SELECT count(*) FROM orders' 2>&1)"
step 'granted columns answer' 'Customer 7' "$(as_alice -c 'SELECT name FROM customers WHERE id = 7' 2>&1)"
denied=$(as_alice -v VERBOSITY=verbose -c 'SELECT email FROM customers' 2>&1 || true)
step 'a column outside the scope is denied' '42501' "$denied"
step '… with the command that asks for it' 'pgward request' "$denied"
step 'another region is denied' '42501' "$(as_alice -v VERBOSITY=verbose -c 'SELECT name FROM eu.customers' 2>&1 || true)"
step '\dt works' 'orders' "$(as_alice -c '\dt' 2>&1)"

as_alice -c 'SELECT pg_sleep(60)' >"$dir/sleep.out" 2>&1 &
query_pid=$!
sleep 1
begun=$(date +%s%N)
as bob revoke "$grant" --reason 'the demo is over' >/dev/null 2>&1 || true
wait "$query_pid" || true
query_pid=''
took=$((($(date +%s%N) - begun) / 1000000))
step "a revocation ends the running query (after $took ms)" 'FATAL' "$(cat "$dir/sleep.out")"
step '… and names the grant' "$grant" "$(cat "$dir/sleep.out")"
[ "$took" -lt 3000 ] || { echo "FAIL  … within three seconds"; failed=1; }
step 'without a grant there is no login' 'no live grant for "alice" on "shop"' "$(as_alice -c 'SELECT 1' 2>&1 || true)"
step 'the journal has the denied statement' 'SELECT email FROM customers' "$(as bob audit search --verdict deny)"
step 'the journal verifies' '"ok":true' "$(as bob audit verify -o json | tr -d ' ')"
step '… and offline too' '"ok":true' "$("$pgward" audit verify --dir "$dir/audit" -o json | tr -d ' ')"
[ "$failed" -eq 0 ] || { echo; tail -n 40 "$dir/serve.log" >&2; die 'not everything came out right'; }
say 'Everything came out right.'
