#!/usr/bin/env bash
# Makes a Debian package of a program that was built already, by dpkg-deb alone: scripts/build-deb.sh [PROGRAM] [FOLDER].
# PROGRAM is target/release/pgward unless said, the package goes to target/debian. The same files as [package.metadata.deb] in Cargo.toml.
#   DEB_REVISION=2          what stands behind the version; 1
#   DEB_MAINTAINER='…'      instead of Cargo.toml's
#   DEB_ARCH=arm64          of a program for another machine than this
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/pgward}
folder=${2:-target/debian}

[ -f "$program" ] || { echo "$program is not there: cargo build --release --locked --bin pgward" >&2; exit 1; }
command -v dpkg-deb >/dev/null || { echo "dpkg-deb is missing" >&2; exit 1; }

# The first line of Cargo.toml that gives KEY.
value() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" Cargo.toml | head -1; }
version=$(value version)-${DEB_REVISION:-1}
maintainer=${DEB_MAINTAINER:-$(value maintainer)}
summary="just-in-time access proxy for PostgreSQL"
arch=${DEB_ARCH:-$(dpkg --print-architecture)}

# The same sources make the same package: times are those of the last commit unless SOURCE_DATE_EPOCH says otherwise.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
root=$work/root
put() { install -D -p -m "$1" "$2" "$root/$3"; }
put 755 "$program" usr/bin/pgward
if command -v strip >/dev/null && [ "$arch" = "$(dpkg --print-architecture)" ]; then
  # What is no program, as in a trial of this script, has nothing to strip.
  strip --strip-unneeded --remove-section=.comment "$root/usr/bin/pgward" 2>/dev/null || echo "$program was not stripped" >&2
fi
put 640 deploy/debian/proxy.toml etc/pgward/proxy.toml
chmod 750 "$root/etc/pgward"
put 644 deploy/systemd/pgward.service usr/lib/systemd/system/pgward.service
put 644 deploy/systemd/pgward.socket usr/lib/systemd/system/pgward.socket
put 644 proxy.toml usr/share/doc/pgward/examples/proxy.toml
put 644 deploy/prometheus/alerts.yml usr/share/doc/pgward/examples/alerts.yml
put 644 deploy/grafana/pgward.json usr/share/doc/pgward/examples/grafana.json
put 644 deploy/debian/changelog usr/share/doc/pgward/changelog.Debian
sed -i "1s/(.*)/($version)/" "$root/usr/share/doc/pgward/changelog.Debian"
gzip -9n "$root/usr/share/doc/pgward/changelog.Debian"
cat >"$root/usr/share/doc/pgward/copyright" <<EOF
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: pgward

Files: *
Copyright: 2026 The pgward contributors
License: Apache-2.0
 On Debian systems the text of the license is in
 /usr/share/common-licenses/Apache-2.0.
EOF

# The C library of the machine that the program was built on, or newer: asked of the program where dpkg-dev is there.
libraries=
if command -v dpkg-shlibdeps >/dev/null && [ "$arch" = "$(dpkg --print-architecture)" ]; then
  mkdir -p "$work/debian"
  printf 'Source: pgward\n\nPackage: pgward\nArchitecture: any\n' >"$work/debian/control"
  libraries=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/pgward 2>/dev/null | sed -n 's/^shlibs:Depends=//p') || true
fi
if [ -z "$libraries" ]; then
  libraries="libc6, libgcc-s1"
  echo "which libraries the program needs was not asked: $libraries" >&2
fi

mkdir -p "$root/DEBIAN"
for script in postinst prerm postrm; do put 755 "deploy/debian/$script" "DEBIAN/$script"; done
echo /etc/pgward/proxy.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
cat >"$root/DEBIAN/control" <<EOF
Package: pgward
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -k -s --exclude=DEBIAN "$root" | cut -f1)
Depends: $libraries, adduser, init-system-helpers (>= 1.54~), procps
Recommends: ca-certificates
Suggests: postgresql-client
Section: database
Priority: optional
Description: $summary
$(sed 's/^/ /' deploy/debian/description)
EOF

find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$folder"
dpkg-deb --root-owner-group -Zxz --build "$root" "$folder/pgward_${version}_$arch.deb"
