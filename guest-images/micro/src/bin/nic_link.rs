//! Reports each link-change interrupt of its NIC: `LINK up` or `LINK down`, and the time-stamp counter. A typed
//! `m` is answered with `MARK` and the time-stamp counter; `q` ends the guest.
#![no_std]
#![no_main]

use micro::console::key;
use micro::e1000::{self, Nic, register};
use micro::{Boot, Verdict, apic, line, pic, processor};

micro::guest!("nic_link", main);

/// Rate at which typed bytes are polled.
const HERTZ: u32 = 200;
/// ICR: link status change.
const LSC: u32 = 1 << 2;
/// STATUS: link up.
const LU: u32 = 1 << 1;

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    pic::start_timer(HERTZ);
    let nic = Nic::start()?;
    line!("READY");
    loop {
        processor::sleep();
        let now = processor::time_stamp();
        if e1000::take_causes() & LSC != 0 {
            let state = if nic.read(register::STATUS) & LU != 0 { "up" } else { "down" };
            line!("LINK {state} {now}");
        }
        match key() {
            Some(b'm') => line!("MARK {}", processor::time_stamp()),
            Some(b'q') => return Ok(()),
            _ => {}
        }
    }
}
