//! Reads and writes I/O ports in all widths and with string instructions: every port where a PC has devices, and a
//! sample of the others; of all these, one in `every=`. It passes if it is still running afterwards.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, acpi, console, ensure, line, ports};

micro::guest!("port_storm", main);

/// Keyboard controller, fast reset, reset control: a write may request a reset.
const RESETS: [u16; 3] = [0x64, 0x92, 0xcf9];
/// Every port below this one is tried. Above it, a guest's PC has only PCI functions, with 64 consecutive ports
/// each.
const ALL_BELOW: u16 = 0x1000;
/// From there on, every seventh port is tried.
const STEP: usize = 7;
/// A port without a device in any PC.
const UNUSED: u16 = 0x1fe8;

fn tried(every: usize) -> impl Iterator<Item = u16> {
    (0..ALL_BELOW).chain((ALL_BELOW..=u16::MAX).step_by(STEP)).step_by(every)
}

fn main(boot: &Boot) -> Verdict {
    let power = acpi::power_port(boot.rsdp);
    ensure!(power.is_some(), "no power-off port to leave out");
    let power = power.unwrap_or(0);
    let asks_for_the_end = |port: u16| {
        RESETS
            .iter()
            .chain([&power])
            .any(|&spared| (port..=port.saturating_add(3)).contains(&spared) || port == spared + 1)
    };

    let read = (ports::read_byte(UNUSED), ports::read_word(UNUSED), ports::read_dword(UNUSED));
    ensure!(read == (u8::MAX, u16::MAX, u32::MAX), "port {UNUSED:#x} reads {read:x?}");
    let mut bytes = [0; 16];
    ports::read_string(UNUSED, &mut bytes);
    ensure!(bytes == [0xff; 16], "REP INSB from port {UNUSED:#x} reads {bytes:x?}");

    // One in none would be none.
    let every = boot.command_line.number("every", 1).max(1) as usize;
    for port in tried(every) {
        let _ = (ports::read_byte(port), ports::read_word(port), ports::read_dword(port));
    }
    line!("read");
    for port in tried(every).filter(|&port| !asks_for_the_end(port)) {
        ports::write_byte(port, 0xff);
        ports::write_word(port, 0);
        ports::write_dword(port, 0x5a5a_5a5a);
    }
    console::start();
    line!("written");
    for port in (0..=u16::MAX).step_by(61 * every).filter(|&port| !asks_for_the_end(port)) {
        ports::read_string(port, &mut bytes);
        ports::write_string(port, &bytes);
    }
    console::start();
    Ok(())
}
