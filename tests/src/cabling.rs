//! The LAN of a running machine: its switches, and cables between them that can be cut at one end or both while every port
//! keeps its link.
//!
//! The tap of each of the emulator's NICs is a port of its switch, so that the kernel itself passes on what NICs send, in
//! the order in which they send it. Each end of a cable is a tap, too, and a thread carries frames from one to the other:
//! the tap `A-C` is the end at `A` of the cable to `C`.

use crate::failure::ErrorContext;
use crate::lan::LanPlan;
use crate::namespace::{self, ip, iproute2};
use crate::wire::{Capture, FrameLog, now};
use crate::{Failure, Outcome};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use tappers::{Interface, Tap};

/// How often a cable looks whether it is to stop, in milliseconds.
const POLL_INTERVAL: u8 = 100;
/// Frames that a cable carries one way before it looks at the other.
const BURST: usize = 64;

/// The switches and cables of a machine. Dropping it removes the cables; the switches go with the namespace.
pub struct Cabling {
    /// The frames that the peer gets and sends.
    pub peer: Capture,
    plan: LanPlan,
    nics: Vec<Capture>,
    cables: Vec<PatchCable>,
}

/// A cable with its two ends.
struct PatchCable {
    ends: [String; 2],
    state: Arc<CableState>,
    worker: Option<JoinHandle<()>>,
}

/// What a cable's thread shares with its owner.
struct CableState {
    /// Whether frames from the end with this index are lost.
    is_cut: [AtomicBool; 2],
    stop: AtomicBool,
    log: Arc<FrameLog>,
}

impl Cabling {
    /// Lays the cables in the calling thread's network namespace, with captures in a folder: `tap0.pcap` has what NIC 0
    /// sends and what its switch sends to it, and `A-C.pcap` what both ends of the cable from `A` to `C` send, whether or not
    /// it is cut.
    ///
    /// # Errors
    /// The kernel refuses, `ip` fails, or a file cannot be written.
    pub fn lay(plan: &LanPlan, folder: &Path) -> Outcome<Self> {
        plan.switches().iter().try_for_each(|switch| add_bridge(switch))?;
        let nics = (0..plan.nics()).map(|nic| {
            let tap = format!("tap{nic}");
            namespace::add_tap(&tap)?;
            plug(&tap, &plan.first_switch(nic).unwrap_or_default())?;
            Capture::start(&tap, &folder.join(format!("{tap}.pcap")))
        });
        let nics = nics.collect::<Outcome<_>>()?;
        let core = plan.core();
        // The others take part in nothing: the host would answer for the peer's address on each of them.
        ip(&["link", "set", "dev", &core, "arp", "on"])?;
        ip(&["addr", "add", "10.0.5.1/24", "dev", &core])?;
        let cables = plan.cables().into_iter().map(|ends| {
            let file = folder.join(format!("{}.pcap", ends.join("-")));
            PatchCable::lay(ends, &file)
        });
        let cables = cables.collect::<Outcome<_>>()?;
        let peer = Capture::start(&core, &folder.join("peer.pcap"))?;
        Ok(Self { peer, plan: plan.clone(), nics, cables })
    }

    /// What is joined with what.
    #[must_use]
    pub fn plan(&self) -> &LanPlan {
        &self.plan
    }

    fn cable(&self, one: &str, other: &str) -> Outcome<&PatchCable> {
        let is_it = |cable: &&PatchCable| cable.ends == [one, other] || cable.ends == [other, one];
        self.cables
            .iter()
            .find(is_it)
            .ok_or_else(|| Failure::Wrong(format!("there is no cable from {one} to {other}")))
    }

    /// Cuts a cable: no frame passes any more, and both ports keep their link.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn cut(&self, one: &str, other: &str) -> Outcome {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Cuts a cable for frames in one direction.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn cut_one_way(&self, from: &str, to: &str) -> Outcome {
        let cable = self.cable(from, to)?;
        cable.state.is_cut[usize::from(cable.ends[0] != from)].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Joins the ends of a cable again.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn join(&self, one: &str, other: &str) -> Outcome {
        let cable = self.cable(one, other)?;
        cable.state.is_cut.iter().for_each(|is_cut| is_cut.store(false, Ordering::Relaxed));
        Ok(())
    }

    /// The frames on a cable, from before a cut: those of its first end are the ones from Weir.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn capture(&self, one: &str, other: &str) -> Outcome<Capture> {
        self.cable(one, other).map(|cable| Capture::of(Arc::clone(&cable.state.log)))
    }

    /// What passes at the NICs, in their order.
    #[must_use]
    pub fn of_nics(&self) -> Vec<Capture> {
        self.nics.iter().map(Capture::shared).collect()
    }

    /// Takes the link from the port of a NIC at its switch, which forgets what it has learnt there, or gives it back.
    ///
    /// # Errors
    /// There is no such NIC, or `ip` fails.
    pub fn set_port(&self, nic: usize, up: bool) -> Outcome {
        ip(&["link", "set", "dev", &format!("tap{nic}"), if up { "up" } else { "down" }])
    }

    /// What a switch has learnt: the other end of the cable that leads to a MAC address. `None` if it does not know it.
    ///
    /// # Errors
    /// The program `bridge` fails.
    pub fn learnt(&self, switch: &str, mac: &str) -> Outcome<Option<String>> {
        let table = iproute2("bridge", &["fdb", "show", "br", switch])?;
        Ok(port_of(&table, mac).map(far_end))
    }
}

/// The port at which the table has an address that was learnt.
fn port_of<'a>(table: &'a str, mac: &str) -> Option<&'a str> {
    let line = table.lines().find(|line| line.starts_with(mac) && !line.contains("permanent"))?;
    line.split_once(" dev ")?.1.split_whitespace().next()
}

/// What is at the other end of the cable at this port.
fn far_end(port: &str) -> String {
    match (port.split_once('-'), port.strip_prefix("tap")) {
        (Some((_, switch)), _) => switch.to_owned(),
        (None, Some(nic)) => format!("nic{nic}"),
        _ => port.to_owned(),
    }
}

fn add_bridge(name: &str) -> Outcome {
    ip(&[
        "link",
        "add",
        name,
        "type",
        "bridge",
        "forward_delay",
        "0",
        "stp_state",
        "0",
        "mcast_snooping",
        "0",
    ])?;
    // In one step, it would first be up, and choose an address.
    ip(&["link", "set", "dev", name, "addrgenmode", "none"])?;
    ip(&["link", "set", "dev", name, "arp", "off", "up"])
}

/// Plugs a tap interface into a bridge.
fn plug(tap: &str, bridge: &str) -> Outcome {
    ip(&["link", "set", "dev", tap, "master", bridge, "up"])
}

impl PatchCable {
    fn lay(ends: [String; 2], file: &Path) -> Outcome<Self> {
        let [one, other] = &ends;
        let taps = [open(one, other)?, open(other, one)?];
        let log = Arc::new(FrameLog::create(file)?);
        let state = Arc::new(CableState { is_cut: Default::default(), stop: AtomicBool::default(), log });
        let state_too = Arc::clone(&state);
        let worker = thread::spawn(move || carry(&taps, &state_too));
        Ok(Self { ends, state, worker: Some(worker) })
    }
}

impl Drop for PatchCable {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// The end at the bridge `at` of a cable.
fn open(at: &str, to: &str) -> Outcome<Tap> {
    let name = format!("{at}-{to}");
    let make = || {
        let mut tap = Tap::new_named(Interface::new(&name)?)?;
        tap.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(tap)
    };
    let tap = make().context(format!("tap {name}")).map_err(namespace::tap_refused)?;
    namespace::prepare(&name)?;
    plug(&name, at)?;
    Ok(tap)
}

fn carry(taps: &[Tap; 2], state: &CableState) {
    let mut buffer = vec![0; 1 << 16];
    while !state.stop.load(Ordering::Relaxed) {
        let mut waits = taps.each_ref().map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN));
        // An interruption is like a timeout.
        let _ = poll(&mut waits, PollTimeout::from(POLL_INTERVAL));
        for from in 0..2 {
            for _ in 0..BURST {
                let Ok(length) = taps[from].recv(&mut buffer) else { break };
                state.log.record(from == 0, now(), &buffer[..length]);
                if !state.is_cut[from].load(Ordering::Relaxed) {
                    // A port without link takes nothing.
                    let _ = taps[1 - from].send(&buffer[..length]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_learnt_addresses_have_a_port() {
        let table = "52:54:00:00:00:01 dev C-A master C \n12:54:57:6b:26:52 dev C-B master C permanent\n\
                     33:33:00:00:00:01 dev C-A self permanent\n";
        assert_eq!(port_of(table, "52:54:00:00:00:01"), Some("C-A"));
        assert_eq!(port_of(table, "12:54:57:6b:26:52"), None);
        assert_eq!(port_of(table, "52:54:00:00:00:02"), None);
        assert_eq!(["C-A", "tap1"].map(far_end), ["A", "nic1"]);
    }
}
