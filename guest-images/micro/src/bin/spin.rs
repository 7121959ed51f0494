//! Never sleeps: counts for `seconds=` of its time-stamp counter with interrupts off, or, with `for=ever`, until it
//! is stopped from outside, and says every second how far it has come.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, ensure, line, processor};

micro::guest!("spin", main);

/// Ticks of the time-stamp counter a second: EBX / EAX of the crystal frequency in ECX [SDM2A CPUID, leaf 15h].
fn ticks_per_second() -> u64 {
    let leaf = processor::cpuid(0x15, 0);
    u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax.max(1))
}

fn main(boot: &Boot) -> Verdict {
    let seconds = boot.command_line.number("seconds", 2);
    let for_ever = boot.command_line.value("for") == Some("ever");
    let second = ticks_per_second();
    ensure!(second != 0, "CPUID does not say how fast the time-stamp counter runs");
    let (mut rounds, mut passed) = (0u64, 0);
    let start = processor::time_stamp();
    while for_ever || passed < seconds {
        let end = start + second * u64::from(passed + 1);
        while processor::time_stamp() < end {
            rounds += 1;
        }
        passed += 1;
        if for_ever {
            line!("{passed} s");
        }
    }
    line!("rounds: {rounds}");
    Ok(())
}
