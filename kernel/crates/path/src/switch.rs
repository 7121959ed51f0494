//! The switch: polls ports, delivers frames, and keeps those that a destination does not accept yet.

use crate::forwarder::{Decision, DropCause, Forwarder};
use crate::ingress::IngressQueue;
use crate::patience::UplinkProgress;
use crate::settlement::REAP_INTERVAL;
use crate::turns::Turns;
use crate::{Attachment, PathError, PortConfig, PortCounters, PortId, PortSet};
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

/// A learning Ethernet switch. Frames go from port to port by reference: what waits for a destination is a place in the
/// outbox of the port that they are from.
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
    /// For each port with a physical NIC, whether it takes frames.
    uplinks: Box<[UplinkProgress]>,
    pub(crate) counters: Box<[PortCounters]>,
    /// Ports that were to be polled and stood still instead.
    pub(crate) stopped: PortSet,
    /// For each port, whose frames it is offered first.
    turns: Box<[Turns]>,
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
        let uplinks = ports.iter().map(|_| UplinkProgress::default()).collect();
        let counters = ports.iter().map(|_| PortCounters::default()).collect();
        let turns = ports.iter().map(|port| Turns::new(port.attachment != Attachment::Uplink)).collect();
        let [stopped, occupied, cutters] = [PortSet::EMPTY; 3];
        Ok(Self { forwarder, queues, uplinks, counters, stopped, turns, occupied, reaped: None, cutters })
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
        self.reap(ports, now, &mut progress);
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
            let (uplink, vnic) = (self.uplinks.get(target.index())?, queue.patience.get(target.index())?);
            let is_uplink = uplinks.contains(target);
            let end = if is_uplink { uplink.end() } else { vnic.end() };
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

    /// The port where `mac` is: its vNIC's port, or the port where it was last seen as a source.
    #[must_use]
    pub fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        self.forwarder.find(mac, now)
    }

    /// The ports that frames wait for.
    fn wanted(&self) -> PortSet {
        let queues = self.occupied.iter().filter_map(|ingress| self.queues.get(ingress.index()));
        queues.fold(PortSet::EMPTY, |all, queue| all.union(queue.targets()))
    }

    /// The ports from which frames wait for this port.
    fn waiting_for(&self, egress: PortId) -> PortSet {
        let waits = |port: &PortId| self.queues[port.index()].targets().contains(egress);
        self.occupied.iter().filter(waits).fold(PortSet::EMPTY, PortSet::with)
    }

    /// Offers the frames that wait to each of these destinations, whose senders take turns. While it has no room for the
    /// next frame of the one whose turn it is, it gets few frames of others, or none.
    fn share<P: Port>(&mut self, among: PortSet, ports: &mut [P], now: Instant, progress: &mut Progress) {
        let count = self.queues.len();
        for egress in among.iter() {
            let target = PortSet::EMPTY.with(egress);
            let (mut kept, mut asked) = (false, PortSet::EMPTY);
            loop {
                let waiting = self.waiting_for(egress);
                let turns = &mut self.turns[egress.index()];
                if !kept {
                    turns.choose(count, waiting);
                }
                let left = waiting.minus(asked);
                let Some(ingress) = turns.order(count).find(|port| left.contains(*port)) else { break };
                asked = asked.with(ingress);
                let sent = |counters: &PortCounters| (counters.tx_frames, counters.tx_bytes);
                let before = sent(&self.counters[egress.index()]);
                let limit = if kept { self.turns[egress.index()].beside() } else { usize::MAX };
                self.deliver(ingress, (target, limit), ports, now, progress);
                let after = sent(&self.counters[egress.index()]);
                let accepted = (after.0 - before.0, after.1 - before.1);
                let waits = self.queues[ingress.index()].targets().contains(egress);
                let turns = &mut self.turns[egress.index()];
                if kept {
                    turns.note_beside(accepted.1);
                } else {
                    let over = turns.note(ingress, count, accepted, waits, now);
                    // There was no room for the next frame, whose turn it may be now.
                    kept = waits || !over;
                }
            }
        }
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
        self.reap(ports, now, progress);
        // Those who wait have their turns, whoever asks: else what is freed would go to whoever asks most often.
        let mut wanted = PortSet::EMPTY;
        if !self.occupied.is_empty() {
            self.withdraw(ports, progress);
            self.share(self.queues[ingress.index()].targets(), ports, now, progress);
            wanted = self.wanted();
        }
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
        self.deliver(ingress, (PortSet::ALL.minus(wanted), usize::MAX), ports, now, progress);
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

    /// Offers the frames of `ingress` that wait to each of these destinations, treats those beyond so many bytes as
    /// refused, and drops those that may not wait.
    fn deliver<P: Port>(
        &mut self,
        ingress: PortId,
        (among, limit): (PortSet, usize),
        ports: &mut [P],
        now: Instant,
        progress: &mut Progress,
    ) {
        let (queue, uplinks) = (&mut self.queues[ingress.index()], self.forwarder.uplinks());
        for target in queue.targets().intersection(among).iter() {
            let port = ports.get_mut(target.index());
            let port = port.and_then(|port| {
                let Capabilities { link_up, segments, .. } = port.capabilities();
                self.cutters =
                    if segments { self.cutters.with(target) } else { self.cutters.without(target) };
                link_up.then_some(port)
            });
            let counters = &mut self.counters[target.index()];
            let Some(port) = port else {
                let (late, others) = queue.drop_without_link(target, now);
                queue.patience[target.index()].note(0, false, now);
                self.uplinks[target.index()].note(0, true, now);
                counters.held_too_long += late as u64;
                counters.link_down += others as u64;
                progress.dropped += late + others;
                continue;
            };
            let (accepted, bytes) = queue.offer(target, port, limit, now);
            progress.delivered += accepted;
            counters.tx_frames += accepted as u64;
            counters.tx_bytes += bytes as u64;
            let all = queue.front(target).is_none();
            let uplink = uplinks.contains(target).then(|| &mut self.uplinks[target.index()]);
            let (late, no_room) = queue.drop_refused(target, (accepted, all), uplink, now);
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
