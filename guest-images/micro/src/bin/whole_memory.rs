//! Tests that all memory below 4 GiB is there, was cleared, and is no two times the same: each page gets its address.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, ensure, line, mmio};

/// The guest itself, its stack and its boot information are below.
const FROM: u64 = 16 << 20;
const PAGE: usize = 4096;
const LARGE_PAGE: usize = 2 << 20;
/// What the last dword of a large page gets.
const TAIL: u64 = 0xfeed;

micro::guest!("whole_memory", main);

fn main(boot: &Boot) -> Verdict {
    let end = boot.memory_end;
    let pages = || (FROM..end).step_by(PAGE);
    for page in pages() {
        // At another offset in each page as well.
        let within = page | page >> 9 & 0xff8;
        for at in [page, within] {
            let value = mmio::read_qword(at);
            ensure!(value == 0, "{at:#x} holds {value:#x} at the start");
        }
    }
    pages().for_each(|page| mmio::write_qword(page, page));
    // From the last dword of a large page into the next one, which may be elsewhere in the machine's memory.
    for boundary in (FROM..end).step_by(LARGE_PAGE).skip(1) {
        mmio::write_qword(boundary - 4, boundary << 32 | TAIL);
        let tail = u64::from(mmio::read_dword(boundary - 4));
        ensure!(tail == TAIL, "the dword before {boundary:#x} is {tail:#x}");
    }
    for page in pages() {
        let value = mmio::read_qword(page);
        ensure!(value == page, "{page:#x} holds {value:#x}");
    }
    line!("{} pages up to {end:#x}", pages().count());
    Ok(())
}
