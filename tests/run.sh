#!/bin/sh
# Runs all tests, host tests first, with their output, and prints the total at the end. Called by `make test`.
set -u
cd "$(dirname "$0")/.."
log=target/test.log
status=0

run() {
    { "$@" 2>&1 || echo "FAILED: $*"; } | tee -a "$log"
}

: > "$log"
# The tests of drivers against QEMU mostly wait for it.
run env RUST_TEST_THREADS=8 cargo test --workspace --exclude weir --exclude weir-uefi --exclude weir-bzimage --exclude micro --exclude boot --no-fail-fast
run cargo test --release -p boot --no-fail-fast
run cargo test -p micro --lib --no-fail-fast
run cargo test -p weir --no-fail-fast
run cargo test --release -p end-to-end --test end_to_end
grep -q '^FAILED: ' "$log" && status=1
awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }' "$log" || status=1
exit $status
