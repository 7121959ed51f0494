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

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    line!("\x1b[1mREADY\x1b[0m");
    loop {
        let _ = Console.write_str("talk# ");
        let mut typed = [0; LONGEST];
        let mut length = 0;
        loop {
            // As in `typed_line`.
            processor::take_interrupts();
            match key() {
                None => {}
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
