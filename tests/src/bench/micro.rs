//! The cost of a frame of a micro-guest, whose driver does no more than it must.

use super::Figure;
use super::cost::{Cost, LOCAL, WIRE, machine, per_frame};
use crate::{Outcome, Vm};

const SENDER_MAC: &str = "52:54:00:00:01:02";
const TAKER_MAC: &str = "52:54:00:00:01:03";
/// The taker's number as `load_send` knows stations, and one that nobody has.
const TAKER: u32 = 3;
const NOBODY: u32 = 99;
const FRAMES: [u32; 2] = [1000, 5000];

/// Length of the frames, and how many the guest hands over with one write of a tail register.
const LOADS: [(u32, u32); 3] = [(60, 1), (60, 16), (1514, 16)];

/// From a guest to a physical NIC that is on no wire.
pub fn transmit() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let name = name("transmit", load);
        figures.extend(send(&name, load, WIRE)?.figures(&name));
    }
    Ok(figures)
}

/// From a guest to a guest, less what it costs to send the same frames to nobody: the cost of having them received.
pub fn receive() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let name = name("receive", load);
        let nobody = send(&format!("{name}-nobody"), load, LOCAL)?;
        let both = per_frame(&name, "taker", FRAMES, |frames, _| {
            let (_, burst) = load;
            let taker = Vm::micro("taker", "load_take", &format!("frames={frames} burst={burst}"))?;
            let sender = sender(load, frames, &format!("to={TAKER} wait=1"))?;
            Ok(machine(vec![taker.nic_on(LOCAL, TAKER_MAC), sender.nic_on(LOCAL, SENDER_MAC)]))
        })?;
        let instructions = both.instructions - nobody.instructions;
        figures.extend(Cost { instructions, ..both }.figures(&name));
    }
    Ok(figures)
}

/// What it costs to send to nobody, by way of a physical NIC or not.
fn send(name: &str, load: (u32, u32), uplink: usize) -> Outcome<Cost> {
    per_frame(name, "sender", FRAMES, |frames, _| {
        let sender = sender(load, frames, &format!("to={NOBODY}"))?;
        Ok(machine(vec![sender.nic_on(uplink, SENDER_MAC)]))
    })
}

fn sender((bytes, burst): (u32, u32), frames: u32, more: &str) -> Outcome<Vm> {
    let command_line = format!("frames={frames} bytes={bytes} burst={burst} {more}");
    Vm::micro("sender", "load_send", &command_line)
}

fn name(way: &str, (bytes, burst): (u32, u32)) -> String {
    format!("{way}-{bytes}-bytes-{burst}-per-tail")
}
