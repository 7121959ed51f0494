//! The switch: polls ports, delivers frames, and keeps those that a destination does not accept yet.

use crate::forwarder::{Decision, DropCause, Forwarder};
use crate::ingress::IngressQueue;
use crate::settlement::REAP_INTERVAL;
use crate::sharing::PortLane;
use crate::{PathError, PortConfig, PortCounters, PortId, PortSet};
use alloc::boxed::Box;
use base::{Capabilities, Instant, MacAddress, Port};

/// What one call of a [`Switch`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Frames polled from ports.
    pub polled: usize,
    /// Copies accepted by ports.
    pub delivered: usize,
    /// Frames dropped on arrival and copies dropped on departure.
    pub dropped: usize,
    /// Copies that still wait for their destinations: from the port that was polled, or from all.
    pub pending: usize,
    /// Ports that stood still and can be polled again.
    pub resumed: PortSet,
    /// A poll ended because it had as many frames, or as many bytes, as it may have: the port may have more.
    pub more: bool,
}

/// What is offered of the frames that wait.
#[derive(Clone, Copy)]
pub(crate) struct Offered {
    /// The destinations.
    pub(crate) among: PortSet,
    /// So many bytes to each: those beyond are treated as refused.
    pub(crate) limit: usize,
    /// Those before the first one that is in another lane; `None` for all, which is as much as all that a port without lanes has.
    pub(crate) lane: Option<usize>,
}

/// A learning Ethernet switch. Frames go from port to port by reference: what waits for a destination is a place in the
/// outbox of the port that they are from.
///
/// Behind a port there may be several NICs, the port's [lanes](Port::lanes). While one of them is full, senders whose next frame for
/// the port is another's do not wait. But what one port sends to another is one queue: behind a frame for a full NIC the sender's
/// own frames for the others wait too, since all that it sends leaves in order.
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
/// let (from, to) = (PortId::new(0).unwrap(), PortId::new(1).unwrap());
/// let progress = switch.take_from(from, &mut [&mut vnic as &mut dyn Port, &mut nic], 32, Instant::ZERO);
///
/// assert_eq!((progress.polled, progress.delivered, progress.dropped), (1, 1, 0));
/// assert_eq!(nic.take_sent(), [frame]);
/// assert_eq!(switch.counters(to).map(|counters| counters.tx_frames), Some(1));
/// # Ok::<(), path::PathError>(())
/// ```
pub struct Switch {
    pub(crate) forwarder: Forwarder,
    pub(crate) queues: Box<[IngressQueue]>,
    pub(crate) counters: Box<[PortCounters]>,
    /// Ports that were to be polled and stood still instead.
    pub(crate) stopped: PortSet,
    /// For each port, its lanes.
    pub(crate) lanes: Box<[Box<[PortLane]>]>,
    /// Ports of several lanes, of which at least one has not taken all that it was offered last.
    pub(crate) partly_stuck: PortSet,
    /// Ports from which frames wait.
    pub(crate) occupied: PortSet,
    /// When ports were last asked for what they have kept, if they have kept something.
    pub(crate) reaped: Option<Instant>,
    /// Ports that cut TCP packets.
    cutters: PortSet,
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
        Self::beside(ports, &[], seed)
    }

    /// The same on a machine with these vNICs. The addresses of those that are at other switches are their guests'
    /// here, too: no other guest gets frames by sending from one of them.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn beside(ports: &[PortConfig], vnics: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let forwarder = Forwarder::new(ports, vnics, seed)?;
        let queues =
            (0..).zip(ports).map(|(number, port)| IngressQueue::new(number, port, ports.len())).collect();
        let counters = ports.iter().map(|_| PortCounters::default()).collect();
        let lanes = ports.iter().map(PortLane::all).collect();
        let [stopped, occupied, cutters, partly_stuck] = [PortSet::EMPTY; 4];
        Ok(Self {
            forwarder,
            queues,
            counters,
            stopped,
            lanes,
            partly_stuck,
            occupied,
            reaped: None,
            cutters,
        })
    }

    /// Moves at most one batch of at most `budget` frames from one port, after the frames that wait, from whomever. If
    /// it stands still, it is not polled, and a later call names it in [`Progress::resumed`].
    ///
    /// `ports` are in the order given to [`new`](Self::new). Ports missing at the end of the list are treated as ports
    /// whose link is down.
    pub fn take_from<P: Port>(
        &mut self,
        ingress: PortId,
        ports: &mut [P],
        budget: usize,
        now: Instant,
    ) -> Progress {
        let mut progress = Progress::default();
        self.take(ingress, ports, budget, now, &mut progress);
        self.settle(ports, now, &mut progress);
        progress.pending = self.pending(ingress);
        progress
    }

    /// Offers to one port the frames that wait for it. Its senders take turns.
    pub fn give_to<P: Port>(&mut self, egress: PortId, ports: &mut [P], now: Instant) -> Progress {
        self.offer(PortSet::EMPTY.with(egress), ports, now)
    }

    /// True while frames wait for this port.
    #[must_use]
    pub fn waits_for(&self, egress: PortId) -> bool {
        self.queues.iter().any(|queue| queue.targets().contains(egress))
    }

    /// Offers all frames that wait, and drops those that have waited too long.
    pub fn retry<P: Port>(&mut self, ports: &mut [P], now: Instant) -> Progress {
        self.offer(PortSet::ALL, ports, now)
    }

    fn offer<P: Port>(&mut self, among: PortSet, ports: &mut [P], now: Instant) -> Progress {
        let mut progress = Progress::default();
        let among = among.union(self.reap(ports, now, &mut progress));
        self.withdraw(ports, &mut progress);
        self.share(self.wanted().intersection(among), ports, now, &mut progress);
        self.settle(ports, now, &mut progress);
        progress.pending = self.queues.iter().map(IngressQueue::copies).sum();
        progress
    }

    /// When [`retry`](Self::retry) must be called at the latest: the earliest end of a hold time, or of standing
    /// still, or when ports may have sent what they have kept.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let reap = self.reaped.map(|reaped| reaped + REAP_INTERVAL);
        self.queues.iter().filter_map(|queue| self.deadline(queue)).chain(reap).min()
    }

    /// How many copies of frames from `port` other ports have kept.
    #[must_use]
    pub fn kept(&self, port: PortId) -> usize {
        self.queues.get(port.index()).map_or(0, IngressQueue::kept)
    }

    /// How many of these are of frames whose memory, which is of `port`, they may still read.
    #[must_use]
    pub fn referred(&self, port: PortId) -> usize {
        self.queues.get(port.index()).map_or(0, IngressQueue::referred)
    }

    fn deadline(&self, queue: &IngressQueue) -> Option<Instant> {
        let uplinks = self.forwarder.uplinks();
        let ends = queue.targets().iter().filter_map(|target| {
            let held = queue.held_until(target)?;
            let crowded = queue.is_crowded(target);
            let lane = self.lanes.get(target.index())?.get(queue.lane(target)?)?;
            let is_uplink = uplinks.contains(target);
            let end = if is_uplink { lane.progress.end() } else { queue.patience.get(target.index())?.end() };
            Some(match (end, is_uplink) {
                (Some(end), true) if crowded => end,
                (Some(end), true) => held.max(end),
                (Some(end), false) if crowded => held.min(end),
                _ => held,
            })
        });
        ends.min()
    }

    /// The counters of a port.
    #[must_use]
    pub fn counters(&self, port: PortId) -> Option<&PortCounters> {
        self.counters.get(port.index())
    }

    /// Copies of frames from `port` that wait for their destinations.
    #[must_use]
    pub fn pending(&self, port: PortId) -> usize {
        self.queues.get(port.index()).map_or(0, IngressQueue::copies)
    }

    /// The guest at this port is on, or off: while it is off, its address may be on the wire.
    pub fn set_present(&mut self, port: PortId, present: bool) {
        self.forwarder.set_present(port, present);
    }

    /// The port where `mac` is: its vNIC's port, or the port where it was last seen as a source.
    #[must_use]
    pub fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        self.forwarder.find(mac, now)
    }

    /// Delivers what waits, and polls `ingress` if it does not stand still.
    fn take<P: Port>(
        &mut self,
        ingress: PortId,
        ports: &mut [P],
        budget: usize,
        now: Instant,
        progress: &mut Progress,
    ) {
        if ingress.index() >= self.queues.len() {
            return;
        }
        self.forwarder.age(now);
        let returned = self.reap(ports, now, progress);
        // Those who wait have their turns, whoever asks: else what is freed would go to whoever asks most often.
        let mut wanted = PortSet::EMPTY;
        if !self.occupied.is_empty() {
            self.withdraw(ports, progress);
            self.share(self.queues[ingress.index()].targets().union(returned), ports, now, progress);
            wanted = self.wanted();
        }
        wanted = wanted.union(self.partly_stuck);
        let queue = &mut self.queues[ingress.index()];
        // Those that have come back make room for others.
        if queue.outbox.has_finished()
            && let Some(port) = ports.get_mut(ingress.index())
        {
            port.settle(&mut queue.outbox, now);
        }
        if queue.stands_still() || queue.outbox.is_full() {
            self.stopped = self.stopped.with(ingress);
            return;
        }
        self.poll(ingress, ports, budget, now, progress);
        let direct = Offered { among: PortSet::ALL.minus(wanted), limit: usize::MAX, lane: None };
        self.deliver(ingress, direct, ports, now, progress);
        if !wanted.is_empty() {
            let new = self.queues[ingress.index()].targets();
            self.share(wanted.intersection(new), ports, now, progress);
        }
    }

    /// Fetches frames from `ingress` and decides where they go.
    fn poll<P: Port>(
        &mut self,
        ingress: PortId,
        ports: &mut [P],
        budget: usize,
        now: Instant,
        progress: &mut Progress,
    ) {
        let Some(port) = ports.get_mut(ingress.index()) else { return };
        let queue = &mut self.queues[ingress.index()];
        let counters = &mut self.counters[ingress.index()];
        // Nothing waits that is from another life: it was withdrawn.
        queue.is_of(port.life());
        let budget = budget.min(queue.outbox.room());
        let goes_to_cutter = |to: &MacAddress| self.forwarder.goes_only_to(*to, ingress, self.cutters, now);
        let mut whole_for = queue.outbox.cut_for().filter(goes_to_cutter);
        queue.outbox.set_cut_for(whole_for);
        let polled = port.fetch(&mut queue.outbox, budget, now);
        if queue.outbox.is_full() {
            self.stopped = self.stopped.with(ingress);
        } else {
            progress.more |= polled > 0 && polled >= budget;
        }
        let mut last = None;
        while let Some(slot) = queue.outbox.fetched() {
            let frame = queue.outbox.frame(slot);
            let (length, long) = (frame.length, frame.mss.is_some());
            progress.polled += 1;
            match self.forwarder.decide_next(&mut last, frame.head, ingress, counters, now) {
                Decision::Forward { targets, copies, .. }
                    if long && (copies != 1 || !targets.is_within(self.cutters)) =>
                {
                    // A guard: what is known of the destination was asked before the batch, of which no frame can move it there.
                    counters.count_drop(DropCause::NoDestination);
                    queue.outbox.share(slot, 0);
                    progress.dropped += 1;
                }
                Decision::Forward { targets, copies, group } => {
                    if copies == 1 && !group && targets.is_within(self.cutters) {
                        // What follows is most likely for the same destination.
                        whole_for = MacAddress::destination_of(frame.head);
                    }
                    counters.forwarded += 1;
                    counters.copies += copies as u64;
                    queue.route(slot, (targets, copies), group, now);
                }
                Decision::Drop(cause) => {
                    counters.count_drop(cause);
                    queue.outbox.share(slot, 0);
                    progress.dropped += 1;
                }
            }
            counters.rx_frames += 1;
            counters.rx_bytes += length as u64;
        }
        queue.outbox.set_cut_for(whole_for);
    }

    /// Offers the frames of `ingress` that wait to these destinations, and drops those that may not wait.
    pub(crate) fn deliver<P: Port>(
        &mut self,
        ingress: PortId,
        offered: Offered,
        ports: &mut [P],
        now: Instant,
        progress: &mut Progress,
    ) {
        let (queue, uplinks) = (&mut self.queues[ingress.index()], self.forwarder.uplinks());
        for target in queue.targets().intersection(offered.among).iter() {
            let port = ports.get_mut(target.index());
            let port = port.and_then(|port| {
                let Capabilities { link_up, segments, .. } = port.capabilities();
                self.cutters =
                    if segments { self.cutters.with(target) } else { self.cutters.without(target) };
                link_up.then_some(port)
            });
            let (counters, lanes) = (&mut self.counters[target.index()], &mut self.lanes[target.index()]);
            let Some(port) = port else {
                let (late, others) = queue.drop_without_link(target, now);
                queue.patience[target.index()].note(0, false, now);
                PortLane::begin_anew(lanes);
                self.partly_stuck = self.partly_stuck.without(target);
                counters.held_too_long += late as u64;
                counters.link_down += others as u64;
                progress.dropped += late + others;
                continue;
            };
            let (accepted, bytes) = queue.offer(target, port, (offered.limit, offered.lane), now);
            progress.delivered += accepted;
            counters.tx_frames += accepted as u64;
            counters.tx_bytes += bytes as u64;
            let (late, no_room) = if uplinks.contains(target) {
                let dropped = PortLane::note(lanes, queue, (target, offered.lane), accepted, port, now);
                if (offered.lane.is_some() || queue.lane(target).is_some()) && port.lanes() > 1 {
                    let stuck = lanes.iter().any(|lane| lane.progress.end().is_some());
                    self.partly_stuck = self.partly_stuck.without(target);
                    self.partly_stuck =
                        if stuck { self.partly_stuck.with(target) } else { self.partly_stuck };
                }
                dropped
            } else {
                queue.drop_refused(target, accepted, now)
            };
            counters.held_too_long += late as u64;
            counters.no_room += no_room as u64;
            progress.dropped += late + no_room;
            if late + no_room > 0 {
                port.missed(late + no_room, now);
            }
        }
        self.note_occupied(ingress);
    }
}
