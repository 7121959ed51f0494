//! What happens to frames that may not wait.

use super::IngressQueue;
use crate::PortId;
use base::{Instant, Port, SlotId};

impl IngressQueue {
    /// Removes one end of a queue; the copy is still to be accounted for.
    fn pop(&mut self, target: PortId, front: bool) -> Option<SlotId> {
        let queue = self.waiting.get_mut(target.index())?;
        let slot = if front { queue.slots.pop_front() } else { queue.slots.pop_back() }?;
        let again = if front { queue.returned > 0 } else { queue.returned > queue.slots.len() };
        if again {
            queue.returned -= 1;
        } else {
            queue.bytes -= self.outbox.length(slot);
        }
        self.groups -= usize::from(self.arrivals[slot.index()].group);
        if queue.slots.is_empty() {
            self.targets = self.targets.without(target);
        }
        Some(slot)
    }

    /// Drops one copy at one end of a queue.
    fn drop_one(&mut self, target: PortId, front: bool) -> usize {
        let slot = self.pop(target, front);
        slot.into_iter().for_each(|slot| self.outbox.drop_copy(slot));
        usize::from(slot.is_some())
    }

    /// Drops all copies for `target`, and returns how many.
    pub(crate) fn drop_all(&mut self, target: PortId) -> usize {
        (0..self.count(target)).map(|_| self.drop_one(target, true)).sum()
    }

    /// Drops the copies for `target`, which has no link, but for those that it has given back and that are still held.
    /// Returns how many of these are not held any more, and how many others there were.
    pub(crate) fn drop_without_link(&mut self, target: PortId, now: Instant) -> (usize, usize) {
        let (mut late, mut others) = (0, 0);
        while let Some(queue) = self.waiting.get(target.index()) {
            if queue.slots.len() > queue.returned {
                others += self.drop_one(target, false);
            } else if queue.returned > 0 && queue.resend_until <= now {
                late += self.drop_one(target, false);
            } else {
                break;
            }
        }
        (late, others)
    }

    /// Drops the copies of group frames for `target`, a vNIC, which has given none back, and returns how many.
    fn drop_group(&mut self, target: PortId) -> usize {
        let mut dropped = 0;
        if self.groups == 0 {
            return 0;
        }
        for _ in 0..self.count(target) {
            let Some(slot) = self.pop(target, true) else { break };
            if self.arrivals[slot.index()].group {
                self.outbox.drop_copy(slot);
                dropped += 1;
                continue;
            }
            self.push(target, slot, self.outbox.length(slot));
        }
        dropped
    }

    /// Drops the copies for `target` of frames that have waited for the hold time, and returns how many.
    pub(crate) fn drop_older(&mut self, target: PortId, now: Instant) -> usize {
        let mut dropped = 0;
        while self.held_until(target).is_some_and(|until| until <= now) {
            dropped += self.drop_one(target, true);
        }
        dropped
    }

    /// Drops the copies for `target` beyond those that may wait in passing, and returns how many.
    pub(crate) fn drop_beyond(&mut self, target: PortId) -> usize {
        let mut dropped = 0;
        while self.is_crowded(target) {
            dropped += self.drop_one(target, false);
        }
        dropped
    }

    /// Drops those copies for `target`, that may not wait because this lane of it takes nothing: those at the front that are in it, so
    /// that those behind them in other lanes pay for nothing. What came back is no part of a crowd: where that is at the front, the last
    /// ones make room, in whatever lane. Returns how many have waited too long, and how many there is no room for.
    pub(crate) fn drop_in_lane<P: Port>(
        &mut self,
        (target, lane): (PortId, usize),
        port: &mut P,
        now: Instant,
    ) -> (usize, usize) {
        let (mut late, mut no_room) = (0, 0);
        while self.lane(target) == Some(lane) {
            if self.held_until(target).is_some_and(|until| until <= now) {
                late += self.drop_one(target, true);
            } else if self.is_crowded(target) {
                let returned = self.waiting.get(target.index()).is_some_and(|queue| queue.returned > 0);
                no_room += self.drop_one(target, !returned);
            } else {
                break;
            }
            self.note_lane(target, port);
        }
        (late, no_room)
    }

    /// Drops those copies for `target`, a vNIC, that may not wait, after an offer of which it took so many. Returns how many copies have
    /// waited too long, and how many there is no room for.
    pub(crate) fn drop_refused(&mut self, target: PortId, taken: usize, now: Instant) -> (usize, usize) {
        let all = self.front(target).is_none();
        let mut no_room = if all { 0 } else { self.drop_group(target) };
        let late = if all { 0 } else { self.drop_older(target, now) };
        let crowded = !all && self.is_crowded(target);
        let waits = !self.impatient && self.patience[target.index()].note(taken, crowded, now);
        if crowded && !waits {
            no_room += self.drop_beyond(target);
        }
        (late, no_room)
    }
}
