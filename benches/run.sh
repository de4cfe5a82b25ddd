#!/usr/bin/env bash
# Throughput and CPU per transaction, side by side in one run: straight to PostgreSQL, through PgBouncer, through pgward.
# Clients speak TLS to all three; both proxies reach PostgreSQL in plain TCP over loopback. Rounds are interleaved.
# CLIENTS=16 SECONDS_EACH=10 ROUNDS=3 PROTOCOLS="prepared extended simple" change the run.
set -euo pipefail
cd "$(dirname "$0")/.."

clients=${CLIENTS:-16} seconds=${SECONDS_EACH:-8} rounds=${ROUNDS:-3} protocols=${PROTOCOLS:-prepared}
pgward=${PGWARD_BIN:-target/release/pgward}
pgbouncer=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
dir=$(mktemp -d /tmp/pgward-bench.XXXXXX)
chmod 755 "$dir"
postgres_pid='' pgbouncer_pid='' serve_pid=''

cleanup() {
  trap - EXIT INT TERM
  for pid in "$serve_pid" "$pgbouncer_pid"; do
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }
  done
  [ -z "$postgres_pid" ] || { kill -INT "$postgres_pid" 2>/dev/null || true; wait "$postgres_pid" 2>/dev/null || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

die() { printf 'bench: %s\n' "$*" >&2; exit 1; }
field() { sed -nE "s/.*\"$1\": *\"([^\"]*)\".*/\1/p" | head -n 1; }
free_port() {
  local candidate
  for candidate in $(shuf -i 20000-29999 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
  done
}
wait_port() {
  for _ in $(seq 1 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.1
  done
  die "nothing listens on $1"
}

bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
unprivileged=()
[ "$(id -u)" -ne 0 ] || unprivileged=(setpriv --reuid=postgres --regid=postgres --init-groups)
"$pgward" dev-certs "$dir/certs" >/dev/null
mkdir "$dir/pg"
echo bench_password >"$dir/password"
cp "$dir/password" "$dir/certs/server.crt" "$dir/certs/server.key" "$dir/pg/"
chmod 600 "$dir/password" "$dir/pg/password" "$dir/pg/server.key"
direct=$(free_port) bouncer=$(free_port) ours=$(free_port) control=$(free_port)
cat >"$dir/pg/pgbouncer.ini" <<INI
[databases]
bench = host=127.0.0.1 port=$direct dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $bouncer
auth_type = scram-sha-256
auth_file = $dir/pg/users.txt
pool_mode = session
max_client_conn = 1000
default_pool_size = 200
client_tls_sslmode = require
client_tls_cert_file = $dir/pg/server.crt
client_tls_key_file = $dir/pg/server.key
server_tls_sslmode = disable
ignore_startup_parameters = extra_float_digits
unix_socket_dir =
log_connections = 0
log_disconnections = 0
INI
echo '"bench" "bench_password"' >"$dir/pg/users.txt"
[ "$(id -u)" -ne 0 ] || chown -R postgres:postgres "$dir/pg"

"${unprivileged[@]}" "$bin/initdb" -D "$dir/pg/data" -U bench -A scram-sha-256 --pwfile="$dir/pg/password" -E UTF8 --locale=C -N >/dev/null
"${unprivileged[@]}" "$bin/postgres" -D "$dir/pg/data" -k "$dir/pg" -p "$direct" -c listen_addresses=127.0.0.1 -c ssl=on -c fsync=off \
  -c ssl_cert_file="$dir/pg/server.crt" -c ssl_key_file="$dir/pg/server.key" -c max_connections=300 >"$dir/postgres.log" 2>&1 &
postgres_pid=$!
wait_port "$direct"
export PGPASSWORD=bench_password PGSSLMODE=require PGGSSENCMODE=disable
sleep 1
psql -Xq -h "$dir/pg" -p "$direct" -U bench -d postgres -c 'CREATE DATABASE bench'
"$bin/pgbench" -h "$dir/pg" -p "$direct" -U bench -i -s 10 -q bench >/dev/null 2>&1

"${unprivileged[@]}" "$pgbouncer" -q "$dir/pg/pgbouncer.ini" >"$dir/pgbouncer.log" 2>&1 &
pgbouncer_pid=$!

alice=$("$pgward" token -o json) bob=$("$pgward" token -o json)
cat >"$dir/proxy.toml" <<TOML
[proxy]
listen = "127.0.0.1:$ours"
tls_cert = "certs/server.crt"
tls_key = "certs/server.key"
[control]
listen = "127.0.0.1:$control"
tls_cert = "certs/server.crt"
tls_key = "certs/server.key"
admins = ["@dba"]
auditors = ["@dba"]
[store]
url = "sqlite://pgward.db"
[audit]
dir = "audit"
durability = "written"
[regions.here]
networks = ["127.0.0.0/8"]
[[user]]
name = "alice"
groups = ["dev"]
token_hash = "$(echo "$alice" | field hash)"
[[user]]
name = "bob"
groups = ["dba"]
token_hash = "$(echo "$bob" | field hash)"
[[database]]
name = "bench"
upstream = "postgresql://bench@127.0.0.1:$direct/bench?sslmode=disable"
password_file = "password"
region = "here"
[[scope]]
name = "bench"
database = "bench"
regions = ["here"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1d"
[[scope.allow]]
on = ["public.*"]
do = ["all"]
TOML
"$pgward" serve --config "$dir/proxy.toml" >"$dir/serve.log" 2>&1 &
serve_pid=$!
wait_port "$ours"
wait_port "$control"
wait_port "$bouncer"
as() { PGWARD_URL="https://127.0.0.1:$control" PGWARD_CA="$dir/certs/ca.crt" PGWARD_TOKEN=$1 "$pgward" "${@:2}"; }
request=$(as "$(echo "$alice" | field token)" request bench --for 1h --reason bench -o json | field id)
as "$(echo "$bob" | field token)" approve "$request" >/dev/null 2>&1
our_password=$(as "$(echo "$alice" | field token)" credentials bench -o json | field password)

cpu() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($12 + $13) / hz * 1e6 }' "/proc/$1/stat"; }

one() { # one NAME PORT USER PASSWORD PID PROTOCOL: tps, and CPU microseconds per transaction of the proxy
  local before=0 after=0 out tps transactions
  [ -z "$5" ] || before=$(cpu "$5")
  out=$(PGPASSWORD=$4 "$bin/pgbench" -h 127.0.0.1 -p "$2" -U "$3" -n -S -M "$6" -c "$clients" -j 2 -T "$seconds" bench 2>&1) || die "$1: $out"
  [ -z "$5" ] || after=$(cpu "$5")
  tps=$(echo "$out" | sed -nE 's/^tps = ([0-9]+).*/\1/p')
  transactions=$(echo "$out" | sed -nE 's/.*actually processed: ([0-9]+).*/\1/p')
  awk -v n="$1" -v p="$6" -v tps="$tps" -v cpu="$after" -v b="$before" -v tx="$transactions" \
    'BEGIN { printf "%s %s %d %.2f\n", n, p, tps, (cpu - b) / tx }' >>"$dir/results"
}
for _ in $(seq 1 "$rounds"); do
  for protocol in $protocols; do
    one direct "$direct" bench bench_password '' "$protocol"
    one pgbouncer "$bouncer" bench bench_password "$pgbouncer_pid" "$protocol"
    one pgward "$ours" alice "$our_password" "$serve_pid" "$protocol"
  done
done

printf 'pgbench -S, %s clients over TLS, %s rounds of %s s, medians; pgward checks and records every statement\n' "$clients" "$rounds" "$seconds"
printf '%-10s %-10s %10s %14s %22s\n' protocol peer tps 'CPU us/txn' 'tps against PgBouncer'
for protocol in $protocols; do
  median() { awk -v n="$1" -v p="$protocol" -v f="$2" '$1 == n && $2 == p { print $f }' "$dir/results" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
  base=$(median pgbouncer 3)
  for peer in direct pgbouncer pgward; do
    tps=$(median $peer 3)
    printf '%-10s %-10s %10s %14s %21.2fx\n' "$protocol" "$peer" "$tps" "$(median $peer 4)" "$(awk -v a="$tps" -v b="$base" 'BEGIN { print a / b }')"
  done
done
