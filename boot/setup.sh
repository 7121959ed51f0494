#!/bin/sh
# Brings a machine to where Weir can be built and tested: Debian 12 and 13, Ubuntu. Says nothing when there
# is nothing to do. Never edits apt's sources; needs root only for apt-get install.
set -eu

cd "$(dirname "$0")/.."
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
# The toolchain file names components; rustup would try to fetch missing ones at every call.
export RUSTUP_TOOLCHAIN="$version"
state=$PWD/target/setup

say() { echo "setup: $*" >&2; }

# What is needed, by a file that shows it is there and the package that brings it.
missing_packages() {
    while read -r file package; do
        case $file in
            /*) [ -e "$file" ] || echo "$package" ;;
            *) command -v "$file" > /dev/null || echo "$package" ;;
        esac
    done <<END
cc gcc
strip binutils
make make
bochs bochs
/usr/share/doc/bochs-sdl bochs-sdl
/usr/share/bochs/BIOS-bochs-latest bochsbios
/usr/share/vgabios/vgabios-stdvga.bin vgabios
llvm-objcopy llvm
cpio cpio
ip iproute2
unshare util-linux
/usr/include/stdlib.h libc6-dev
END
}

install_packages() {
    packages=$(missing_packages | sort -u | tr '\n' ' ')
    [ -z "$packages" ] && return
    command="apt-get install -y --no-install-recommends $packages"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2> /dev/null; then
        as_root=sudo
    else
        say "these packages are missing; as root, run:"
        say "    apt-get update && $command"
        exit 1
    fi
    say "installing $packages"
    # An old list is good enough when the packages are still there; else it is renewed.
    export DEBIAN_FRONTEND=noninteractive
    $as_root $command > /dev/null 2>&1 || {
        $as_root apt-get update > /dev/null
        $as_root $command > /dev/null
    }
}

check_rust() {
    command -v rustup > /dev/null && command -v cargo > /dev/null || {
        say "rustup is missing: install it from https://rustup.rs, with toolchain $version"
        exit 1
    }
    rustc --version > /dev/null 2>&1 || rustup toolchain install "$version" --profile minimal -c rustfmt -c clippy || {
        say "rustup cannot install toolchain $version"
        exit 1
    }
    sysroot=$(rustc --print sysroot)
    bin=$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    source=$sysroot/lib/rustlib/src/rust
}

# rust-src and llvm-tools: from rustup where it can, else from Debian.
install_components() {
    if [ ! -f "$source/library/Cargo.lock" ] || [ ! -e "$bin/llvm-objcopy" ]; then
        say "adding rust-src and llvm-tools to toolchain $version"
        timeout 120 rustup component add rust-src llvm-tools > /dev/null 2>&1 || true
    fi
    [ -f "$source/library/Cargo.lock" ] || rust_src_from_debian
    for tool in llvm-objcopy llvm-objdump; do
        [ -e "$bin/$tool" ] || ln -s "$(command -v $tool)" "$bin/$tool"
    done
}

rust_src_from_debian() {
    say "rustup cannot fetch rust-src: taking Debian's package of the same version"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f "$keyring" ] && option="signed-by=$keyring" || option="trusted=yes"
    echo "deb [$option] ${WEIR_DEBIAN_MIRROR:-http://deb.debian.org/debian} trixie-backports main" > "$state/sources.list"
    : > "$state/status"
    set -- -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$state" \
        -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
        -o APT::Architecture=amd64 -o APT::Sandbox::User="$(id -un)"
    apt-get "$@" update
    (cd "$state" && rm -f rust-src_*.deb && apt-get "$@" download "rust-src=$version*") || {
        say "Debian has no rust-src $version: run 'rustup component add rust-src' where there is a network"
        exit 1
    }
    rm -rf "$state/unpacked"
    dpkg-deb -x "$state"/rust-src_*.deb "$state/unpacked"
    rm -rf "$source"
    mkdir -p "$(dirname "$source")"
    mv "$state/unpacked/usr/src/rustc-$version" "$source"
    rm -rf "$state/unpacked" "$state"/rust-src_*.deb
}

install_packages
check_rust
install_components
