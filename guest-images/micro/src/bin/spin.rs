//! A busy loop: counts for `seconds=` seconds of its time-stamp counter with interrupts disabled. With `for=ever`
//! it runs until it is stopped from outside, and prints the number of seconds every second. With `interrupts=on`
//! it handles interrupts meanwhile; with `naps=on` it halts up to 100 times a second, each time for 2 ms at most.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, line, pic, processor};

micro::guest!("spin", main);

fn main(boot: &Boot) -> Verdict {
    let seconds = boot.command_line.number("seconds", 2);
    let for_ever = boot.command_line.value("for") == Some("ever");
    let [interrupts, naps] = ["interrupts", "naps"].map(|name| boot.command_line.value(name) == Some("on"));
    let second = pic::ticks_per_second();
    let (mut rounds, mut passed) = (0u64, 0);
    if naps {
        pic::start();
        pic::start_timer(100);
    }
    let start = processor::time_stamp();
    let mut nap = start;
    while for_ever || passed < seconds {
        let end = start + second * u64::from(passed + 1);
        while processor::time_stamp() < end {
            rounds += 1;
            if interrupts {
                processor::take_interrupts();
            }
            if naps && processor::time_stamp() >= nap {
                processor::sleep();
                nap = processor::time_stamp() + second / 125;
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
