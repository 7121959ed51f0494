#!/bin/sh
# Builds a Linux guest whose root is a disk on the network: an initramfs that connects to an NBD server, and the disk's
# image, which is ext4 with busybox and a script as its only programs.
#
#   build.sh FOLDER LINUX     puts initrd.cpio, disk.img and the programs qemu-nbd and nbd-client into FOLDER; LINUX is the
#                             folder of guest-images/linux/build.sh
#
# The packages are Debian 12's, as the kernel is. Root is not needed, neither here nor for the server.
set -eu

out=${1:?usage: build.sh FOLDER LINUX}
linux=${2:?usage: build.sh FOLDER LINUX}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
linux=$(cd "$linux" && pwd)
packages=$out/packages
root=$out/root

# In the order in which they are loaded.
modules="
    drivers/net/ethernet/intel/e1000/e1000.ko
    drivers/block/nbd.ko
    crypto/crc32c_generic.ko
    lib/crc16.ko
    fs/mbcache.ko
    fs/jbd2/jbd2.ko
    fs/ext4/ext4.ko
"

sh "$here/../../boot/debian-package.sh" bookworm "$packages" whole:nbd-client whole:qemu-utils whole:e2fsprogs

# A program of these packages runs with their own loader and libraries, whatever distribution this machine has.
libraries=$packages/lib/x86_64-linux-gnu:$packages/usr/lib/x86_64-linux-gnu
loader=$packages/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$packages/usr/bin/qemu-nbd" \
    >"$out/qemu-nbd"
chmod 755 "$out/qemu-nbd"

# The disk. Its blocks are no smaller than those of the device, which `connect` chooses.
rm -rf "$root"
for folder in bin dev proc sys; do mkdir -p "$root/$folder"; done
cp "$linux/packages/bin/busybox" "$root/bin/"
cp "$here/init" "$root/init"
chmod 755 "$root/init" "$root/bin/busybox"
rm -f "$out/disk.img"
"$loader" --library-path "$libraries" "$packages/sbin/mke2fs" -q -t ext4 -b 4096 -E root_owner=0:0 -d "$root" \
    "$out/disk.img" 64M

# The initramfs. nbd-client takes its libraries with it.
rm -rf "$root"
for folder in bin dev lib modules proc sys disk; do mkdir -p "$root/$folder"; done
cp "$linux/packages/bin/busybox" "$packages/sbin/nbd-client" "$root/bin/"
"$loader" --library-path "$libraries" --list "$packages/sbin/nbd-client" | sed -n 's/.*=> \(.*\) (.*/\1/p' | while read -r library; do
    cp -L "$library" "$root/lib/"
done
cp "$here/connect" "$root/init"
: >"$root/modules/order"
for module in $modules; do
    cp "$linux"/packages/lib/modules/*/kernel/"$module" "$root/modules/"
    basename "$module" >>"$root/modules/order"
done
chmod 755 "$root/init" "$root"/bin/*
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible) >"$out/initrd.cpio.new"
mv "$out/initrd.cpio.new" "$out/initrd.cpio"
rm -rf "$root"
