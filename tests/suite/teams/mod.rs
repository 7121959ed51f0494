//! Teams of NICs: failover, failback, distribution and detection, seen from the wires, from the log, from the counters and by
//! the guests.

mod beacons;
mod failover;
mod faults;
mod flaps;
mod gateway;
mod hosts;
mod linux;
mod policies;
mod receive;

use crate::linux::counter;
use crate::misbehaviour::stop;
use end_to_end::frame::{self, RARP, ether_type};
use end_to_end::machine::{EmulatedNic, EmulatedNicModel};
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::wire::CapturedFrame;
use end_to_end::{Backend, Outcome, Run, VmSpec, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;
use std::time::Duration;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 1);
/// The members of a team of two.
const TWO: &str = "nics = [\"nic0\", \"nic1\"]";
/// The longest that an answer to a ping may take on a busy host, where none is lost.
const SOON: Duration = Duration::from_secs(1);
/// How long it takes to pull both ends of a cable on a busy host.
const MOMENT: Duration = Duration::from_millis(100);
/// The type of the ICMP message.
const ECHO_REQUEST: u8 = 8;
const E1000: EmulatedNicModel = EmulatedNicModel::E1000;
/// Those whose reception begins at once: QEMU's e1000 looks cut off for a second after each reset.
const PROMPT: [EmulatedNicModel; 3] =
    [EmulatedNicModel::E1000e, EmulatedNicModel::Igb, EmulatedNicModel::E1000e];
const MIXED: [EmulatedNicModel; 4] = [E1000, EmulatedNicModel::E1000e, EmulatedNicModel::Igb, E1000];

pub fn trials(backend: Backend) -> Vec<Trial> {
    let suites = [
        linux::trials,
        failover::trials,
        faults::trials,
        flaps::trials,
        policies::trials,
        beacons::trials,
        gateway::trials,
        receive::trials,
        hosts::trials,
    ];
    suites.into_iter().flat_map(|suite| suite(backend)).collect()
}

/// Tests that are run only by name: most differ from those above in the models of the NICs.
pub fn by_name(backend: Backend) -> Vec<Trial> {
    let mut trials = failover::other_pairs(backend);
    trials.extend(faults::removal(backend));
    trials
}

/// A guest that answers, one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answerer(u8);

impl Answerer {
    /// So many of them.
    fn all(count: u8) -> Vec<Self> {
        (0..count).map(Self).collect()
    }

    fn name(self) -> String {
        format!("vm{}", self.0)
    }

    fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 5, 20 + self.0)
    }

    fn mac(self) -> String {
        format!("52:54:00:00:02:{:02x}", self.0)
    }

    fn vm(self) -> Outcome<VmSpec> {
        let command_line = format!("ip={}", self.ip());
        Ok(VmSpec::micro(&self.name(), "nic_echo", &command_line)?.nic_in("lan", &self.mac()))
    }

    /// Waits until it answers: for its first second of reception, QEMU's e1000 leaves what comes in with its tap.
    fn await_ready(self, run: &mut Run) -> Outcome {
        run.expect_in_any_order(&format!("{}| READY", self.name()))?;
        require!(answers(self.ip(), STEP)?, "{self:?} does not answer");
        Ok(())
    }

    /// Pings it so many times, once the switches on the way know where it is; none is missed, nor answered late. What tells them is
    /// on its way when Weir's log says that it has moved.
    fn answers(self, count: u16) -> Outcome<Duration> {
        require!(answers(self.ip(), STEP)?, "{self:?} does not answer");
        let tally = ping(self.ip(), count, 56, SOON)?;
        require!(tally.missed.is_empty(), "{self:?}: {tally:?}");
        Ok(tally.slowest)
    }

    /// Ends it; the last line of its console has its counters.
    fn stop(self, run: &mut Run) -> Outcome {
        stop(self.ip())?;
        run.expect_in_any_order(&format!("{}| PASS nic_echo", self.name()))
    }

    /// How many frames it has received, after its end.
    fn received(self, run: &Run) -> Outcome<u64> {
        let text = run.console.text();
        let begin = format!("{}| COUNTERS ", self.name());
        let line = text.lines().rfind(|line| line.starts_with(&begin)).unwrap_or_default();
        end_to_end::fields::LineFields::new(line).number("received")
    }
}

/// Frames that a vNIC has sent on the wire of a NIC since then, without announcements of it.
fn sent_since(run: &Run, nic: usize, mac: &str, since: Duration) -> Vec<CapturedFrame> {
    let is_traffic = |bytes: &[u8]| frame::source(bytes) == mac && ether_type(bytes) != Some(RARP);
    let mut frames = run.captures[nic].select(true, is_traffic);
    frames.retain(|frame| frame.time >= since);
    frames
}

/// The NICs by which a vNIC has sent since then.
fn nics_of(run: &Run, mac: &str, since: Duration) -> Vec<usize> {
    (0..run.captures.len()).filter(|nic| !sent_since(run, *nic, mac, since).is_empty()).collect()
}

/// Announcements of an address on the wire of a NIC since then.
fn announcements(run: &Run, nic: usize, mac: &str, since: Duration) -> Vec<CapturedFrame> {
    let mut frames = run.captures[nic].of_type(RARP);
    frames.retain(|frame| frame.time >= since && frame::source(&frame.bytes) == mac);
    frames
}

/// Frames that a NIC says it has sent, and that are not on its wire: QEMU drops them from the moment at which the cable is
/// pulled, a little before Weir can know. At the end of a run, without a return of the NIC's link.
fn swallowed(run: &Run, nic: usize) -> usize {
    let sent = counter(run, &format!("nic{nic}: hardware:"), "good_packets_transmitted");
    // QEMU makes its marks itself.
    let is_sent = |bytes: &[u8]| frame::source(bytes) != EmulatedNic::mac_of(nic);
    usize::try_from(sent).unwrap_or(usize::MAX).saturating_sub(run.captures[nic].select(true, is_sent).len())
}

/// Frames on the wire of a NIC that it has not received, in the same case.
fn not_received(run: &Run, nic: usize) -> usize {
    let received = counter(run, &format!("nic{nic}: driver:"), "rx_frames");
    let on_wire = run.captures[nic].select(false, |_| true).len();
    on_wire.saturating_sub(usize::try_from(received).unwrap_or(usize::MAX))
}

/// True if a ping with this number was sent to an address at such a time.
fn pinged(run: &Run, mac: &str, sequence: u16, when: impl Fn(Duration) -> bool) -> Outcome<bool> {
    let is_it = |bytes: &[u8]| {
        frame::destination(bytes) == mac
            && bytes.get(34) == Some(&ECHO_REQUEST)
            && bytes.get(40..42) == Some(&sequence.to_be_bytes()[..])
    };
    Ok(run.lan()?.peer.select(false, is_it).iter().any(|request| when(request.time)))
}
