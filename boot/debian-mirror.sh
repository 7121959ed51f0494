#!/bin/sh
# debian-mirror.sh: prints the URL of a Debian mirror: WEIR_DEBIAN_MIRROR, or the mirror that this machine's apt
# uses. Prints nothing if neither is known.
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
