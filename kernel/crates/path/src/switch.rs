//! The switch: polls ports, delivers frames, and keeps those that a destination does not accept yet.

use crate::config::{HELD_BYTES, HELD_FRAMES};
use crate::forwarder::{Decision, Forwarder};
use crate::patience::{Patience, UplinkProgress};
use crate::pending::PendingBatch;
use crate::turns::Turns;
use crate::{Attachment, MAX_PORTS, PathError, PortConfig, PortCounters, PortId, PortSet};
use alloc::boxed::Box;
use base::batch::MAX_FRAMES;
use base::time::Duration;
use base::{Instant, MacAddress, Port};

/// Frames that arrived at one port and have not left yet.
struct IngressQueue {
    /// How long they wait for a destination that accepts no more.
    hold: Duration,
    /// True if the port never stands still for a vNIC.
    impatient: bool,
    /// How long the port may still stand still for each vNIC.
    patience: [Patience; MAX_PORTS],
    pending: PendingBatch,
}

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
/// let (from, to) = (PortId::new(0).unwrap(), PortId::new(1).unwrap());
/// let progress = switch.take_from(from, &mut [&mut vnic as &mut dyn Port, &mut nic], 32, Instant::ZERO);
///
/// assert_eq!((progress.polled, progress.delivered, progress.dropped), (1, 1, 0));
/// assert_eq!(nic.take_sent(), [frame]);
/// assert_eq!(switch.counters(to).map(|counters| counters.tx_frames), Some(1));
/// # Ok::<(), path::PathError>(())
/// ```
pub struct Switch {
    forwarder: Forwarder,
    queues: Box<[IngressQueue]>,
    /// For each port with a physical NIC, whether it takes frames.
    uplinks: Box<[UplinkProgress]>,
    counters: Box<[PortCounters]>,
    /// Ports that were to be polled and stood still instead.
    stopped: PortSet,
    /// For each port, whose frames it is offered first.
    turns: Box<[Turns]>,
    /// Ports from which frames wait.
    occupied: PortSet,
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
        let queue = |port: &PortConfig| IngressQueue {
            hold: port.hold,
            impatient: port.patience.is_zero(),
            patience: [Patience::FULL; MAX_PORTS],
            pending: PendingBatch::new(),
        };
        let queues = ports.iter().map(queue).collect();
        let uplinks = ports.iter().map(|_| UplinkProgress::default()).collect();
        let counters = ports.iter().map(|_| PortCounters::default()).collect();
        let turns = ports.iter().map(|port| Turns::new(port.attachment != Attachment::Uplink)).collect();
        let (stopped, occupied) = (PortSet::EMPTY, PortSet::EMPTY);
        Ok(Self { forwarder, queues, uplinks, counters, stopped, turns, occupied })
    }

    /// Moves at most one batch of at most `budget` frames from one port, after the frames that wait, from whomever. If
    /// it stands still, it is not polled, and a later call names it in [`Progress::resumed`].
    ///
    /// `ports` are in the order given to [`new`](Self::new). Ports missing at the end of the list are treated as ports
    /// whose link is down.
    pub fn take_from(
        &mut self,
        ingress: PortId,
        ports: &mut [&mut dyn Port],
        budget: usize,
        now: Instant,
    ) -> Progress {
        let mut progress = Progress::default();
        self.take(ingress, ports, budget, now, &mut progress);
        progress.pending = self.pending(ingress);
        progress
    }

    /// Offers to one port the frames that wait for it. Its senders take turns.
    pub fn give_to(&mut self, egress: PortId, ports: &mut [&mut dyn Port], now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.share(self.wanted().intersection(PortSet::EMPTY.with(egress)), ports, now, &mut progress);
        progress.pending = self.queues.iter().map(|queue| queue.pending.copies()).sum();
        progress
    }

    /// True while frames wait for this port.
    #[must_use]
    pub fn waits_for(&self, egress: PortId) -> bool {
        self.queues.iter().any(|queue| queue.pending.targets().contains(egress))
    }

    /// Offers all frames that wait, and drops those that have waited too long.
    pub fn retry(&mut self, ports: &mut [&mut dyn Port], now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.share(self.wanted(), ports, now, &mut progress);
        progress.pending = self.queues.iter().map(|queue| queue.pending.copies()).sum();
        progress
    }

    /// When [`retry`](Self::retry) must be called at the latest: the earliest end of a hold time, or of standing
    /// still.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.queues.iter().filter_map(|queue| self.deadline(queue)).min()
    }

    fn deadline(&self, queue: &IngressQueue) -> Option<Instant> {
        let uplinks = self.forwarder.uplinks();
        let ends = queue.pending.targets().iter().filter_map(|target| {
            let held = queue.pending.since(target)? + queue.hold;
            let crowded = queue.pending.exceeds(target, HELD_FRAMES, HELD_BYTES);
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

    /// The destinations for whose sake the port of this queue stands still.
    fn halting<'a>(&'a self, queue: &'a IngressQueue) -> impl Iterator<Item = PortId> + 'a {
        let targets = queue.pending.targets().iter();
        targets.filter(|target| queue.pending.exceeds(*target, HELD_FRAMES, HELD_BYTES))
    }

    fn stands_still(&self, ingress: PortId) -> bool {
        self.halting(&self.queues[ingress.index()]).next().is_some()
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

    /// The ports that frames wait for.
    fn wanted(&self) -> PortSet {
        let queues = self.occupied.iter().filter_map(|ingress| self.queues.get(ingress.index()));
        queues.fold(PortSet::EMPTY, |all, queue| all.union(queue.pending.targets()))
    }

    /// Offers the frames that wait to each of these destinations, whose senders take turns. While it has no room for the
    /// next frame of the one whose turn it is, it gets few frames of others, or none.
    fn share(&mut self, among: PortSet, ports: &mut [&mut dyn Port], now: Instant, progress: &mut Progress) {
        let count = self.queues.len();
        for egress in among.iter() {
            let target = PortSet::EMPTY.with(egress);
            let mut kept = false;
            for ingress in self.turns[egress.index()].order(count) {
                if !self.queues[ingress.index()].pending.targets().contains(egress) {
                    continue;
                }
                let sent = |counters: &PortCounters| (counters.tx_frames, counters.tx_bytes);
                let before = sent(&self.counters[egress.index()]);
                let limit = if kept { self.turns[egress.index()].beside() } else { usize::MAX };
                self.deliver(ingress, (target, limit), ports, now, progress);
                let after = sent(&self.counters[egress.index()]);
                let accepted = (after.0 - before.0, after.1 - before.1);
                let waits = self.queues[ingress.index()].pending.targets().contains(egress);
                let turns = &mut self.turns[egress.index()];
                if kept {
                    turns.note_beside(accepted.1);
                } else {
                    kept = !turns.note(ingress, count, accepted, waits, now);
                }
            }
        }
    }

    /// Delivers what waits, and polls `ingress` if it does not stand still.
    fn take(
        &mut self,
        ingress: PortId,
        ports: &mut [&mut dyn Port],
        budget: usize,
        now: Instant,
        progress: &mut Progress,
    ) {
        if ingress.index() >= self.queues.len() {
            return;
        }
        self.forwarder.age(now);
        // Those who wait have their turns, whoever asks: else what is freed would go to whoever asks most often.
        let mut wanted = PortSet::EMPTY;
        if !self.occupied.is_empty() {
            self.share(self.queues[ingress.index()].pending.targets(), ports, now, progress);
            if self.stands_still(ingress) {
                self.stopped = self.stopped.with(ingress);
                return;
            }
            wanted = self.wanted();
        }
        self.poll(ingress, ports, budget, now, progress);
        self.deliver(ingress, (PortSet::ALL.minus(wanted), usize::MAX), ports, now, progress);
        if !wanted.is_empty() {
            let new = self.queues[ingress.index()].pending.targets();
            self.share(wanted.intersection(new), ports, now, progress);
        }
    }

    /// Polls `ingress` into its batch and decides where the frames go.
    fn poll(
        &mut self,
        ingress: PortId,
        ports: &mut [&mut dyn Port],
        budget: usize,
        now: Instant,
        progress: &mut Progress,
    ) {
        let Some(port) = ports.get_mut(ingress.index()) else { return };
        let pending = &mut self.queues[ingress.index()].pending;
        let counters = &mut self.counters[ingress.index()];
        let batch = pending.begin();
        let first = batch.len();
        let budget = budget.min(MAX_FRAMES - first);
        let polled = port.poll(batch, budget, now);
        progress.more |= polled > 0 && (polled >= budget || !batch.fits(port.capabilities().max_frame));
        for index in first..MAX_FRAMES {
            let Some(frame) = pending.frame(index) else { break };
            progress.polled += 1;
            counters.rx_frames += 1;
            counters.rx_bytes += frame.len() as u64;
            match self.forwarder.decide(frame, ingress, counters, now) {
                Decision::Forward { targets, group } => {
                    counters.forwarded += 1;
                    counters.copies += targets.len() as u64;
                    pending.route(index, targets, group, now);
                }
                Decision::Drop(cause) => {
                    counters.count_drop(cause);
                    pending.route(index, PortSet::EMPTY, false, now);
                    progress.dropped += 1;
                }
            }
        }
    }

    /// Offers the pending frames of `ingress` to each of these destinations, treats those beyond so many bytes as
    /// refused, and drops those that may not wait.
    fn deliver(
        &mut self,
        ingress: PortId,
        (among, limit): (PortSet, usize),
        ports: &mut [&mut dyn Port],
        now: Instant,
        progress: &mut Progress,
    ) {
        let (queue, uplinks) = (&mut self.queues[ingress.index()], self.forwarder.uplinks());
        for target in queue.pending.targets().intersection(among).iter() {
            let frames = queue.pending.frames_for(target);
            let offered = frames.len();
            let port = ports.get_mut(target.index()).filter(|port| port.capabilities().link_up);
            let counters = &mut self.counters[target.index()];
            let Some(port) = port else {
                drop(frames);
                let dropped = queue.pending.drop_all(target);
                queue.patience[target.index()].note(0, false, now);
                self.uplinks[target.index()].note(0, true, now);
                counters.link_down += dropped as u64;
                progress.dropped += dropped;
                continue;
            };
            let mut left = limit;
            let fits = |frame: &&&[u8]| {
                let rest = left.checked_sub(frame.len());
                left = rest.unwrap_or(0);
                rest.is_some()
            };
            let within = frames.iter().take_while(fits).count();
            let accepted = if within > 0 { port.send(&frames[..within], now).min(within) } else { 0 };
            let bytes: usize = frames[..accepted].iter().map(|frame| frame.len()).sum();
            drop(frames);
            queue.pending.accepted(target, accepted);
            progress.delivered += accepted;
            counters.tx_frames += accepted as u64;
            counters.tx_bytes += bytes as u64;
            let offer = (accepted, accepted == offered);
            let uplink = uplinks.contains(target).then(|| &mut self.uplinks[target.index()]);
            let (late, no_room) = queue.drop_refused(target, offer, uplink, now);
            counters.held_too_long += late as u64;
            counters.no_room += no_room as u64;
            progress.dropped += late + no_room;
            if late + no_room > 0 {
                port.missed(late + no_room, now);
            }
        }
        queue.pending.clear_if_done();
        self.occupied = match queue.pending.is_empty() {
            true => self.occupied.without(ingress),
            false => self.occupied.with(ingress),
        };
        if self.stopped.contains(ingress) && !self.stands_still(ingress) {
            self.stopped = self.stopped.without(ingress);
            progress.resumed = progress.resumed.with(ingress);
        }
    }
}

impl IngressQueue {
    /// Drops those copies for `target` that may not wait, after an offer of which it took so many, and all or not.
    /// `uplink` is its progress if it is a physical NIC. Returns how many copies have waited too long, and how many
    /// there is no room for.
    fn drop_refused(
        &mut self,
        target: PortId,
        (taken, all): (usize, bool),
        uplink: Option<&mut UplinkProgress>,
        now: Instant,
    ) -> (usize, usize) {
        let pending = &mut self.pending;
        let uplink_takes = uplink.map(|uplink| uplink.note(taken, all, now));
        let mut no_room = if uplink_takes.is_none() && !all { pending.drop_group(target) } else { 0 };
        // Frames for a wire that takes others, however slowly, have not waited too long.
        let may_age = !all && uplink_takes != Some(true);
        let late = if may_age { pending.drop_older(target, self.hold, now) } else { 0 };
        let crowded = !all && pending.exceeds(target, HELD_FRAMES, HELD_BYTES);
        let waits = uplink_takes
            .unwrap_or_else(|| !self.impatient && self.patience[target.index()].note(taken, crowded, now));
        if crowded && !waits {
            no_room += pending.drop_beyond(target, HELD_FRAMES, HELD_BYTES);
        }
        (late, no_room)
    }
}
