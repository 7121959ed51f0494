//! Answers each typed line with the bytes received, until the line is `end`. As with a shell on a terminal, its
//! first line is bold and its prompt has no line end.
#![no_std]
#![no_main]

use core::fmt::Write as _;
use micro::console::{Console, key};
use micro::{Boot, Verdict, apic, ensure, line, pic, processor};

micro::guest!("talk", main);

/// Maximum length of a line.
const LONGEST: usize = 128;
/// Rate at which typed bytes are polled while none arrive.
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
                // Typing is slower than the timer.
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
