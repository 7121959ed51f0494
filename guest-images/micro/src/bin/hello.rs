//! Starts, prints its command line, checks the boot information, and powers off.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, ensure, line};

micro::guest!("hello", main);

fn main(boot: &Boot) -> Verdict {
    line!("command line: {}", boot.command_line.text());
    ensure!(boot.memory_end >= 8 << 20, "memory ends at {:#x}", boot.memory_end);
    ensure!(boot.rsdp.is_some(), "no ACPI root pointer");
    Ok(())
}
