#!/bin/sh
# debian-mirror.sh: prints the URL of a mirror of Debian, WEIR_DEBIAN_MIRROR or the one that this machine's apt uses;
# nothing where neither is known.
set -eu

if [ -n "${WEIR_DEBIAN_MIRROR:-}" ]; then
    echo "$WEIR_DEBIAN_MIRROR"
    exit 0
fi
. /etc/os-release
if [ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ]; then
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$VERSION_CODENAME" '$1 == suite && $2 ~ /\/debian\/?$/ { print $2; exit }'
fi
