//! Throws its interrupt descriptor table away and faults: the processor shuts down. Prints no verdict; the
//! report is Weir's.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, console, ensure, line, trap};

micro::guest!("triple_fault", main);

fn main(_: &Boot) -> Verdict {
    line!("about to fault three times");
    console::drain();
    // SAFETY: the guest is meant to end here.
    unsafe {
        trap::load_idt(0, 0);
        core::arch::asm!("ud2");
    }
    ensure!(false, "still running after a triple fault");
    Ok(())
}
