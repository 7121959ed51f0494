//! Resets itself in a way that the command line names: by a jump to the firmware, below 1 MiB (`low`) or below 4 GiB
//! (`high`), by port 92h (`port`), or by a breakpoint without a handler (`trap`). It prints no verdict: Weir reports
//! the reset, and starts it again.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, console, ensure, line, ports, trap};

micro::guest!("reset_ways", main);

fn main(boot: &Boot) -> Verdict {
    let way = boot.command_line.text();
    line!("about to reset: {way}");
    console::drain();
    // SAFETY: the guest ends here on purpose.
    unsafe {
        match way {
            "low" => core::arch::asm!("jmp {}", in(reg) 0xf_fff0_u64, options(noreturn)),
            "high" => core::arch::asm!("jmp {}", in(reg) 0xffff_fff0_u64, options(noreturn)),
            "trap" => {
                trap::load_idt(0, 0);
                core::arch::asm!("int3");
            }
            _ => ports::write_byte(0x92, 3),
        }
    }
    ensure!(false, "still running after a reset");
    Ok(())
}
