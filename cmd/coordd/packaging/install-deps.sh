#!/bin/sh
# Installs what coord needs from Debian's own archive, and nothing else.
#
#   install-deps.sh                to build, run and test
#   install-deps.sh --lint         also what `make lint` uses; likewise --fuzz, --bench, --compat,
#                                  --faults
#   install-deps.sh --check [...]  only say what is missing; exit 1 when something is
#
# Looks first and changes nothing when everything is there, so it works offline and a second run
# is a no-op. Runs as root or through sudo, never asks.
#
# The one package that needs care is libraft. Debian 13 has 0.22.1 in main. Debian 12 has 0.15.0
# in main, which loses acknowledged writes, and 0.22.1 in bookworm-backports. That suite is then
# added from the mirror this machine already uses, in one sources file, together with one pin file
# that keeps every other package of it out of reach. Existing apt files are never touched, and a
# machine that has backports configured keeps its own entry.
set -eu

raft_wanted=0.22.1
sources_base=/etc/apt/sources.list.d/coord-libraft
pin_file=/etc/apt/preferences.d/coord-libraft

packages_build='gcc make libc6-dev dpkg-dev pkgconf git curl python3 jq
    libuv1-dev libsqlite3-dev libjansson-dev libnghttp2-dev libssl-dev libedit-dev openssl check
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libldns-dev bind9-dnsutils'
packages_lint='shellcheck cppcheck libzookeeper-mt-dev' # whose header one of ours includes
packages_fuzz='clang libclang-rt-dev llvm'
packages_bench='etcd-server zookeeper nghttp2-client gnuplot-nox'
packages_compat="python3-grpcio python3-protobuf
    nodejs golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev
    protoc-gen-go-1-5 protoc-gen-go-grpc protobuf-compiler-grpc
    zookeeper zookeeper-bin libzookeeper-mt-dev python3-kazoo libcurator-recipes-java"
packages_faults='iproute2 e2fsprogs mount util-linux python3-kazoo'
# Some packages of nodejs bring their own npm, which Debian's would not go along with.
command -v npm >/dev/null 2>&1 || packages_compat="$packages_compat npm"
command -v javac >/dev/null 2>&1 || packages_compat="$packages_compat default-jdk-headless"

say() { echo "install-deps: $*"; }
die() { echo "install-deps: $*" >&2; exit 1; }

# --- what is asked for ---------------------------------------------------------------------------
check_only=no
wanted=$packages_build
for argument in "$@"; do
    case $argument in
    --check) check_only=yes ;;
    --lint) wanted="$wanted $packages_lint" ;;
    --fuzz) wanted="$wanted $packages_fuzz" ;;
    --bench) wanted="$wanted $packages_bench" ;;
    --compat) wanted="$wanted $packages_compat" ;;
    --faults) wanted="$wanted $packages_faults" ;;
    *) die "unknown option '$argument' (--check, --lint, --fuzz, --bench, --compat, --faults)" ;;
    esac
done

# --- what is missing -----------------------------------------------------------------------------
is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

raft_version() { pkg-config --modversion raft 2>/dev/null || true; }

raft_is_right() {
    [ "$(raft_version)" = "$raft_wanted" ] &&
        [ -e "$(pkg-config --variable=libdir raft)/libraft.a" ]
}

missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done
raft_is_right || missing="$missing libraft-dev=$raft_wanted"

if [ -z "$missing" ]; then
    [ "$check_only" = yes ] || say "everything is there already"
    exit 0
fi
if [ "$check_only" = yes ]; then
    echo "missing:$missing"
    exit 1
fi

# --- from here on the machine is changed, which takes root ----------------------------------------
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing:$missing. Run this as root, or install sudo."
    exec sudo -- "$0" "$@"
fi

[ -r /etc/os-release ] || die "no /etc/os-release: not Debian? Install by hand:$missing"
# shellcheck disable=SC1091
. /etc/os-release
[ "${ID:-}:${VERSION_CODENAME:+named}" = debian:named ] ||
    die "this installer knows Debian 12 and 13, this is ${PRETTY_NAME:-unknown}. Install by hand:$missing"

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=1 "$@" </dev/null; }

# Every configured package index as "<origin>|<codename>|<suite asked for>|<component>|<mirror>|
# <file:entry>". apt itself reads its files here, so both source formats, mirror lists, comments
# and disabled entries come out right.
# shellcheck disable=SC2016
indexes() {
    apt-get indextargets \
        --format '$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)' \
        'Created-By: Packages'
}

# The version of a package ($1) in any configured suite that starts with $2.
version_in_archive() {
    apt-cache madison "$1" | awk -v want="$2" '
        $3 == want || index($3, want "-") == 1 { print $3; exit }'
}

# Prints "<mirror>|<file:entry>" of this machine's main archive. Entries that call themselves
# Debian's come first: other vendors also name their suites after Debian's.
main_archive() {
    indexes | awk -F'|' -v codename="$VERSION_CODENAME" '
        ($2 == codename || $3 == codename) && $4 == "main" && $5 ~ /^(https?|mirror[a-z+]*|tor[a-z+]*):/ {
            if ($1 == "Debian" && debian == "") debian = $5 "|" $6
            if (any == "") any = $5 "|" $6
        }
        END { print debian != "" ? debian : any }'
}

# Writes the backports entry: the main archive's own entry ($2 = file:entry, for its keys and
# options) with mirror $1 and another suite.
write_sources() {
    suite=$VERSION_CODENAME-backports
    file=${2%:*}
    entry=${2##*:}
    note="# Added by coord for libraft only; see $pin_file."
    case $file in
    *.sources)
        sources_file=$sources_base.sources
        {
            echo "$note"
            printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$1" "$suite"
            # The entry's other fields, with their continuation lines.
            awk -v entry="$entry" '
                BEGIN { RS = ""; FS = "\n" }
                { has_field = 0
                  for (i = 1; i <= NF; i++) if ($i !~ /^#/) has_field = 1
                  if (!has_field || ++stanza != entry) next
                  for (i = 1; i <= NF; i++) {
                      if ($i ~ /^#/ || $i ~ /^[ \t]*$/) continue
                      if ($i !~ /^[ \t]/) {
                          name = tolower($i); sub(/:.*/, "", name)
                          skip = name ~ /^(types|uris|suites|components|enabled|x-repolib-name)$/
                      }
                      if (!skip) print $i
                  } }' "$file"
        } >"$sources_file"
        ;;
    *)
        sources_file=$sources_base.list
        options=$(sed -n "${entry}s/^[[:space:]]*deb[[:space:]]*\(\[[^]]*\]\).*/\1 /p" "$file")
        printf '%s\ndeb %s%s %s main\n' "$note" "$options" "$1" "$suite" >"$sources_file"
        ;;
    esac
}

write_pin() {
    cat >"$pin_file" <<END
# Added by coord: libraft $raft_wanted comes from $VERSION_CODENAME-backports.
Package: src:raft
Pin: release n=$VERSION_CODENAME-backports
Pin-Priority: 600

# Nothing else does. Delete this part to use backports for more.
Package: *
Pin: release n=$VERSION_CODENAME-backports
Pin-Priority: -1
END
}

# Adds the backports suite where that is the one that has libraft 0.22.1, unless this machine has
# it already. When it turns out not to help, both files go away again.
add_backports() {
    suite=$VERSION_CODENAME-backports
    ! indexes | cut -d'|' -f2,3 | grep -qF "$suite" || return 0
    archive=$(main_archive)
    [ -n "$archive" ] || die "no apt source that answers offers $VERSION_CODENAME main;" \
        "apt-get update says more"
    write_sources "${archive%%|*}" "${archive#*|}"
    write_pin
    apt update || true
    if [ -z "$(version_in_archive libraft-dev "$raft_wanted")" ]; then
        rm -f "$sources_file" "$pin_file"
        say "${archive%%|*} has no libraft $raft_wanted in $suite; removed that suite again"
        return 0
    fi
    say "libraft $raft_wanted is in $suite: added $sources_file (same mirror as" \
        "$VERSION_CODENAME) and $pin_file (only libraft may come from it)"
}

present=$(raft_version)
if [ -n "$present" ] && dpkg --compare-versions "$present" gt "$raft_wanted"; then
    die "libraft $present is installed, coord needs $raft_wanted: later versions change who owns" \
        "the memory handed over. Nothing of yours is removed; to go on, remove libraft-dev and" \
        "libraft0 and run this again."
fi

say "missing:$missing"
# A broken entry for something else must not stop us; what we need is looked for below.
apt update || say "apt-get update had errors (above), going on with what there is"

raft_packages=
if ! raft_is_right; then
    version=$(version_in_archive libraft-dev "$raft_wanted")
    if [ -z "$version" ] && [ "$VERSION_CODENAME" = bookworm ]; then
        add_backports
        version=$(version_in_archive libraft-dev "$raft_wanted")
    fi
    offered=$(apt-cache madison libraft-dev | awk '{ printf "%s%s", sep, $3; sep = ", " }')
    [ -n "$version" ] || die "coord needs libraft $raft_wanted, the archive offers" \
        "${offered:-none}. 0.15.0 loses acknowledged writes, and other versions change who owns" \
        "the memory handed over, so no other one will do. Debian 12 has it in bookworm-backports," \
        "Debian 13 in main; otherwise build $raft_wanted from source and make pkg-config find it."
    raft_packages=libraft-dev=$version
fi

list=
for package in $wanted; do
    is_installed "$package" || list="$list $package"
done
# shellcheck disable=SC2086
apt install -y --no-install-recommends $list $raft_packages >/dev/null ||
    die "apt-get could not install:$missing"

raft_is_right || die "libraft is $(raft_version) after installing, coord needs $raft_wanted." \
    "Another raft.pc is found first: pkg-config --variable=pcfiledir raft says which."
say "done"
