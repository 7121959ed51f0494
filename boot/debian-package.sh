#!/bin/sh
# debian-package.sh SUITE FOLDER PACKAGE...: fetches packages of a Debian suite and extracts them into FOLDER.
# A PACKAGE may have a version in apt's syntax (rust-src=1.95.0*), stand for its direct dependencies
# (depends:linux-image-amd64), include the dependencies that are not installed here (closure:qemu-system-x86), or
# include all dependencies (whole:qemu-system-x86).
#
# apt runs with its own sources, lists and cache under the target folder, so neither root nor a change of the
# machine's configuration is needed. FOLDER/.fetched lists the packages in FOLDER: they are not fetched again.
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
# apt sees no package as installed, except for a closure, which omits the packages that are installed here.
status=$state/status
: >"$status"
case "$*" in
*closure:*) status=/var/lib/dpkg/status ;;
esac
uri=$(sh "$here/debian-mirror.sh")
[ -n "$uri" ] || fail "this machine's apt has no Debian mirror: set WEIR_DEBIAN_MIRROR to the URL of one"
# A backports suite needs the suite that it extends.
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
    closure:* | whole:*) ;;
    depends:*) apt apt-cache depends "${package#depends:}" | sed -n 's/^ *Depends: //p' ;;
    *) echo "$package" ;;
    esac
done >"$state/packages"
for package in "$@"; do
    case $package in closure:* | whole:*) echo "${package#*:}" ;; esac
done >"$state/closures"
if [ -s "$state/packages" ]; then
    (cd "$state" && apt apt-get download $(cat packages)) || fail "cannot fetch $(cat "$state/packages")"
fi
if [ -s "$state/closures" ]; then
    # Nothing is installed, so neither a lock nor root is needed.
    apt apt-get install --download-only --no-install-recommends -y -o Debug::NoLocking=true -t "$suite" \
        $(cat "$state/closures") >/dev/null || fail "cannot fetch $(cat "$state/closures")"
    mv "$state"/cache/archives/*.deb "$state"
fi
for package in "$state"/*.deb; do
    dpkg-deb -x "$package" "$folder"
done
rm -rf "$state"
echo "$*" >"$folder/.fetched"
