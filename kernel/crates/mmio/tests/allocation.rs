//! Decoding does not allocate once its tables are built.

mod common;

use common::hex;
use mmio::{CpuMode, decode, prepare, wide};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::FakeRegisters;

/// Bytes requested from the allocator so far.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller fulfils the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller fulfils the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test in this file: for a second one, the harness would allocate at the same time.
#[test]
fn decoding_allocates_only_while_preparing() {
    let before = ALLOCATED.load(Ordering::Relaxed);
    prepare();
    let prepared = ALLOCATED.load(Ordering::Relaxed);
    println!("the decoder's tables take {} bytes", prepared - before);
    assert!(prepared > before, "nothing was prepared");
    assert!(prepared - before < 128 << 10);

    let instructions: Vec<_> =
        ["8b 03", "c7 03 01 00 00 00", "f3 a5", "0f 29 03", "c5 fe 6f 03", "0f"].map(hex).into();
    let mut registers = FakeRegisters::numbered();
    let before = ALLOCATED.load(Ordering::Relaxed);
    for bytes in &instructions {
        for mode in [CpuMode::Bits16, CpuMode::Bits32, CpuMode::Bits64] {
            if let Ok(access) = decode(bytes, mode, &registers) {
                let _ = access.complete(0, &mut registers);
            }
            if let Ok(access) = wide::decode(bytes, mode, &registers) {
                access.complete(&[0; 32], &mut registers);
            }
        }
    }
    assert_eq!(ALLOCATED.load(Ordering::Relaxed), before);
}
