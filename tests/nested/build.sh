#!/bin/sh
# build.sh FOLDER SUITE: makes a Linux machine with KVM for nested.sh, from Debian 12's packages: vmlinuz, an initramfs,
# and a disk with QEMU, the artifacts under test and the program SUITE, the end-to-end tests. Root is not needed.
#
# The packages are kept in FOLDER/packages and FOLDER/loader; remove these folders to fetch newer ones.
set -eu

out=${1:?usage: build.sh FOLDER SUITE}
suite=${2:?usage: build.sh FOLDER SUITE}
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$project/target}
command -v mkfs.ext4 >/dev/null || PATH=$PATH:/usr/sbin:/sbin
command -v mkfs.ext4 >/dev/null || {
    echo "nested: mkfs.ext4 is missing: apt-get install e2fsprogs" >&2
    exit 1
}
mkdir -p "$out"
out=$(cd "$out" && pwd)
packages=$out/packages

# binutils: the tests' `boot image` strips kernels.
sh "$project/boot/debian-package.sh" bookworm-backports "$packages" whole:qemu-system-x86 whole:ovmf whole:seabios \
    whole:ipxe-qemu whole:iproute2 whole:util-linux whole:binutils
# The kernel of the Linux guest serves as host's, too.
linux=$target/guest/linux/packages
cp "$linux"/boot/vmlinuz-* "$out/vmlinuz"

# --- The initramfs ----------------------------------------------------------------------------------------------

# What init loads, with the modules that these need.
modules="ata_piix sd_mod crc32c_generic ext4 tun bridge kvm-intel kvm-amd"
version=$(basename "$linux"/lib/modules/*)
root=$out/initramfs
rm -rf "$root"
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/mnt" "$root/lib/modules/$version"
"$linux/bin/busybox" depmod -n -b "$linux" "$version" >"$root/lib/modules/$version/modules.dep"
for module in $modules; do
    # modules.dep: FILE: NEEDED...   Hyphens and underscores are the same in a module's name.
    awk -F: -v name="$module" '{ file = $1; sub(/.*\//, "", file); sub(/\.ko$/, "", file); gsub(/_/, "-", file); gsub(/_/, "-", name) }
        file == name { print $1 $2 }' "$root/lib/modules/$version/modules.dep"
done | tr ' ' '\n' | sort -u | while read -r file; do
    [ -n "$file" ] || continue
    mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
    cp "$linux/lib/modules/$version/$file" "$root/lib/modules/$version/$file"
done
cp "$linux/bin/busybox" "$root/bin/"
cp "$here/init" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0) >"$out/initrd.cpio"
rm -rf "$root"

# --- The disk ---------------------------------------------------------------------------------------------------

disk=$out/disk
rm -rf "$disk"
cp -a "$packages" "$disk"
rm -rf "$disk/usr/share/doc" "$disk/usr/share/man" "$disk/usr/share/locale" "$disk/usr/share/info"
mkdir -p "$disk/proc" "$disk/sys" "$disk/dev" "$disk/tmp" "$disk/var/tmp" "$disk/weir/qemu" "$disk/weir/release" "$disk/weir/guest/linux" \
    "$disk/weir/x86_64-hv/release" "$disk/weir/x86_64-unknown-uefi/release"
cp "$linux/bin/busybox" "$disk/bin/"
find "$target/x86_64-hv/release" -maxdepth 1 -type f -perm -1 -exec cp {} "$disk/weir/x86_64-hv/release/" \;
cp "$target/x86_64-unknown-uefi/release/weir-uefi.efi" "$disk/weir/x86_64-unknown-uefi/release/"
cp "$target/x86_64-unknown-linux-gnu/release/boot" "$disk/weir/release/"
cp "$target"/guest/linux/vmlinuz "$target"/guest/linux/vmlinux "$target"/guest/linux/initrd.cpio "$disk/weir/guest/linux/"
cp "$suite" "$disk/weir/suite"
printf '#!/bin/busybox sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n' >"$disk/weir/qemu/run"
chmod 755 "$disk/weir/qemu/run"
ln -s /usr/share/OVMF/OVMF_CODE_4M.fd "$disk/weir/qemu/OVMF_CODE.fd"
ln -s /usr/share/OVMF/OVMF_VARS_4M.fd "$disk/weir/qemu/OVMF_VARS.fd"
rm -f "$out/disk.img"
# Whole cylinders, as Bochs assumes a disk's geometry.
truncate -s $((4096 * 16 * 63 * 512)) "$out/disk.img"
mkfs.ext4 -q -O ^has_journal,^metadata_csum -d "$disk" "$out/disk.img"
rm -rf "$disk"

# --- A disk for Bochs, which boots from disks only --------------------------------------------------------------

loader=$out/loader
sh "$project/boot/debian-package.sh" bookworm "$loader" syslinux syslinux-common mtools
boot=$out/boot.img
cylinders=160
first=2048
sectors=$((cylinders * 16 * 63))
rm -f "$boot"
truncate -s $((sectors * 512)) "$boot"
# little_endian NUMBER: its four bytes, as escapes of printf.
little_endian() {
    printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24))
}
put() { dd of="$boot" bs=1 seek="$1" conv=notrunc status=none; }
dd if="$loader/usr/lib/SYSLINUX/mbr.bin" of="$boot" bs=440 count=1 conv=notrunc status=none
# One bootable partition of type 0Ch, FAT32 with logical addresses.
printf "\\200\\040\\041\\000\\014\\376\\377\\377$(little_endian $first)$(little_endian $((sectors - first)))" | put 446
printf '\125\252' | put 510
export MTOOLS_SKIP_CHECK=1 PATH="$loader/usr/bin:$PATH"
partition="$boot@@$((first * 512))"
mformat -i "$partition" -F -h 16 -s 63 -H $first -T $((sectors - first)) ::
syslinux --offset $((first * 512)) -i "$boot"
mcopy -i "$partition" "$out/vmlinuz" "$out/initrd.cpio" ::
