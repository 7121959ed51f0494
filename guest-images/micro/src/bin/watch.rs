//! Watches the time-stamp counter and nothing else, and prints once a second the longest time between two readings:
//! how long the guest stood still. It needs no NIC, and interrupts stay disabled, except with `interrupts=on`. It
//! watches for `seconds=` seconds, or with `for=ever` until it is stopped from outside.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, line, pic, processor};

micro::guest!("watch", main);

fn main(boot: &Boot) -> Verdict {
    let seconds = boot.command_line.number("seconds", 3);
    let for_ever = boot.command_line.value("for") == Some("ever");
    let interrupts = boot.command_line.value("interrupts") == Some("on");
    let second = pic::ticks_per_second();
    let micros = |ticks: u64| ticks * 1_000_000 / second;
    line!("READY");
    let (mut passed, mut longest_of_all) = (0, 0);
    while for_ever || passed < seconds {
        // What the guest prints is not part of what it watches.
        let start = processor::time_stamp();
        let (mut last, mut longest) = (start, 0);
        while last - start < second {
            if interrupts {
                processor::take_interrupts();
            }
            let now = processor::time_stamp();
            longest = longest.max(now - last);
            last = now;
        }
        passed += 1;
        longest_of_all = longest.max(longest_of_all);
        line!("longest pause {} us in second {passed}", micros(longest));
    }
    line!("longest pause {} us in {passed} seconds", micros(longest_of_all));
    Ok(())
}
