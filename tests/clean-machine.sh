#!/bin/sh
# clean-machine.sh [STEP]...: follows README.md on a machine without any preparation, and prints how long it took.
#
# The machine is Debian 12's smallest root file system, in target/clean-root, with git, make, curl, ca-certificates
# and rustup's pinned toolchain, without the source of the standard library and without the llvm tools. Steps:
#
#   root     creates it, and clones the committed state into it
#   setup    make setup, twice; the second call must print nothing
#   check    make check
#   test     make test
#   run      make run, until the guest's shell appears
#
# Without arguments, all steps but check. Needs root, debootstrap, and rustup with the toolchain; uses chroot.
# Everything runs in namespaces of its own: mounts and processes disappear when it ends, however it ends. The host
# is not changed.
set -eu

fail() {
    echo "clean-machine: $*" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
tree=$(dirname "$here")
root=$tree/target/clean-root
logs=$tree/target/clean-machine
version=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$tree/rust-toolchain.toml")
# Timeouts of the steps in seconds: several times their duration on two cores.
limit_setup=1200
limit_check=2400
limit_test=5400
limit_run=1800

if [ "${CLEAN_MACHINE:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || fail "needs root, for chroot and debootstrap"
    command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
    CLEAN_MACHINE=inside exec unshare --mount --pid --fork --kill-child sh "$here/clean-machine.sh" "$@"
fi

# --- The machine ------------------------------------------------------------------------------------------

make_root() {
    mirror=$(sh "$tree/boot/debian-mirror.sh")
    [ -n "$mirror" ] || fail "apt on this machine has no mirror of Debian: set WEIR_DEBIAN_MIRROR to the URL of one"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase bookworm "$root" "$mirror"
    # The host's access to the mirror and the registries: apt's settings and the trusted certificates.
    grep -l '^Acquire::' /etc/apt/apt.conf.d/* | while read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done
    cp /etc/resolv.conf "$root/etc/"
    mount_kernel
    inside apt-get update
    inside env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git make curl ca-certificates
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    copy_toolchain
    git clone --quiet --no-hardlinks "$tree" "$root/root/weir"
}

# rustup with the pinned toolchain in its default profile: without documentation, and without the components that
# only the kernel build needs.
copy_toolchain() {
    sysroot=$(RUSTUP_TOOLCHAIN=$version rustc --print sysroot)
    host=$(RUSTUP_TOOLCHAIN=$version rustc -vV | sed -n 's/^host: //p')
    toolchain=$root/root/.rustup/toolchains/$version-$host
    mkdir -p "$toolchain" "$root/root/.cargo/bin"
    tar -C "$sysroot" --exclude=./share --exclude=./lib/rustlib/src --exclude='./lib/rustlib/*/bin/llvm-*' -cf - . |
        tar -C "$toolchain" -xf -
    cp -a "$(dirname "$(command -v rustup)")/." "$root/root/.cargo/bin/"
}

# The file systems of a running kernel, only in this mount namespace.
mount_kernel() {
    mountpoint -q "$root/proc" && return
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
}

# Runs a command in the root, with an empty environment except for the access to the network.
inside() {
    env -i HOME=/root LANG=C.UTF-8 TERM=dumb PATH=/root/.cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${no_proxy:+no_proxy="$no_proxy"} chroot "$root" "$@"
}

# Runs a make goal in the clone, with a timeout in seconds.
make_inside() {
    seconds=$1
    shift
    inside timeout "$seconds" make --no-print-directory -C /root/weir "$@"
}

# --- Steps ------------------------------------------------------------------------------------------------

step_root() { make_root; }

step_setup() {
    make_inside $limit_setup setup
    again=$(make_inside 60 setup 2>&1)
    [ -z "$again" ] || fail "the second make setup is not silent: $again"
}

step_check() { make_inside $limit_check check; }

step_test() { make_inside $limit_test test; }

# The console is a file here: Weir runs until the shell's prompt appears, and is killed then.
step_run() {
    console=$logs/console
    make_inside $limit_run run </dev/null >"$console" 2>&1 &
    job=$!
    while ! grep -aq '| / # ' "$console"; do
        kill -0 $job 2>/dev/null || fail "make run ended before the guest's shell appeared: see $console"
        sleep 1
    done
    kill $job
    grep -a 'weir guest: up' "$console"
}

run_step() {
    echo "$1: $logs/$1.log"
    begin=$(date +%s)
    # In a condition the shell would not stop at a failed command.
    set +e
    (set -e && step_"$1") >"$logs/$1.log" 2>&1
    status=$?
    set -e
    [ $status = 0 ] || fail "$1 failed after $(($(date +%s) - begin)) s: $(tail -n 3 "$logs/$1.log")"
    echo "$1: $(($(date +%s) - begin)) s: $(tail -n 1 "$logs/$1.log")"
}

mkdir -p "$logs"
[ $# -gt 0 ] || set -- root setup test run
for step in "$@"; do
    case $step in
    root) ;;
    setup | check | test | run)
        [ -d "$root/root/weir" ] || fail "$root does not exist: run the step root first"
        mount_kernel
        ;;
    *) fail "unknown step $step: the steps are root, setup, check, test, run" ;;
    esac
    run_step "$step"
done
