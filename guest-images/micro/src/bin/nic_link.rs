//! Reports each link-change interrupt of its NIC: `LINK up` or `LINK down`, and the time-stamp counter. A typed
//! `m` is answered with `MARK` and the time-stamp counter; `q` ends the guest. With `unplugged` on its command line it
//! checks instead that its NIC gets no link.
#![no_std]
#![no_main]

use micro::console::key;
use micro::e1000::{self, Nic, register};
use micro::{Boot, Verdict, apic, ensure, line, pic, processor};

micro::guest!("nic_link", main);

/// Rate at which typed bytes are polled.
const HERTZ: u32 = 200;
/// ICR: link status change.
const LSC: u32 = 1 << 2;
/// STATUS: link up.
const LU: u32 = 1 << 1;
/// CTRL: the MAC uses the PHY's link.
const SLU: u32 = 1 << 6;

/// How often an unplugged NIC is asked for its link. The vNIC's negotiation takes no time.
const QUESTIONS: u32 = 1000;

fn main(boot: &Boot) -> Verdict {
    if boot.command_line.text() == "unplugged" {
        return unplugged();
    }
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

fn unplugged() -> Verdict {
    let (nic, _) = Nic::find()?;
    nic.write(register::CTRL, nic.read(register::CTRL) | SLU);
    let linked = (0..QUESTIONS).any(|_| nic.read(register::STATUS) & LU != 0);
    ensure!(!linked, "STATUS.LU is set");
    Ok(())
}
