//! Loads an empty interrupt descriptor table and faults, so that the processor shuts down. It prints no verdict:
//! Weir reports the triple fault.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, console, ensure, line, trap};

micro::guest!("triple_fault", main);

fn main(_: &Boot) -> Verdict {
    line!("about to fault three times");
    console::drain();
    // SAFETY: the guest ends here on purpose.
    unsafe {
        trap::load_idt(0, 0);
        core::arch::asm!("ud2");
    }
    ensure!(false, "still running after a triple fault");
    Ok(())
}
