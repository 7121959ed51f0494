//! Tests that addresses with neither RAM nor a device read as all ones, and that writes to them have no effect.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, ensure, mmio};

micro::guest!("unmapped_memory", main);

fn main(boot: &Boot) -> Verdict {
    let end = boot.memory_end;
    ensure!(end < 0xa000_0000, "memory ends at {end:#x}: no hole to look at");
    // The first page beyond any firmware tables, and one further up, each at an even and an odd address.
    for at in [end + 0x10_0000, end + 0x10_0ffd, 0xa800_0000, 0xa800_0001] {
        mmio::write_byte(at, 0x12);
        mmio::write_word(at, 0x1234);
        mmio::write_dword(at, 0x1234_5678);
        mmio::write_qword(at, 0x1234_5678_9abc_def0);
        let read = (mmio::read_byte(at), mmio::read_word(at), mmio::read_dword(at), mmio::read_qword(at));
        ensure!(read == (u8::MAX, u16::MAX, u32::MAX, u64::MAX), "{at:#x} reads {read:x?}");
    }
    let mut bytes = [0; 64];
    mmio::read_bytes(end + 0x20_0000, &mut bytes);
    ensure!(bytes == [0xff; 64], "REP MOVSB from unmapped memory reads {bytes:x?}");
    mmio::write_bytes(end + 0x20_0000, &bytes);
    Ok(())
}
