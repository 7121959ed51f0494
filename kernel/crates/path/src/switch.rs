//! The switch: polls ports, delivers frames, and keeps those that a destination does not accept yet.

use crate::forwarder::{Decision, Forwarder};
use crate::pending::PendingBatch;
use crate::{PathError, PortConfig, PortCounters, PortId};
use alloc::boxed::Box;
use base::batch::MAX_FRAMES;
use base::time::Duration;
use base::{Instant, MacAddress, Port};

/// Frames that arrived at one port and have not left yet.
struct IngressQueue {
    /// How long they wait for a destination that accepts no more.
    hold: Duration,
    pending: PendingBatch,
}

impl IngressQueue {
    /// When the hold time of the pending frames ends.
    fn deadline(&self) -> Option<Instant> {
        (!self.pending.is_empty()).then(|| self.pending.since() + self.hold)
    }
}

/// What one [`Switch::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Frames polled from ports.
    pub polled: usize,
    /// Copies accepted by ports.
    pub delivered: usize,
    /// Frames dropped on arrival and copies dropped on departure.
    pub dropped: usize,
    /// Copies that still wait for their destinations.
    pub pending: usize,
}

impl Progress {
    /// True when the step moved nothing. A further step moves nothing either, until a port has new frames or room,
    /// its link changes, or [`Switch::next_deadline`] is reached.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.polled == 0 && self.delivered == 0 && self.dropped == 0
    }
}

/// A learning Ethernet switch with one batch of pending frames for each port.
///
/// ```
/// use base::{Instant, MacAddress, Port};
/// use path::{PortConfig, PortId, Switch};
/// use testkit::QueuePort;
///
/// let guest = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
/// let mut switch = Switch::new(&[PortConfig::guest(guest), PortConfig::uplink()], 0x5eed)?;
///
/// // A broadcast from the guest leaves by the physical NIC.
/// let mut frame = [0; 60];
/// frame[..6].fill(0xff);
/// frame[6..12].copy_from_slice(&guest.0);
/// let (mut vnic, mut nic) = (QueuePort::new(), QueuePort::new());
/// vnic.arrive(&frame);
/// let progress = switch.step(&mut [&mut vnic as &mut dyn Port, &mut nic], Instant::ZERO);
///
/// assert_eq!((progress.polled, progress.delivered, progress.dropped), (1, 1, 0));
/// assert_eq!(nic.take_sent(), [frame]);
/// let counters = PortId::new(1).and_then(|port| switch.counters(port));
/// assert_eq!(counters.map(|counters| counters.tx_frames), Some(1));
/// # Ok::<(), path::PathError>(())
/// ```
pub struct Switch {
    forwarder: Forwarder,
    queues: Box<[IngressQueue]>,
    counters: Box<[PortCounters]>,
    /// The port that is served first in the next step.
    first: usize,
}

impl Switch {
    /// A switch with these ports, numbered in this order from zero.
    ///
    /// `seed` decides how learned addresses spread over the table. Take it from something that a guest cannot
    /// know, such as a time stamp at boot, so that no guest can choose addresses that collide.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn new(ports: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let forwarder = Forwarder::new(ports, seed)?;
        let queues =
            ports.iter().map(|port| IngressQueue { hold: port.hold, pending: PendingBatch::new() }).collect();
        let counters = ports.iter().map(|_| PortCounters::default()).collect();
        Ok(Self { forwarder, queues, counters, first: 0 })
    }

    /// Moves at most one batch from each port.
    ///
    /// `ports` are in the order given to [`new`](Self::new). Ports missing at the end of the list are treated
    /// as ports whose link is down. The port that delivers first in one step is served last in the next, so
    /// that senders share a destination that is nearly full.
    pub fn step(&mut self, ports: &mut [&mut dyn Port], now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.forwarder.age(now);
        let count = self.queues.len();
        let start = self.first;
        for index in (start..count).chain(0..start) {
            let Some(ingress) = PortId::new(index) else { continue };
            let delivered = progress.delivered;
            if self.queues[index].pending.is_empty() {
                self.poll(ingress, ports, now, &mut progress);
            }
            self.deliver(ingress, ports, now, &mut progress);
            progress.pending += self.queues[index].pending.copies();
            if delivered == 0 && progress.delivered != 0 {
                self.first = (index + 1) % count;
            }
        }
        progress
    }

    /// When [`step`](Self::step) must run again at the latest: the earliest end of a hold time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.queues.iter().filter_map(|queue| queue.deadline()).min()
    }

    /// The counters of a port.
    #[must_use]
    pub fn counters(&self, port: PortId) -> Option<&PortCounters> {
        self.counters.get(port.index())
    }

    /// Copies of frames from `port` that wait for their destinations.
    #[must_use]
    pub fn pending(&self, port: PortId) -> usize {
        self.queues.get(port.index()).map_or(0, |queue| queue.pending.copies())
    }

    /// The port where `mac` is: its vNIC's port, or the port where it was last seen as a source.
    #[must_use]
    pub fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        self.forwarder.find(mac, now)
    }

    /// Polls `ingress` into its empty batch and decides where the frames go.
    fn poll(&mut self, ingress: PortId, ports: &mut [&mut dyn Port], now: Instant, progress: &mut Progress) {
        let Some(port) = ports.get_mut(ingress.index()) else { return };
        let pending = &mut self.queues[ingress.index()].pending;
        let counters = &mut self.counters[ingress.index()];
        port.poll(pending.begin(now), MAX_FRAMES, now);
        for index in 0..MAX_FRAMES {
            let Some(frame) = pending.frame(index) else { break };
            progress.polled += 1;
            counters.rx_frames += 1;
            counters.rx_bytes += frame.len() as u64;
            match self.forwarder.decide(frame, ingress, counters, now) {
                Decision::Forward(targets) => {
                    counters.forwarded += 1;
                    counters.copies += targets.len() as u64;
                    pending.route(index, targets);
                }
                Decision::Drop(cause) => {
                    counters.count_drop(cause);
                    progress.dropped += 1;
                }
            }
        }
    }

    /// Offers the pending frames of `ingress` to each destination and drops those whose hold time is over.
    fn deliver(
        &mut self,
        ingress: PortId,
        ports: &mut [&mut dyn Port],
        now: Instant,
        progress: &mut Progress,
    ) {
        let queue = &mut self.queues[ingress.index()];
        let expired = queue.deadline().is_some_and(|deadline| now >= deadline);
        for target in queue.pending.targets().iter() {
            let frames = queue.pending.frames_for(target);
            let offered = frames.len();
            let port = ports.get_mut(target.index()).filter(|port| port.capabilities().link_up);
            let link_up = port.is_some();
            let accepted = port.map_or(0, |port| port.send(&frames, now).min(offered));
            let bytes: usize = frames[..accepted].iter().map(|frame| frame.len()).sum();
            drop(frames);

            let dropped = if link_up && !expired { 0 } else { offered - accepted };
            queue.pending.done(target, accepted + dropped);
            if link_up
                && dropped != 0
                && let Some(port) = ports.get_mut(target.index())
            {
                port.missed(dropped, now);
            }
            progress.delivered += accepted;
            progress.dropped += dropped;
            let counters = &mut self.counters[target.index()];
            counters.tx_frames += accepted as u64;
            counters.tx_bytes += bytes as u64;
            *(if link_up { &mut counters.held_too_long } else { &mut counters.link_down }) += dropped as u64;
        }
        queue.pending.clear_if_done();
    }
}
