//! The cost of a frame of a micro-guest, whose driver does only the minimum.

use super::Figure;
use super::cost::{Cost, LOCAL, WIRE, machine, per_frame};
use crate::{Outcome, VmSpec};

const SENDER_MAC: &str = "52:54:00:00:01:02";
const RECEIVER_MAC: &str = "52:54:00:00:01:03";
/// The receiver's station number for `load_send`, and one that no station has.
const RECEIVER: u32 = 3;
const NO_STATION: u32 = 99;
const FRAMES: [u32; 2] = [1000, 5000];

/// Length of the frames, and number of frames per write of a tail register.
const LOADS: [(u32, u32); 3] = [(60, 1), (60, 16), (1514, 16)];

/// From a guest to a physical NIC without a far side.
pub fn transmit() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let name = name("transmit", load);
        figures.extend(send(&name, load, WIRE)?.figures(&name));
    }
    Ok(figures)
}

/// From guest to guest, minus the cost of sending the same frames to an address that no guest has: the cost of
/// reception.
pub fn receive() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let name = name("receive", load);
        let unreceived = send(&format!("{name}-nobody"), load, LOCAL)?;
        let both = per_frame(&name, "taker", FRAMES, |frames, _| {
            let (_, burst) = load;
            let receiver = VmSpec::micro("taker", "load_take", &format!("frames={frames} burst={burst}"))?;
            let sender = sender(load, frames, &format!("to={RECEIVER} wait=1"))?;
            Ok(machine(vec![receiver.nic_on(LOCAL, RECEIVER_MAC), sender.nic_on(LOCAL, SENDER_MAC)]))
        })?;
        let instructions = both.instructions - unreceived.instructions;
        figures.extend(Cost { instructions, ..both }.figures(&name));
    }
    Ok(figures)
}

/// The cost of sending to an address that no station has, with or without a physical NIC.
fn send(name: &str, load: (u32, u32), uplink: usize) -> Outcome<Cost> {
    per_frame(name, "sender", FRAMES, |frames, _| {
        let sender = sender(load, frames, &format!("to={NO_STATION}"))?;
        Ok(machine(vec![sender.nic_on(uplink, SENDER_MAC)]))
    })
}

fn sender((bytes, burst): (u32, u32), frames: u32, more: &str) -> Outcome<VmSpec> {
    let command_line = format!("frames={frames} bytes={bytes} burst={burst} {more}");
    VmSpec::micro("sender", "load_send", &command_line)
}

fn name(way: &str, (bytes, burst): (u32, u32)) -> String {
    format!("{way}-{bytes}-bytes-{burst}-per-tail")
}
