//! What a team of NICs costs: for each frame that its guests send, and for standing by.

use super::cost::{WIRE, each, machine, per_frame};
use super::micro::{Load, paced, sender};
use super::{Figure, stages};
use crate::machine::{EmulatedNic, EmulatedNicModel, Wire};
use crate::{Backend, Failure, Outcome, Scenario, VmSpec};

/// The loads of the micro-guest, of those that a NIC alone is measured with.
const LOADS: [Load; 2] = [(60, 16), (1514, 16)];
const FRAMES: [u32; 2] = [1000, 5000];
/// Frames that do not come to an end before a trace does.
const ENDLESS: u32 = 5000;
const TEAM: &str = "lan";
const POLICIES: [&str; 4] = ["order", "mac", "ip-hash", "load"];
/// Members, and guests, of a team that grows.
const SIZES: [usize; 3] = [1, 2, 4];
/// Seconds for which a guest does nothing that Weir sees.
const SECONDS: [u32; 2] = [1, 3];
/// Ticks of QEMU's time-stamp counter in a second, and for each instruction.
const SECOND: u32 = 1_000_000_000;
const TICKS: f64 = 8.0;
/// How a team looks after its members when there is nothing else to do.
const BEACONS: [(&str, &[&str]); 2] = [("silent", &[]), ("beacons-1s", &["detection = \"beacon\""])];

/// For each frame that is sent.
pub fn figures() -> Outcome<Vec<Figure>> {
    Ok([transmit()?, growth()?].concat())
}

/// From one guest to a NIC without a far side: alone, and as the member of a team that carries all its frames.
fn transmit() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        let (bytes, _) = load;
        let mut measure = |way: &str, nics: usize, policy: Option<&str>| {
            let name = format!("team-transmit-{way}-{bytes}-bytes");
            let ip = if policy == Some("ip-hash") { " ip=1" } else { "" };
            let sender = sender(load, ENDLESS, &format!("to=99{ip}"))?;
            let sender = match policy {
                Some(_) => sender.nic_in(TEAM, &mac(0)),
                None => sender.nic_on(WIRE, &mac(0)),
            };
            let scenario = paced(load, team(vec![sender], nics, Wire::Null, policy));
            let value = stages::in_passing(&name, scenario)?;
            figures.push(instructions(name, value));
            Ok::<_, Failure>(value)
        };
        let alone = measure("alone", 2, None)?;
        let together = measure("of-2", 2, Some("port"))?;
        for nics in [1, 4] {
            measure(&format!("of-{nics}"), nics, Some("port"))?;
        }
        for policy in POLICIES {
            measure(policy, 2, Some(policy))?;
        }
        figures.push(instructions(format!("team-manager-cost-{bytes}-bytes"), together - alone));
    }
    Ok(figures)
}

/// What it takes each second to look after NICs that have nothing to do, on QEMU, where they hear each other's beacons.
pub fn idle() -> Outcome<Vec<Figure>> {
    let measure = |way: &str, nics: usize, fields: Option<&[&str]>| {
        let name = format!("team-idle-{way}");
        let cost = each(Backend::QemuSvm, &name, "sender", SECONDS, |seconds, _| {
            let pause = seconds * SECOND;
            let sender = VmSpec::micro("sender", "load_send", &format!("frames=1 to=99 pause={pause}"))?;
            let sender =
                if fields.is_some() { sender.nic_in(TEAM, &mac(0)) } else { sender.nic_on(WIRE, &mac(0)) };
            let scenario = team(vec![sender], nics, Wire::Hub, None);
            Ok(match fields {
                Some(fields) => scenario.team(TEAM, &[&["nics = \"all\""], fields].concat()),
                None => scenario,
            })
        })?;
        Ok::<_, Failure>(Figure::new(name, cost.instructions / TICKS, "instructions/s"))
    };
    let mut figures = vec![measure("alone", 2, None)?];
    for nics in [2, 4] {
        for (way, fields) in BEACONS {
            figures.push(measure(&format!("of-{nics}-{way}"), nics, Some(fields))?);
        }
    }
    Ok(figures)
}

/// As many guests as NICs, all of which send.
fn growth() -> Outcome<Vec<Figure>> {
    let load = LOADS[0];
    let mut figures = Vec::new();
    for size in SIZES {
        let name = format!("team-growth-{size}");
        let cost = per_frame(&name, "sender", FRAMES, |frames, _| {
            let guests = (0..size).map(|guest| {
                let name = if guest == 0 { "sender".into() } else { format!("sender{guest}") };
                Ok(sender(load, frames, "to=99")?.named(&name).nic_in(TEAM, &mac(guest)))
            });
            Ok(team(guests.collect::<Outcome<_>>()?, size, Wire::Null, Some("port")))
        })?;
        figures.push(instructions(name, cost.instructions / size as f64));
    }
    Ok(figures)
}

/// These guests on a machine with so many NICs, in a team with this policy if there is one.
fn team(vms: Vec<VmSpec>, nics: usize, wire: Wire, policy: Option<&str>) -> Scenario {
    let mut scenario = machine(vms);
    let nic =
        |index| EmulatedNic { wire: wire.clone(), ..EmulatedNic::on_tap(index, EmulatedNicModel::E1000) };
    scenario.machine.nics = (0..nics).map(nic).collect();
    match policy {
        Some(policy) => scenario.team(TEAM, &["nics = \"all\"", &format!("policy = {policy:?}")]),
        None => scenario,
    }
}

fn mac(guest: usize) -> String {
    format!("52:54:00:00:01:{:02x}", guest + 2)
}

fn instructions(name: String, value: f64) -> Figure {
    Figure::new(name, value, "instructions/frame")
}
