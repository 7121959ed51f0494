#!/bin/sh
# setup.sh: installs everything that building and running Weir needs; prints nothing if it is already there.
#
# From apt: the host's linker, the emulators, iproute2 for the tests' networks, cpio for the guest's initramfs and
# xz for its kernel. QEMU comes from the distribution if that version supports the NIC igb, else from Debian's
# backports, into the target folder.
# From rustup: the toolchain that rust-toolchain.toml pins, with the standard library's source and the llvm tools. If
# rustup cannot fetch these two, they come from Debian's packages of the same version. apt's sources are not changed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
setup=${CARGO_TARGET_DIR:-$root/target}/setup
version=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$root/rust-toolchain.toml")

fail() {
    echo "setup: $*" >&2
    exit 1
}

# --- Toolchain --------------------------------------------------------------------------------------------
# First, since it needs no package: what rustup cannot fetch is asked of apt, with the rest, below.

command -v cargo >/dev/null || fail "cargo is missing: install rustup (https://rustup.rs)"

# The Makefile selects the toolchain in the same way: rustup then uses it as it is, and does not insist on
# components that came from Debian.
export RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-$version}"

if command -v rustup >/dev/null && ! RUSTUP_AUTO_INSTALL=0 rustc --version >/dev/null 2>&1; then
    echo "Installing Rust $version"
    rustup --quiet toolchain install "$version" --profile minimal --no-self-update \
        -c rustfmt -c clippy -c rust-src -c llvm-tools
fi
case $(rustc --version) in
"rustc $version "*) ;;
*) fail "rust-toolchain.toml asks for Rust $version, and rustc is: $(rustc --version)" ;;
esac

library=$(rustc --print sysroot)/lib/rustlib
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$library/$host/bin

have_source() { [ -r "$library/src/rust/library/Cargo.lock" ]; }
have_tools() { [ -x "$tools/llvm-objcopy" ] && [ -x "$tools/llvm-objdump" ]; }
have_lints() { cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; }

# With a network three minutes are generous, and without one rustup fails at once. Its exit status is ignored: the
# callers check whether the component is there.
add_component() {
    if command -v rustup >/dev/null; then timeout 180 rustup --quiet component add "$@" >/dev/null 2>&1 || true; fi
}

have_lints || add_component rustfmt clippy
have_lints || fail "rustfmt and clippy are missing, and rustup cannot fetch them"
have_source || add_component rust-src
have_tools || add_component llvm-tools

# --- Packages ---------------------------------------------------------------------------------------------

command -v dpkg-query >/dev/null || fail "Debian 12, Debian 13 or Ubuntu is needed: dpkg was not found"
. /etc/os-release

missing() {
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
        [ "$status" = installed ] || printf ' %s' "$package"
    done
}

# Installs packages if permitted, and otherwise prints the command that does.
need() {
    packages=$(missing "$@")
    [ -n "$packages" ] || return 0
    install="apt-get install -y --no-install-recommends$packages"
    if [ "$(id -u)" = 0 ]; then
        run=
    elif sudo -n true 2>/dev/null; then
        run="sudo -n"
    else
        echo "setup: packages are missing; install them and run this again:" >&2
        if command -v sudo >/dev/null; then
            echo "    sudo apt-get update && sudo $install" >&2
        else
            echo "    su -c 'apt-get update && $install'" >&2
        fi
        exit 1
    fi
    echo "Installing$packages"
    export DEBIAN_FRONTEND=noninteractive
    # On a fresh machine the package lists may be old or absent: the second try updates them.
    # shellcheck disable=SC2086
    $run $install >/dev/null 2>&1 || { $run apt-get -qq update && $run $install >/dev/null; } ||
        fail "apt could not install$packages"
}

# target/qemu/run starts a QEMU that supports the NIC igb (8.0 or newer); the firmware for UEFI is next to it.
qemu=$(dirname "$setup")/qemu

have_qemu() {
    [ -x "$qemu/run" ] && [ -r "$qemu/OVMF_CODE.fd" ] && [ -r "$qemu/OVMF_VARS.fd" ] &&
        "$qemu/run" -device help 2>/dev/null | grep -q '"igb"'
}

# True if apt's QEMU is new enough. On a fresh machine apt has no lists yet; of the distributions that are supported only
# Debian 12 has an older one.
apt_has_qemu() {
    candidate=$(apt-cache policy qemu-system-x86 2>/dev/null | sed -n 's/^  Candidate: //p')
    case $candidate in
    '' | '(none)') [ "${VERSION_CODENAME:-}" != bookworm ] ;;
    *) dpkg --compare-versions "$candidate" ge 1:8.0 ;;
    esac
}

packages="gcc libc6-dev bochs bochs-sdl bochsbios vgabios iproute2 util-linux cpio xz-utils debian-archive-keyring"
if ! have_qemu && apt_has_qemu; then packages="$packages qemu-system-x86 ovmf seabios ipxe-qemu"; fi
have_tools || packages="$packages llvm"
# shellcheck disable=SC2086
need $packages

# --- QEMU ---------------------------------------------------------------------------------------------------

if ! have_qemu; then
    mkdir -p "$qemu"
    # A library of this machine that an earlier QEMU used may be gone: a QEMU that does not run is fetched again.
    rm -rf "$qemu/root"
    if apt_has_qemu; then
        files=/usr
        printf '#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n' >"$qemu/run"
    else
        [ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ] ||
            fail "apt has no QEMU 8.0 or newer (candidate: ${candidate:-none}):" \
                "Debian 12 or 13 or Ubuntu 24.04 is needed"
        sh "$root/boot/debian-package.sh" "$VERSION_CODENAME-backports" "$qemu/root" closure:qemu-system-x86 \
            closure:ovmf closure:seabios closure:ipxe-qemu || fail "cannot fetch QEMU from Debian's backports"
        files=root/usr
        cat >"$qemu/run" <<'END'
#!/bin/sh
# QEMU from extracted packages.
root=$(cd "$(dirname "$0")" && pwd)/root
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu"
exec "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
    -L "$root/usr/lib/ipxe/qemu" "$@"
END
    fi
    chmod 755 "$qemu/run"
    ln -sf "$files/share/OVMF/OVMF_CODE_4M.fd" "$qemu/OVMF_CODE.fd"
    ln -sf "$files/share/OVMF/OVMF_VARS_4M.fd" "$qemu/OVMF_VARS.fd"
    have_qemu || fail "QEMU does not run or does not support igb: try $qemu/run -device help"
fi

# --- Parts of the toolchain that rustup could not fetch -----------------------------------------------------

if ! have_source; then
    echo "Fetching the source of Rust's standard library"
    sh "$root/boot/debian-package.sh" trixie-backports "$setup/rust-src" "rust-src=$version*" ||
        fail "neither rustup nor Debian has rust-src $version: see https://rustup.rs for a mirror"
    rm -rf "$library/src/rust"
    mkdir -p "$library/src/rust"
    mv "$setup/rust-src/usr/src/rustc-$version/library" "$library/src/rust/"
    rm -rf "$setup/rust-src"
    have_source || fail "the source of the standard library is missing in $library/src/rust"
fi

if ! have_tools; then
    for tool in llvm-objcopy llvm-objdump; do
        ln -sf "$(command -v "$tool")" "$tools/$tool"
    done
    have_tools || fail "llvm-objcopy and llvm-objdump are missing in $tools"
fi
