//! The cost of a frame of a micro-guest, whose driver does only the minimum.

use super::Figure;
use super::cost::{Cost, LOCAL, WIRE, machine, per_frame};
use crate::machine::Pace;
use crate::{Outcome, Scenario, VmSpec};

const SENDER_MAC: &str = "52:54:00:00:01:02";
const RECEIVER_MAC: &str = "52:54:00:00:01:03";
/// The receiver's station number for `load_send`, and one that no station has.
const RECEIVER: u32 = 3;
const NO_STATION: u32 = 99;
const FRAMES: [u32; 2] = [1000, 5000];

/// Length of the frames, and number of frames per write of a tail register.
pub type Load = (u32, u32);
pub const LOADS: [Load; 3] = [(60, 1), (60, 16), (1514, 16)];

/// From a guest to a physical NIC without a far side.
pub fn transmit() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        figures.extend(sent(load)?.figures(&name("transmit", load)));
    }
    Ok(figures)
}

/// From guest to guest; and that minus the cost of sending the same frames to an address that no guest has: the cost of
/// reception.
pub fn receive() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let name = name("receive", load);
        let unreceived = send(&format!("{name}-nobody"), load, LOCAL)?;
        let both = switched(load)?;
        let whole = format!("{}-instructions", self::name("guest-to-guest", load));
        figures.push(Figure::new(whole, both.instructions, "instructions/frame"));
        let instructions = both.instructions - unreceived.instructions;
        figures.extend(Cost { instructions, ..both }.figures(&name));
    }
    Ok(figures)
}

/// The cost of sending to the physical NIC.
pub fn sent(load: Load) -> Outcome<Cost> {
    send(&name("transmit", load), load, WIRE)
}

/// The cost of a frame from guest to guest.
pub fn switched(load: Load) -> Outcome<Cost> {
    per_frame(&name("receive", load), "taker", FRAMES, |frames, _| to_a_guest(load, frames))
}

/// The cost of sending to an address that no station has, with or without a physical NIC.
fn send(name: &str, load: Load, uplink: usize) -> Outcome<Cost> {
    per_frame(name, "sender", FRAMES, |frames, _| to_nobody(load, frames, uplink))
}

/// A guest that sends frames to an address that no station has.
pub fn to_nobody(load: Load, frames: u32, uplink: usize) -> Outcome<Scenario> {
    let sender = sender(load, frames, &format!("to={NO_STATION}"))?;
    Ok(paced(load, machine(vec![sender.nic_on(uplink, SENDER_MAC)])))
}

/// A guest that sends frames to another one.
pub fn to_a_guest(load: Load, frames: u32) -> Outcome<Scenario> {
    let (_, burst) = load;
    let receiver = VmSpec::micro("taker", "load_take", &format!("frames={frames} burst={burst}"))?;
    let sender = sender(load, frames, &format!("to={RECEIVER} wait=1"))?;
    let vms = vec![receiver.nic_on(LOCAL, RECEIVER_MAC), sender.nic_on(LOCAL, SENDER_MAC)];
    Ok(paced(load, machine(vms)))
}

/// The machine on which the guest that receives keeps up with the other one. With 100 million instructions a second it takes less
/// than 20,000 long frames, for which senders do not stand still: the frames are dropped.
pub fn paced((bytes, _): Load, mut scenario: Scenario) -> Scenario {
    if bytes > 60 {
        scenario.machine.pace = Pace::CountedFast;
    }
    scenario
}

/// A guest that sends frames, with this further part of its command line.
pub fn sender((bytes, burst): Load, frames: u32, more: &str) -> Outcome<VmSpec> {
    let command_line = format!("frames={frames} bytes={bytes} burst={burst} {more}");
    VmSpec::micro("sender", "load_send", &command_line)
}

fn name(way: &str, (bytes, burst): Load) -> String {
    format!("{way}-{bytes}-bytes-{burst}-per-tail")
}
