#!/bin/sh
# debian-package.sh SUITE FOLDER PACKAGE...: fetches packages of a Debian suite and extracts them into FOLDER.
# A PACKAGE may name its version as apt does, rust-src=1.95.0*, stand for those that it depends on,
# depends:linux-image-amd64, or come with what it needs and this machine has not installed: closure:qemu-system-x86.
#
# apt does it with sources, lists and cache of its own under the target folder, so neither root nor a change
# of the machine's configuration is needed. What was fetched before is not fetched again: FOLDER/.fetched
# names the packages that are in it.
set -eu

fail() {
    echo "debian-package: $*" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 3 ] || fail "usage: debian-package.sh SUITE FOLDER PACKAGE..."
suite=$1
folder=$2
shift 2
if [ -r "$folder/.fetched" ] && [ "$(cat "$folder/.fetched")" = "$*" ]; then
    exit 0
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
rm -rf "$folder"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
state=$folder/.apt
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
# Nothing counts as installed, unless what is installed here need not be fetched.
status=$state/status
: >"$status"
case "$*" in
*closure:*) status=/var/lib/dpkg/status ;;
esac
uri=$(sh "$here/debian-mirror.sh")
[ -n "$uri" ] || fail "this machine's apt knows no mirror of Debian: set WEIR_DEBIAN_MIRROR to the URL of one"
# Backports stand on the suite that they are for.
for part in "$suite" "${suite%-backports}"; do
    echo "deb [arch=amd64 signed-by=$keyring] $uri $part main"
done | sort -u >"$state/sources.list"

apt() {
    program=$1
    shift
    "$program" -qq \
        -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$status" \
        -o Dir::Cache="$state/cache" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

echo "Fetching $* of Debian $suite"
apt apt-get update || fail "cannot read the package lists of Debian $suite"
for package in "$@"; do
    case $package in
    closure:*) ;;
    depends:*) apt apt-cache depends "${package#depends:}" | sed -n 's/^ *Depends: //p' ;;
    *) echo "$package" ;;
    esac
done >"$state/packages"
for package in "$@"; do
    case $package in closure:*) echo "${package#closure:}" ;; esac
done >"$state/closures"
if [ -s "$state/packages" ]; then
    (cd "$state" && apt apt-get download $(cat packages)) || fail "cannot fetch $(cat "$state/packages")"
fi
if [ -s "$state/closures" ]; then
    # Nothing is installed, so nothing need be locked, and no root is needed.
    apt apt-get install --download-only --no-install-recommends -y -o Debug::NoLocking=true -t "$suite" \
        $(cat "$state/closures") >/dev/null || fail "cannot fetch $(cat "$state/closures")"
    mv "$state"/cache/archives/*.deb "$state"
fi
for package in "$state"/*.deb; do
    dpkg-deb -x "$package" "$folder"
done
rm -rf "$state"
echo "$*" >"$folder/.fetched"
