//! Reads and writes the whole register window of its NIC in all widths, aligned and unaligned, and checks that the
//! NIC works again after a reset.
#![no_std]
#![no_main]

use micro::e1000::{WINDOW, register::IMC};
use micro::stack::Host;
use micro::{Boot, Verdict, ensure, line, mmio};

micro::guest!("odd_widths", main);

/// The registers of the 82540EM end below this offset [8254x table 13-2].
const REGISTERS_END: u64 = 0x6000;
const PATTERNS: [u64; 2] = [0, 0xffff_ffff_ffff_ffff];

fn read_all_widths(at: u64) {
    let _ = mmio::read_byte(at);
    let _ = mmio::read_word(at);
    let _ = mmio::read_dword(at);
    let _ = mmio::read_qword(at);
}

#[expect(clippy::cast_possible_truncation, reason = "each width writes the lower part of the value")]
fn write_all_widths(at: u64, value: u64) {
    mmio::write_byte(at, value as u8);
    mmio::write_word(at, value as u16);
    mmio::write_dword(at, value as u32);
    mmio::write_qword(at, value);
}

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let peer = boot.command_line.address("peer");
    ensure!(peer.is_some(), "the command line has no peer=a.b.c.d");
    let peer = peer.unwrap_or_default();
    host.nic.write(IMC, u32::MAX);
    let window = host.nic.window();

    for offset in 0..REGISTERS_END {
        read_all_widths(window + offset);
    }
    line!("read");
    // Every dword at its aligned address, and every fourth one also at its other bytes.
    for offset in (0..REGISTERS_END).filter(|offset| offset % 4 == 0 || offset % 16 < 4) {
        for value in PATTERNS {
            write_all_widths(window + offset, value);
        }
    }
    line!("written");
    // Across page boundaries, and up to the last address of each width.
    for border in (0x1000..WINDOW).step_by(0x1000) {
        for offset in border - 8..border + 8 {
            read_all_widths(window + offset);
            write_all_widths(window + offset, 0x5a5a_5a5a_5a5a_5a5a);
        }
    }
    for offset in WINDOW - 16..=WINDOW - 8 {
        read_all_widths(window + offset);
        write_all_widths(window + offset, u64::MAX);
    }
    line!("borders");

    host.nic.initialise()?;
    let mac = host.resolve(peer, 10);
    ensure!(mac.is_some(), "{peer} does not answer after the reset");
    let answers = host.ping((mac.unwrap_or_default(), peer), 5);
    ensure!(answers > 0, "no ping of 5 was answered after the reset");
    Ok(())
}
