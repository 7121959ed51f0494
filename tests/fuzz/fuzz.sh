#!/bin/sh
# Runs one fuzz target under libFuzzer: fuzz.sh TARGET [SECONDS] [libFuzzer options]. See README.md.
set -eu
target=${1:?usage: fuzz.sh TARGET [SECONDS] [libFuzzer options]}
seconds=${2:-60}
shift; [ $# -eq 0 ] || shift

cd "$(dirname "$0")/../.."
build=${CARGO_TARGET_DIR:-target}/fuzz
corpus=$build/corpus/$target
seeds=tests/fuzz/seeds/$target
mkdir -p "$corpus"

# Coverage as libFuzzer wants it, and the checks of a debug build at the speed of a release build. The
# target is named so that build scripts are built without all this.
coverage=-sanitizer-coverage-level=4
for part in inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$part"
done
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=$coverage -Cdebug-assertions -Coverflow-checks" \
    CARGO_TARGET_DIR=$build cargo build --quiet --release -p fuzz --features libfuzzer --bin libfuzzer \
    --target x86_64-unknown-linux-gnu

FUZZ_TARGET=$target exec "$build/x86_64-unknown-linux-gnu/release/libfuzzer" \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="$build/$target-" "$@" "$corpus" "$seeds"
