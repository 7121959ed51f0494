#!/bin/sh
# Chooses seeds for one fuzz target from its corpus: keep-seeds.sh TARGET [COUNT]. See README.md.
#
# libFuzzer reduces the corpus to a few inputs that together reach every branch that the corpus reaches; the COUNT
# longest of these, which reach most, become tests/fuzz/seeds/TARGET/found-*. Seeds with other names stay.
set -eu
target=${1:?usage: keep-seeds.sh TARGET [COUNT]}
count=${2:-16}

cd "$(dirname "$0")/../.."
build=${CARGO_TARGET_DIR:-target}/fuzz
seeds=tests/fuzz/seeds/$target
cover=$build/cover/$target
fuzzer=$build/x86_64-unknown-linux-gnu/release/libfuzzer
for needed in "$fuzzer" "$build/corpus/$target"; do
    [ -e "$needed" ] || { echo "keep-seeds.sh: $needed is missing: run tests/fuzz/fuzz.sh $target first" >&2; exit 1; }
done
rm -rf "$cover"
mkdir -p "$cover" "$seeds"

# libFuzzer reports its progress on the standard error output: shown only if it fails.
FUZZ_TARGET=$target "$fuzzer" -set_cover_merge=1 -use_counters=0 -max_len=1024 \
    "$cover" "$build/corpus/$target" "$seeds" 2>"$cover.log" || { cat "$cover.log" >&2; exit 1; }

rm -f "$seeds"/found-*
ls -S "$cover" | head -n "$count" | while read -r name; do
    cp "$cover/$name" "$seeds/found-$(printf %.8s "$name")"
done
echo "$target: $(ls "$seeds" | wc -l) seeds, $(cat "$seeds"/* | wc -c) bytes"
