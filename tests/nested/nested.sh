#!/bin/sh
# nested.sh FOLDER VENDOR [TEST...]: runs Weir's end-to-end tests under nested KVM in an emulated machine that build.sh has
# made: with VENDOR `svm` in QEMU's emulation of SVM, with `vtx` in Bochs' emulation of VT-x. Each TEST is a part of the
# names of tests; without one all run. Succeeds if all that ran passed, and prints their number last.
#
# The console is also in FOLDER/VENDOR/console.
set -eu

folder=$(cd "${1:?usage: nested.sh FOLDER VENDOR [TEST...]}" && pwd)
vendor=${2:?usage: nested.sh FOLDER VENDOR [TEST...]}
shift 2
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$(cd "$here/../.." && pwd)/target}
mine=$folder/$vendor
rm -rf "$mine"
mkdir -p "$mine"
console=$mine/console
: >"$console"
# Mitigations cost an emulator more than anything else, and protect nothing here.
options="console=ttyS0,115200 quiet panic=-1 mitigations=off nokaslr weir.tests=$(echo "$*" | tr ' ' ,)"
# Before 2.8, Bochs kept the blocking of NMIs from one VMCS to the next, such as from the guest's to Weir's own, whose next
# exits then tell Weir that the guest blocks NMIs for ever.
case $vendor:$(bochs --help 2>&1 | sed -n 's/.*Bochs x86 Emulator \([0-9.]*\).*/\1/p' | head -1) in
vtx:[01].* | vtx:2.[0-7] | vtx:2.[0-7].*)
    echo 'nested: kvm-vtx::events is left out: before 2.8, Bochs does not keep the blocking of NMIs apart'
    options="$options weir.skip=kvm-vtx::events"
    ;;
esac
# QEMU's TCG, 10.0 at least, ends with an assertion (tcg_handle_interrupt: bql_locked) when UEFI firmware runs under nested KVM.
if [ "$vendor" = svm ]; then
    echo 'nested: kvm-svm::uefi... is left out: QEMU does not survive it'
    options="$options weir.skip=kvm-svm::uefi"
fi
limit=${LIMIT:-14400}

case $vendor in
svm)
    # Without -icount: under it QEMU 10.0 delivers some interrupts twice that KVM injects by EVENTINJ. On one processor: its
    # thread for the processor changes the word of pending interrupts at VMRUN and #VMEXIT without the lock under which its main
    # thread sets bits there. One that is lost was the timer's, and Linux slept for ever (in four of six runs).
    timeout "$limit" taskset -c "$(taskset -pc $$ | sed 's/.*[: ,-]//')" "$target/qemu/run" -machine pc -accel tcg -cpu max,x2apic=off -m 3G -nodefaults -display none -no-reboot \
        -kernel "$folder/vmlinuz" -initrd "$folder/initrd.cpio" -append "$options" \
        -drive "if=ide,format=raw,snapshot=on,file=$folder/disk.img" -serial "file:$console" 2>"$mine/stderr" </dev/null &
    ;;
vtx)
    cp "$folder/boot.img" "$mine/boot.img"
    cp --sparse=always "$folder/disk.img" "$mine/disk.img"
    printf 'SERIAL 0 115200\nDEFAULT l\nPROMPT 0\nLABEL l\n KERNEL vmlinuz\n INITRD initrd.cpio\n APPEND %s\n' "$options" \
        >"$mine/syslinux.cfg"
    MTOOLS_SKIP_CHECK=1 "$folder/loader/usr/bin/mcopy" -i "$mine/boot.img@@$((2048 * 512))" "$mine/syslinux.cfg" ::
    # Not corei7_skylake_x, as the suite uses: its CPUID leaf 15h says 3.5 GHz whatever `ips` is, and Linux believes it. With
    # fewer instructions a second, a tick of Linux would be shorter than a few exits.
    cat >"$mine/bochsrc" <<END
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
config_interface: textconfig
display_library: sdl2
memory: guest=1536, host=1536
romimage: file="/usr/share/bochs/BIOS-bochs-latest", options=fastboot
vgaromimage: file="/usr/share/vgabios/vgabios-stdvga.bin"
cpu: model=corei7_haswell_4770, count=1, ips=200000000, reset_on_triple_fault=0, ignore_bad_msrs=1
pci: enabled=1, chipset=i440fx
ata0-master: type=disk, path="$mine/boot.img", mode=flat
ata0-slave: type=disk, path="$mine/disk.img", mode=flat
boot: disk
log: /dev/null
com1: enabled=1, mode=file, dev=$console
clock: sync=none, time0=946681200
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
    printf 'c\nquit\n' >"$mine/rc.dbg"
    SDL_VIDEODRIVER=dummy timeout "$limit" bochs -q -f "$mine/bochsrc" -rc "$mine/rc.dbg" >"$mine/bochs.out" 2>"$mine/stderr" </dev/null &
    ;;
*)
    echo "nested: $vendor is neither svm nor vtx" >&2
    exit 1
    ;;
esac
emulator=$!
trap 'kill $emulator 2>/dev/null || :' EXIT INT TERM
tail --pid=$emulator -n +1 -f "$console" | tr -d '\r' || :
wait $emulator || :
trap - EXIT INT TERM
rm -f "$mine/boot.img" "$mine/disk.img" "$mine"/*.lock
tr -d '\r' <"$console" | awk -v vendor="$vendor" '
    /^test result:/ { passed += $4; failed += $6; results++ }
    /^host: done/ { done = 1 }
    END {
        printf "nested KVM on %s: %d passed, %d failed%s\n", vendor, passed, failed, done ? "" : "; the machine did not end"
        exit !(done && results && passed && !failed)
    }'
