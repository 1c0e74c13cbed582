#!/bin/sh
# Builds Debian packages from what `make install` installs: coord (both programs, the service, manual
# pages, completions), libcoord0 and libcoord-dev. As anybody, without debhelper.
#
#   deb.sh OUTPUT-DIR VERSION      (in the repository, after make)
set -eu
output=$1
# A Debian version begins with a digit and has no dash here, as there is no revision.
version=$(printf '%s' "$2" | sed -e 's/^v\([0-9]\)/\1/' -e 's/-/+/g' -e 's/^\([^0-9]\)/0+\1/')
# A bare commit may begin with a digit, but a release must always count as later.
case $version in *.*) ;; *) version=0+git.$version ;; esac
packaging=$(dirname "$0")
arch=$(dpkg --print-architecture)
mkdir -p "$output"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

make install DESTDIR="$stage/all" PREFIX=/usr >/dev/null
umask 022

# --- what goes where -----------------------------------------------------------------------------
mkdir -p "$stage/debian" "$stage/coord/usr" "$stage/libcoord-dev/usr/share/man"
(cd "$stage/all/usr" && mv bin share "$stage/coord/usr/" && mv lib include "$stage/libcoord-dev/usr/")
mv "$stage/coord/usr/share/man/man3" "$stage/libcoord-dev/usr/share/man/"
mkdir -p "$stage/libcoord0/usr/lib"
mv "$stage"/libcoord-dev/usr/lib/libcoord.so.0 "$stage/libcoord0/usr/lib/"
install -D -m 644 "$packaging/coordd.service" "$stage/coord/usr/lib/systemd/system/coordd.service"
install -D -m 644 "$packaging/coordd.json" "$stage/coord/etc/coord/coordd.json"
gzip -9n "$stage"/*/usr/share/man/man?/*
for package in coord libcoord0 libcoord-dev; do
    install -D -m 644 LICENSE "$stage/$package/usr/share/doc/$package/copyright"
done
strip --strip-unneeded "$stage"/coord/usr/bin/*
strip --strip-debug "$stage"/libcoord-dev/usr/lib/*.a
strip --strip-unneeded "$stage"/libcoord0/usr/lib/*.so.*

# --- control files -------------------------------------------------------------------------------
# What the programs are linked with, by the packages that are installed here.
printf 'Source: coord\n\nPackage: coord\nArchitecture: any\n' >"$stage/debian/control"
needs() {
    (cd "$stage" && dpkg-shlibdeps -O --ignore-missing-info "$@" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
}

# Usage: control PACKAGE SECTION DEPENDS DESCRIPTION LONG
control() {
    mkdir -p "$stage/$1/DEBIAN"
    cat >"$stage/$1/DEBIAN/control" <<END
Package: $1
Version: $version
Architecture: $arch
Maintainer: The coord developers <coord@localhost>
Installed-Size: $(du -sk "$stage/$1" | cut -f1)
Section: $2
Priority: optional
Depends: $3
Description: $4
 $5
END
    (cd "$stage/$1" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
        xargs -0 md5sum >DEBIAN/md5sums)
}
control coord net "$(needs coord/usr/bin/coordd coord/usr/bin/coordctl), adduser" "small and fast coordination service" \
    "A replicated tree of nodes with versions, watches, sessions and leases, for other
 clusters that ask who is alive and who leads. It speaks gRPC, ZooKeeper's protocol and
 HTTP on one port."
control libcoord0 libs "$(needs libcoord0/usr/lib/libcoord.so.0)" \
    "C client of coord, a coordination service (library)" \
    "What programs built with libcoord-dev load."
echo 'activate-noawait ldconfig' >"$stage/libcoord0/DEBIAN/triggers"
control libcoord-dev libdevel "libcoord0 (= $version), libnghttp2-dev, libprotobuf-c-dev, libssl-dev" \
    "C client of coord, a coordination service" \
    "Headers, static library and pkg-config file of libcoord."

echo /etc/coord/coordd.json >"$stage/coord/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "$packaging/deb/$script" "$stage/coord/DEBIAN/$script"
done

for package in coord libcoord0 libcoord-dev; do
    dpkg-deb --root-owner-group --build "$stage/$package" \
        "$output/${package}_${version}_$arch.deb" >/dev/null
    echo "$output/${package}_${version}_$arch.deb"
done
