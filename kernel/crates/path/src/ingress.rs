//! The frames from one port that have not left yet, and for each destination those that wait for it.

mod dropping;

use crate::config::{HELD_BYTES, HELD_FRAMES};
use crate::patience::Patience;
use crate::{HOLD, MAX_PORTS, PortConfig, PortId, PortSet};
use alloc::boxed::Box;
use base::outbox::WINDOW;
use base::port::LANES;
use base::{Instant, LentFrame, Outbox, Port, Put, SlotId, Ticket};

/// Frames that wait for one destination, in order of arrival.
#[derive(Default)]
struct WaitingQueue {
    slots: heapless::Deque<SlotId, WINDOW>,
    /// Of these, those at the front that the destination had accepted and gave back, and until when they wait.
    returned: usize,
    resend_until: Instant,
    /// Bytes in the others.
    bytes: usize,
    /// The lane of the destination that the frame at the front is in, as it was last asked.
    lane: usize,
}

impl WaitingQueue {
    /// True if more wait than may in passing.
    fn is_crowded(&self) -> bool {
        self.slots.len() - self.returned > HELD_FRAMES || self.bytes > HELD_BYTES
    }
}

/// What the switch knows of a frame.
#[derive(Clone, Copy)]
struct ArrivedFrame {
    /// When it arrived.
    since: Instant,
    /// In which life of its port.
    life: u32,
    /// Its destination is a group address.
    group: bool,
}

/// Frames that arrived at one port and have not left yet.
pub(crate) struct IngressQueue {
    /// The port's number.
    number: u8,
    /// True if the port never stands still for a vNIC.
    impatient: bool,
    /// How long the port may still stand still for each vNIC.
    pub(crate) patience: [Patience; MAX_PORTS],
    /// The frames.
    pub(crate) outbox: Outbox,
    /// What is known of the frame in each slot.
    arrivals: [ArrivedFrame; WINDOW],
    /// Copies of frames for groups that wait.
    groups: usize,
    /// For each port, the frames that wait for it.
    waiting: Box<[WaitingQueue]>,
    /// The ports that frames wait for.
    targets: PortSet,
    /// Copies that ports have kept, and those of them whose memory they may still read: all but frames that are all head.
    kept: usize,
    referred: usize,
    /// The life of the port that the frames are from.
    life: u32,
}

// All that may wait in passing, and what one poll brings.
const _: () = assert!((MAX_PORTS - 1) * HELD_FRAMES + 64 <= WINDOW);
// A frame has a copy for each port at most, and an outbox counts them in eight bits.
const _: () = assert!(MAX_PORTS <= 255);

impl IngressQueue {
    /// No frames, from the port with this number, of so many.
    pub(crate) fn new(number: u8, config: &PortConfig, ports: usize) -> Self {
        Self {
            number,
            impatient: config.patience.is_zero(),
            patience: [Patience::FULL; MAX_PORTS],
            outbox: Outbox::new(number),
            arrivals: [ArrivedFrame { since: Instant::ZERO, life: 0, group: false }; WINDOW],
            groups: 0,
            waiting: core::iter::repeat_with(WaitingQueue::default).take(ports).collect(),
            targets: PortSet::EMPTY,
            kept: 0,
            referred: 0,
            life: 0,
        }
    }

    /// The ports that frames wait for.
    pub(crate) fn targets(&self) -> PortSet {
        self.targets
    }

    /// Takes note of the life of the port that frames will be from; false if those that wait are from another one.
    pub(crate) fn is_of(&mut self, life: u32) -> bool {
        core::mem::replace(&mut self.life, life) == life
    }

    /// Adds a copy of a frame that has arrived now for each of these ports; `group` if it is for many stations.
    #[inline]
    pub(crate) fn route(
        &mut self,
        slot: SlotId,
        (targets, copies): (PortSet, usize),
        group: bool,
        now: Instant,
    ) {
        self.outbox.share(slot, copies);
        self.arrivals[slot.index()] = ArrivedFrame { since: now, life: self.life, group };
        self.groups += if group { copies } else { 0 };
        let length = self.outbox.length(slot);
        for target in targets.iter() {
            self.push(target, slot, length);
        }
    }

    /// Appends a frame of this length to a queue.
    fn push(&mut self, target: PortId, slot: SlotId, length: usize) {
        // There is room for all slots.
        if let Some(queue) = self.waiting.get_mut(target.index())
            && queue.slots.push_back(slot).is_ok()
        {
            queue.bytes += length;
            self.targets = self.targets.with(target);
        }
    }

    /// The frame that has waited longest for this port.
    pub(crate) fn front(&self, target: PortId) -> Option<SlotId> {
        self.waiting.get(target.index())?.slots.front().copied()
    }

    /// The lane that it is in, as far as is known.
    pub(crate) fn lane(&self, target: PortId) -> Option<usize> {
        self.waiting.get(target.index()).filter(|queue| !queue.slots.is_empty()).map(|queue| queue.lane)
    }

    /// Asks `port`, for which it waits, in which lane it is.
    pub(crate) fn note_lane<P: Port>(&mut self, target: PortId, port: &mut P) {
        if let Some(queue) = self.waiting.get_mut(target.index())
            && let Some(slot) = queue.slots.front()
        {
            queue.lane = lane_of(port, &self.outbox.frame(*slot), self.number);
        }
    }

    /// Until when it is held.
    pub(crate) fn held_until(&self, target: PortId) -> Option<Instant> {
        let (queue, slot) = (self.waiting.get(target.index())?, self.front(target)?);
        Some(if queue.returned > 0 { queue.resend_until } else { self.arrivals[slot.index()].since + HOLD })
    }

    /// Offers the frames that wait for `target` to it, but for those beyond so many bytes, or from the first one on that is not in
    /// this lane. Returns how many it accepted, and the bytes in them, of one that is cut as it leaves.
    pub(crate) fn offer<P: Port>(
        &mut self,
        target: PortId,
        port: &mut P,
        (limit, lane): (usize, Option<usize>),
        now: Instant,
    ) -> (usize, usize) {
        let (mut accepted, mut bytes, mut offered) = (0, 0, false);
        let Self { number, waiting, outbox, arrivals, groups, .. } = self;
        let Some(queue) = waiting.get_mut(target.index()) else { return (0, 0) };
        while let Some(slot) = queue.slots.front().copied() {
            let frame = outbox.frame(slot);
            let (length, referred) = (frame.length, !frame.pieces.is_empty());
            let on_wire = frame.wire_length();
            if bytes + on_wire > limit {
                break;
            }
            if let Some(lane) = lane {
                queue.lane = lane_of(port, &frame, *number);
                if queue.lane != lane {
                    break;
                }
            }
            offered = true;
            match port.put(frame, outbox.lend(slot), now) {
                Put::Done(ticket) => outbox.give_back(ticket),
                Put::Kept => {
                    self.kept += 1;
                    self.referred += usize::from(referred);
                }
                Put::Refused(ticket) => {
                    ticket.refused();
                    break;
                }
            }
            queue.slots.pop_front();
            match queue.returned {
                0 => queue.bytes -= length,
                _ => queue.returned -= 1,
            }
            *groups -= usize::from(arrivals[slot.index()].group);
            (accepted, bytes) = (accepted + 1, bytes + on_wire);
        }
        if queue.slots.is_empty() {
            self.targets = self.targets.without(target);
        }
        if offered {
            port.note_accepted((*number).into(), bytes);
            port.flush(now);
        }
        (accepted, bytes)
    }

    /// A port that has kept a copy has made use of it.
    pub(crate) fn give_back(&mut self, ticket: Ticket) {
        self.kept -= 1;
        self.referred -= usize::from(self.outbox.has_pieces(ticket.slot()));
        self.outbox.give_back(ticket);
    }

    /// A port that has kept a copy will not send it: it waits for `target` again, once [`resend`](Self::resend) is called.
    /// False if it is from another life of its port and is dropped.
    pub(crate) fn take_back(&mut self, ticket: Ticket, target: PortId) -> bool {
        let slot = ticket.slot();
        if self.arrivals[slot.index()].life != self.life {
            self.give_back(ticket);
            return false;
        }
        self.kept -= 1;
        self.referred -= usize::from(self.outbox.has_pieces(slot));
        ticket.refused();
        self.groups += usize::from(self.arrivals[slot.index()].group);
        self.push(target, slot, self.outbox.length(slot));
        true
    }

    /// Moves the last `count` frames of a queue, which have been taken back, to its front: they were put before the others.
    pub(crate) fn resend(&mut self, target: PortId, count: usize, until: Instant) {
        let Some(queue) = self.waiting.get_mut(target.index()).filter(|_| count > 0) else { return };
        let (before, after) = queue.slots.as_slices();
        let back = before.iter().chain(after).rev().take(count);
        queue.bytes -= back.map(|slot| self.outbox.length(*slot)).sum::<usize>();
        for _ in count..queue.slots.len() {
            if let Some(slot) = queue.slots.pop_front() {
                let _ = queue.slots.push_back(slot);
            }
        }
        queue.returned += count;
        queue.resend_until = until;
    }

    /// Copies that ports have kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// Those of them whose memory they may still read.
    pub(crate) fn referred(&self) -> usize {
        self.referred
    }

    /// Copies that wait for `target`.
    fn count(&self, target: PortId) -> usize {
        self.waiting.get(target.index()).map_or(0, |queue| queue.slots.len())
    }

    /// True if more copies wait for `target` than may in passing.
    pub(crate) fn is_crowded(&self, target: PortId) -> bool {
        self.waiting.get(target.index()).is_some_and(WaitingQueue::is_crowded)
    }

    /// True if the port stands still, for whosever sake.
    pub(crate) fn stands_still(&self) -> bool {
        self.targets.iter().any(|target| self.is_crowded(target))
    }

    /// Number of copies that wait.
    pub(crate) fn copies(&self) -> usize {
        self.targets.iter().map(|target| self.count(target)).sum()
    }
}

/// The lane of a port that a frame from this port is in.
fn lane_of<P: Port>(port: &mut P, frame: &LentFrame<'_>, source: u8) -> usize {
    match port.lanes().clamp(1, LANES) {
        1 => 0,
        lanes => port.lane(frame, source.into()).min(lanes - 1),
    }
}
