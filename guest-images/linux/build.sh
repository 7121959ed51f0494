#!/bin/sh
# Builds the Linux guest from Debian's packages: the kernel as vmlinuz and unpacked as vmlinux, and an initramfs
# with busybox-static and modules from the kernel package.
#
#   build.sh FOLDER [PROGRAM ...]     puts vmlinuz, vmlinux and initrd.cpio into FOLDER, the programs into its /bin
#
# The packages are Debian 12's, independent of this machine's distribution. They are kept in FOLDER/packages;
# remove that folder to fetch a newer kernel. Root is not needed.
set -eu

out=${1:?usage: build.sh FOLDER [PROGRAM ...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
packages=$out/packages
root=$out/root

# Paths below the package's lib/modules/VERSION/kernel. The modules are copied flat into /modules. init loads
# e1000; the others are for VLANs, of which 8021q must be loaded last, for drivers in user space, of which uio must be
# loaded first, and for bonds.
modules="
    drivers/net/ethernet/intel/e1000/e1000.ko
    net/llc/llc.ko
    net/802/stp.ko
    net/802/garp.ko
    net/802/mrp.ko
    net/8021q/8021q.ko
    drivers/uio/uio.ko
    drivers/uio/uio_pci_generic.ko
    net/tls/tls.ko
    drivers/net/bonding/bonding.ko
"

sh "$here/../../boot/debian-package.sh" bookworm "$packages" depends:linux-image-amd64 busybox-static
cp "$packages"/boot/vmlinuz-* "$out/vmlinuz"

# Prints a field of the kernel's setup header [Linux boot protocol], given its offset and size in bytes.
header() {
    od -An -v -j "$1" -N "$2" -t "u$2" "$out/vmlinuz" | tr -d ' '
}

# Unpacking the kernel takes more instructions than all the rest of a boot. Debian's kernels are packed with xz;
# the length of the unpacked kernel follows the stream.
start=$((($(header 497 1) + 1) * 512 + $(header 584 4)))
tail -c "+$((start + 1))" "$out/vmlinuz" | head -c "$(($(header 588 4) - 4))" | xz -dc >"$out/vmlinux.new"
mv "$out/vmlinux.new" "$out/vmlinux"

rm -rf "$root"
mkdir -p "$root/bin" "$root/dev" "$root/modules" "$root/proc" "$root/sys" "$root/tests" "$root/tmp"
cp "$here/init" "$root/init"
cp "$packages/bin/busybox" "$root/bin/"
for module in $modules; do
    cp "$packages"/lib/modules/*/kernel/"$module" "$root/modules/"
done
for test in "$here"/tests/*.sh; do
    if [ -f "$test" ]; then cp "$test" "$root/tests/$(basename "$test" .sh)"; fi
done
for program in "$@"; do
    cp "$program" "$root/bin/"
done
chmod 755 "$root/init" "$root"/bin/*

# Not compressed, since an emulator copies faster than it unpacks. Order, owners and times are fixed, so that the
# same input gives the same bytes.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible) >"$out/initrd.cpio.new"
mv "$out/initrd.cpio.new" "$out/initrd.cpio"
rm -rf "$root"
