#!/bin/sh
# Makes what compose.yaml mounts as secrets, in the folder `secrets` beside this script: an authority, the certificates of the store
# and of the replicas, and the store's passwords. As root, since each file belongs to who reads it in its container. What is there
# already is kept; remove the folder to begin anew (and the volume of the store, whose passwords are set at its first start).
#   sudo deploy/compose/prepare.sh [NAME...]     names that clients use for this machine, besides localhost
set -eu
umask 077

pgward=65532:65532   # the image's user
postgres=999:999     # the user of PostgreSQL's official Debian image
days=825

if [ "$(id -u)" -ne 0 ]; then
  echo "run as root: the files belong to the users of the containers" >&2
  exit 1
fi
command -v openssl >/dev/null || { echo "openssl is missing" >&2; exit 1; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$here/secrets"
cd "$here/secrets"
chmod 711 .

authority() {
  [ ! -e ca.crt ] || return 0
  openssl ecparam -genkey -name prime256v1 -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days "$days" -subj '/CN=pgward compose authority' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out ca.crt
  chmod 444 ca.crt
}

# certificate FILE OWNER NAMES
certificate() {
  [ ! -e "$1.crt" ] || return 0
  openssl ecparam -genkey -name prime256v1 -noout -out "$1.key"
  printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$3" >"$1.ext"
  openssl req -new -key "$1.key" -subj "/CN=$1" |
    openssl x509 -req -sha256 -days "$days" -CA ca.crt -CAkey ca.key -CAcreateserial -extfile "$1.ext" -out "$1.crt"
  rm -f "$1.ext"
  chmod 444 "$1.crt"
  chmod 400 "$1.key"
  chown "$2" "$1.key"
}

# password FILE OWNER
password() {
  [ -e "$1" ] || openssl rand -hex 24 >"$1"
  chmod 400 "$1"
  chown "$2" "$1"
}

names=DNS:pgward,DNS:pgward-a,DNS:pgward-b,DNS:pgward-c,DNS:localhost,IP:127.0.0.1
for name in "$@"; do names=$names,DNS:$name; done

authority
certificate store "$postgres" DNS:store
certificate server "$pgward" "$names"
password store-superuser "$postgres"
password store-pgward "$pgward"
# The same password once more, for the script that makes the role: pgward takes no password file that somebody else can read.
[ -e store-role ] || cp store-pgward store-role
password store-role "$postgres"
echo "made in $here/secrets; clients need ca.crt"
