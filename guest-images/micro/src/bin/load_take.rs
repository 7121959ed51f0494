//! Receives `frames=` frames of a load test. It announces itself until the first one arrives, and returns
//! descriptors to the NIC `burst=` at a time.
#![no_std]
#![no_main]

use micro::e1000::{MAX_FRAME, Nic};
use micro::{Boot, Verdict, apic, line, load, pic, processor};

micro::guest!("load_take", main);

/// Time between two announcements, in ticks of the time-stamp counter.
const PAUSE: u64 = 1_000_000;

fn main(boot: &Boot) -> Verdict {
    let frames = boot.command_line.number("frames", 1000);
    pic::start();
    apic::start();
    let mut nic = Nic::start()?;
    nic.give_back_every(boot.command_line.number("burst", 1));
    line!("READY");
    let mut frame = [0; MAX_FRAME];
    let mut announcement = [0; 60];
    load::write_head(&mut announcement, [0xff; 6], nic.mac);
    let mut taken = 0;
    while taken < frames {
        match nic.receive(&mut frame) {
            Some(length) => taken += u32::from(load::is_load(&frame[..length])),
            None if taken == 0 => {
                nic.send(&announcement);
                processor::wait_ticks(PAUSE);
            }
            None => processor::sleep(),
        }
    }
    Ok(())
}
