//! Never sleeps: counts for `seconds=` of its time-stamp counter with interrupts off, or, with `for=ever`, until it
//! is stopped from outside, and says every second how far it has come. With `interrupts=on` it takes interrupts meanwhile.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, line, pic, processor};

micro::guest!("spin", main);

const HERTZ: u32 = 100;
/// How long the time-stamp counter is measured.
const TICKS: u32 = 20;

/// Ticks of the time-stamp counter a second, by the 8254.
fn ticks_per_second() -> u64 {
    pic::start();
    pic::start_timer(HERTZ);
    let wait_for = |tick: u32| {
        while pic::ticks() < tick {
            processor::sleep();
        }
        processor::time_stamp()
    };
    let start = wait_for(1);
    let measured = wait_for(1 + TICKS) - start;
    pic::mask(0);
    measured / u64::from(TICKS) * u64::from(HERTZ)
}

fn main(boot: &Boot) -> Verdict {
    let seconds = boot.command_line.number("seconds", 2);
    let for_ever = boot.command_line.value("for") == Some("ever");
    let interrupts = boot.command_line.value("interrupts") == Some("on");
    let second = ticks_per_second();
    let (mut rounds, mut passed) = (0u64, 0);
    let start = processor::time_stamp();
    while for_ever || passed < seconds {
        let end = start + second * u64::from(passed + 1);
        while processor::time_stamp() < end {
            rounds += 1;
            if interrupts {
                processor::take_interrupts();
            }
        }
        passed += 1;
        if for_ever {
            line!("{passed} s");
        }
    }
    line!("rounds: {rounds}");
    Ok(())
}
