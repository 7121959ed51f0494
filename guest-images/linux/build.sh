#!/bin/sh
# Builds the Linux guest from Debian's packages: vmlinuz as it is, and an initramfs of busybox and the
# kernel package's own modules.
#
#   build.sh FOLDER [PROGRAM …]     puts vmlinuz and initrd.cpio into FOLDER, the programs into /bin
#
# Needs curl or apt, dpkg-deb, cpio, and busybox from the package busybox-static. No root. Packages are taken
# from Debian 12 whatever this machine runs, with an apt state of its own in FOLDER/apt.
set -eu

out=${1:?usage: build.sh FOLDER [PROGRAM …]}
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
mirror=${WEIR_DEBIAN_MIRROR:-http://deb.debian.org/debian}
modules="drivers/net/ethernet/intel/e1000/e1000"

# A private apt that knows Debian 12's archive and nothing else.
apt_get() {
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial" "$out/apt/etc"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f "$keyring" ] && option="signed-by=$keyring" || option="trusted=yes"
    echo "deb [$option] $mirror bookworm main" > "$out/apt/sources.list"
    : > "$out/apt/status"
    apt-get -qq -o Dir::Etc::sourcelist="$out/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State="$out/apt" -o Dir::State::lists="$out/apt/lists" -o Dir::State::status="$out/apt/status" \
        -o Dir::Cache="$out/apt/cache" -o APT::Architecture=amd64 -o APT::Sandbox::User="$(id -un)" "$@"
}

fetch_kernel() {
    [ -f "$out/vmlinuz" ] && [ -d "$out/lib/modules" ] && return
    echo "guest image: fetching Debian's kernel" >&2
    apt_get update
    # linux-image-amd64 depends on the current kernel's package.
    kernel=$(apt-cache -o Dir::Etc::sourcelist="$out/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State="$out/apt" -o Dir::State::lists="$out/apt/lists" -o Dir::State::status="$out/apt/status" \
        -o Dir::Cache="$out/apt/cache" depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$out" && rm -f ./*.deb && apt_get download "$kernel" busybox-static)
    for package in "$out"/linux-image-*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$out" --wildcards './boot/vmlinuz-*' './lib/modules/*'
    done
    for package in "$out"/busybox-static_*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$out" ./bin/busybox
    done
    mv "$out"/boot/vmlinuz-* "$out/vmlinuz"
    rm -f "$out"/*.deb
}

build_initrd() {
    root=$out/root
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/modules" "$root/tests"
    cp "$out/bin/busybox" "$root/bin/busybox"
    for module in $modules; do
        cp "$out"/lib/modules/*/kernel/$module.ko "$root/modules/"
    done
    cp "$here/init" "$root/init"
    for test in "$here"/tests/*; do
        [ -f "$test" ] && cp "$test" "$root/tests/"
    done
    for program in "$@"; do
        cp "$program" "$root/bin/"
    done
    chmod 755 "$root/init" "$root/bin/"*
    # Uncompressed: an emulator copies faster than it unpacks. Owners and times are fixed, so that the same
    # input gives the same bytes.
    find "$root" -exec touch -h -d @0 {} +
    (cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) > "$out/initrd.cpio"
    echo "guest image: $(stat -c %s "$out/vmlinuz") bytes of kernel, $(stat -c %s "$out/initrd.cpio") of initramfs" >&2
}

fetch_kernel
build_initrd "$@"
