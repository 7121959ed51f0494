//! Causes `count=` exits of one kind, `kind=`, in a row, for counting what each costs:
//!
//! * `register`: reads STATUS of the NIC, a register whose reads change nothing;
//! * `wrmsr`: writes IA32_TSC_DEADLINE, as Linux does at every tick, with a deadline far away;
//! * `port`: writes the scratch register of COM1;
//! * `hlt`: sleeps until the local APIC's timer, which is periodic, interrupts it. The end of that interrupt is a write
//!   of an x2APIC register, a second exit.
#![no_std]
#![no_main]

use micro::apic::{self, TimerMode};
use micro::e1000::{Nic, register::STATUS};
use micro::{Boot, Verdict, ensure, pic, ports, processor, trap};

micro::guest!("exits", main);

/// Scratch register of COM1 [PC16550D 8.8].
const SCRATCH: u16 = 0x3ff;
const VECTOR: u8 = 0x40;
/// Period in counts, of 640 ns with the clock of Weir's local APIC: longer than what the interrupt before takes.
const PERIOD: u32 = 1000;
/// Ticks of the time-stamp counter until a deadline that is not reached: each write sets another one.
const FAR: u64 = 1 << 40;

fn main(boot: &Boot) -> Verdict {
    let count = boot.command_line.number("count", 1000);
    let kind = boot.command_line.value("kind").unwrap_or("port");
    pic::start();
    apic::start();
    match kind {
        "register" => {
            let (nic, _) = Nic::find()?;
            let first = nic.read(STATUS);
            let same = (1..count).filter(|_| nic.read(STATUS) == first).count();
            ensure!(same + 1 == count as usize, "STATUS changes");
        }
        "wrmsr" => {
            apic::set_deadline(VECTOR, processor::time_stamp() + FAR);
            for _ in 1..count {
                apic::move_deadline(processor::time_stamp() + FAR);
            }
        }
        "port" => (0..count).for_each(|_| ports::write_byte(SCRATCH, 0x5a)),
        "hlt" => {
            apic::use_x2apic();
            apic::start_timer(VECTOR, TimerMode::Periodic, PERIOD);
            while trap::count(VECTOR) < count {
                processor::sleep();
            }
            apic::stop_timer();
        }
        other => ensure!(false, "kind={other} is unknown"),
    }
    Ok(())
}
