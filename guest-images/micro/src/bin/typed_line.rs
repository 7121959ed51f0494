//! Echoes every typed byte as it arrives, like a terminal's line discipline, and prints the whole line at its end.
#![no_std]
#![no_main]

use core::fmt::Write as _;
use micro::console::{Console, key};
use micro::{Boot, Verdict, apic, ensure, line, pic, processor};

micro::guest!("typed_line", main);

/// Maximum length of a line.
const LONGEST: usize = 5120;

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    line!("READY");
    let mut typed = [0; LONGEST];
    let mut length = 0;
    loop {
        // In Bochs 2.7, interrupts of the machine do not cause exits while the guest has its own interrupts
        // disabled.
        processor::take_interrupts();
        let Some(byte) = key() else { continue };
        if byte == b'\n' {
            break;
        }
        ensure!(length < LONGEST, "more than {LONGEST} bytes");
        typed[length] = byte;
        length += 1;
        // The echo is slower than the typing, so that bytes wait for this guest and not the other way round.
        let _ = Console.write_char(char::from(byte));
    }
    line!("\nTYPED {}", core::str::from_utf8(&typed[..length]).unwrap_or("no text"));
    Ok(())
}
