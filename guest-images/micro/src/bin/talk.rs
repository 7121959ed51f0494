//! Answers each line that is typed with the bytes that came, until it is `end`. Its first line is bold, its prompt has
//! no line end: what a terminal sees of a shell.
#![no_std]
#![no_main]

use core::fmt::Write as _;
use micro::console::{Console, key};
use micro::{Boot, Verdict, apic, ensure, line, pic, processor};

micro::guest!("talk", main);

/// Longest line taken.
const LONGEST: usize = 128;
/// Looks for typed bytes in a second, while none come.
const HERTZ: u32 = 100;

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    pic::start_timer(HERTZ);
    line!("\x1b[1mREADY\x1b[0m");
    loop {
        let _ = Console.write_str("talk# ");
        let mut typed = [0; LONGEST];
        let mut length = 0;
        loop {
            match key() {
                // Somebody who types is slower than the timer.
                None => processor::sleep(),
                Some(b'\n') => break,
                Some(byte) => {
                    ensure!(length < LONGEST, "more than {LONGEST} bytes");
                    typed[length] = byte;
                    length += 1;
                }
            }
        }
        let typed = &typed[..length];
        line!("\nHEARD {}", typed.escape_ascii());
        if typed == b"end" {
            return Ok(());
        }
    }
}
