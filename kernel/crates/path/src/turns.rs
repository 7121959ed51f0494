//! Whose frames a port is offered first, when frames from several ports wait for it.
//!
//! What matters is not who asks most often, or at which moment: a sender keeps its turn until so many bytes of its
//! frames have been accepted, in however many pieces, or until none of them wait. So a guest that writes TDT without
//! pause gets no more of the wire than one that sends and waits.
//!
//! While there is no room for the next frame of the one whose turn it is, the others, whose frames may be shorter, must not
//! fill what becomes free: else there never is. A physical NIC gets none of theirs meanwhile. A vNIC gets [`BESIDE`]: group
//! frames do not wait for it. Its guest may also never make room for a long frame: the first offer after [`PATIENCE`] passes
//! the turn on.
//!
//! Behind a port there may be several NICs: the lanes of the port. Each lane has turns of its own, and who waits in one of them has
//! nothing to do with the others. A sender whose next frame is in another lane leaves this one in the middle of its turn, so that
//! nobody waits for it, and has the rest when it comes back, before anybody else: else one whose frames alternate would have a turn of
//! one frame beside those of eleven.
//!
//! A packet that a NIC cuts is longer than a turn: what it is longer is owed, and paid with the turns that follow.

use crate::{MAX_PORTS, PATIENCE, PortId, PortSet};
use base::Instant;

/// What a sender may send in one turn: eleven frames of 1514 bytes, or two jumbo frames of 9 KB, so that the one with which it
/// goes beyond makes little difference.
const TURN: u64 = 16 * 1024;

/// What a frame counts at least: a turn has no more frames than are polled at once. Else those of the others could wait
/// for longer than their hold time, for a vNIC that takes few frames.
const SHORT: u64 = 512;

/// What a vNIC may be sent out of turn, together, for each time that it takes something in turn: a few short frames, such
/// as ARP's.
const BESIDE: usize = 512;

/// Most that a sender may owe: what a NIC's ring holds of such packets.
const MOST_OWED: u64 = 16 * TURN;

/// What a sender has left after an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// A frame for which there is no room.
    Refused,
    /// A frame in another lane.
    Elsewhere,
}

/// The turns of the senders in one lane of a port.
#[derive(Clone)]
pub(crate) struct Turns {
    /// True for a vNIC, false for a physical NIC.
    to_vnic: bool,
    /// The sender whose turn it is, or who is the first to be asked whether it has something to send: its turn has not begun then.
    holder: usize,
    begun: bool,
    /// Bytes that have been accepted from it in this turn.
    sent: u64,
    /// Bytes that senders have sent beyond their turns, to a physical NIC.
    owed: [u64; MAX_PORTS],
    /// The senders that have left in the middle of their turns, the bytes that each may still send, and which of them is asked first,
    /// before the one whose turn it is.
    away: PortSet,
    unspent: [u64; MAX_PORTS],
    back: Option<PortId>,
    /// Since when nothing more of it has been accepted, once it waits.
    refused: Option<Instant>,
    /// Bytes that may be accepted from the others until more of it is.
    beside: usize,
}

impl Turns {
    /// The turns of those who send to a vNIC, or to a physical NIC.
    pub(crate) fn new(to_vnic: bool) -> Self {
        let beside = if to_vnic { BESIDE } else { 0 };
        let (owed, unspent) = ([0; MAX_PORTS], [0; MAX_PORTS]);
        let (away, back, refused) = (PortSet::EMPTY, None, None);
        Self { to_vnic, holder: 0, begun: false, sent: 0, owed, away, unspent, back, refused, beside }
    }

    /// The turn of this sender begins.
    fn begin(&mut self, holder: usize) {
        (self.holder, self.begun, self.sent) = (holder, true, core::mem::take(&mut self.owed[holder]));
        self.renew();
    }

    /// Decides whose turn it is at a physical NIC of so many senders, of whom these wait. Who has sent too much pays when others have
    /// their turns: it is passed over.
    pub(crate) fn choose(&mut self, count: usize, waiting: PortSet) {
        let waits = |port| PortId::new(port).is_some_and(|port| waiting.contains(port));
        self.back = None;
        let come_back = self.away.intersection(waiting);
        if !come_back.is_empty() {
            self.back = self.order(count).find(|port| come_back.contains(*port));
            return;
        }
        if self.to_vnic || waiting.is_empty() || self.begun && waits(self.holder) {
            return;
        }
        while !waits(self.holder) || self.owed[self.holder] >= TURN {
            let owed = &mut self.owed[self.holder];
            *owed = owed.saturating_sub(TURN);
            self.holder = (self.holder + 1) % count;
        }
        self.begin(self.holder);
    }

    /// The one whose turn it is has been served.
    fn renew(&mut self) {
        (self.refused, self.beside) = (None, if self.to_vnic { BESIDE } else { 0 });
    }

    /// The senders, of so many, in the order in which they are asked.
    pub(crate) fn order(&self, count: usize) -> impl Iterator<Item = PortId> + use<> {
        let first = self.back.map_or(self.holder, PortId::index);
        (first..count).chain(0..first).filter_map(PortId::new)
    }

    /// Takes note of how many frames and bytes have been accepted from the sender that comes first, of so many, and of
    /// what else it has. True if its turn is over, and the next one comes first.
    pub(crate) fn note(
        &mut self,
        sender: PortId,
        count: usize,
        (frames, bytes): (u64, u64),
        rest: Rest,
        now: Instant,
    ) -> bool {
        let counted = bytes.max(frames * SHORT);
        if self.back.take() == Some(sender) {
            return self.note_back(sender, counted, rest);
        }
        if !self.begun || self.holder != sender.index() {
            self.begin(sender.index());
        }
        if frames > 0 {
            self.renew();
        }
        self.sent += counted;
        let since = *self.refused.get_or_insert(now);
        let over = rest != Rest::Refused
            || self.sent >= TURN
            || self.to_vnic && now.saturating_since(since) >= PATIENCE;
        if over {
            if !self.to_vnic {
                self.owed[sender.index()] = self.sent.saturating_sub(TURN).min(MOST_OWED);
                self.leave(sender, if rest == Rest::Elsewhere { TURN.saturating_sub(self.sent) } else { 0 });
            }
            (self.holder, self.begun, self.sent) = ((sender.index() + 1) % count, false, 0);
            self.renew();
        }
        over
    }

    /// A sender leaves, and may still send so many bytes when it comes back.
    fn leave(&mut self, sender: PortId, unspent: u64) {
        self.unspent[sender.index()] = unspent;
        self.away = if unspent > 0 { self.away.with(sender) } else { self.away.without(sender) };
    }

    /// The same as [`note`](Self::note) for a sender that has come back for the rest of its turn.
    fn note_back(&mut self, sender: PortId, counted: u64, rest: Rest) -> bool {
        let unspent = self.unspent[sender.index()];
        self.owed[sender.index()] = counted.saturating_sub(unspent).min(MOST_OWED);
        self.leave(sender, if rest == Rest::Nothing { 0 } else { unspent.saturating_sub(counted) });
        rest != Rest::Refused || !self.away.contains(sender)
    }

    /// How many bytes may be accepted from the others before more is from the one whose turn it is.
    pub(crate) fn beside(&self) -> usize {
        self.beside
    }

    /// Takes note of how many of these bytes have been accepted.
    pub(crate) fn note_beside(&mut self, bytes: u64) {
        self.beside = self.beside.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn port(index: usize) -> PortId {
        PortId::new(index).unwrap()
    }

    #[test]
    fn a_turn_lasts_until_its_bytes_are_sent_or_nothing_waits() {
        let (mut turns, now) = (Turns::new(true), Instant::ZERO);
        for piece in [(1, 1514), (0, 0), (1, 9000), (4, TURN - 1514 - 9000 - 1)] {
            assert!(!turns.note(port(1), 3, piece, Rest::Refused, now));
            assert_eq!(turns.order(3).next(), Some(port(1)));
        }
        assert!(turns.note(port(1), 3, (1, 60), Rest::Refused, now));
        assert_eq!(turns.order(3).map(PortId::index).collect::<Vec<_>>(), [2, 0, 1]);
        assert!(turns.note(port(2), 3, (1, 60), Rest::Nothing, now));
        assert_eq!(turns.order(3).map(PortId::index).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_turn_has_no_more_frames_than_are_polled_at_once() {
        let (mut turns, now) = (Turns::new(false), Instant::ZERO);
        assert!(!turns.note(port(0), 2, (31, 31 * 60), Rest::Refused, now));
        assert!(turns.note(port(0), 2, (1, 60), Rest::Refused, now));
    }

    #[test]
    fn who_has_sent_more_than_a_turn_is_passed_over_until_it_is_paid() {
        let (mut turns, now) = (Turns::new(false), Instant::ZERO);
        // Port 2 never waits.
        let next = |turns: &mut Turns, waits: [bool; 3]| {
            let waiting = (0..3).filter(|port| waits[*port]).map(port);
            turns.choose(3, waiting.fold(PortSet::EMPTY, PortSet::with));
            turns.order(3).next().unwrap()
        };
        assert_eq!(next(&mut turns, [true, true, false]).index(), 0);
        assert!(turns.note(port(0), 3, (1, 4 * TURN + 100), Rest::Refused, now));
        for _ in 0..4 {
            assert_eq!(next(&mut turns, [true, true, false]).index(), 1);
            assert!(turns.note(port(1), 3, (11, TURN), Rest::Refused, now));
        }
        // It still owes 100 bytes.
        assert_eq!(next(&mut turns, [true, true, false]).index(), 0);
        assert!(turns.note(port(0), 3, (11, TURN - 100), Rest::Refused, now));
        // Nobody owes for ever, and who sends alone is not held up.
        assert_eq!(next(&mut turns, [false, true, false]).index(), 1);
        assert!(turns.note(port(1), 3, (1000, 1000 * TURN), Rest::Refused, now));
        assert_eq!(next(&mut turns, [false, true, false]).index(), 1);
        assert!(turns.owed.iter().all(|owed| *owed < TURN));
    }

    #[test]
    fn who_leaves_for_another_lane_has_the_rest_of_its_turn_first_when_it_comes_back() {
        let (mut turns, now) = (Turns::new(false), Instant::ZERO);
        let all = PortSet::first(3);
        let next = |turns: &mut Turns, waiting: PortSet| {
            turns.choose(3, waiting);
            turns.order(3).next().unwrap().index()
        };
        assert_eq!(next(&mut turns, all), 0);
        assert!(turns.note(port(0), 3, (1, 1514), Rest::Elsewhere, now));
        assert_eq!(next(&mut turns, all.without(port(0))), 1);
        assert!(!turns.note(port(1), 3, (1, TURN / 2), Rest::Refused, now));
        // It is back, in pieces, and the other one's turn goes on meanwhile.
        assert_eq!(next(&mut turns, all), 0);
        assert!(turns.note(port(0), 3, (1, 1514), Rest::Elsewhere, now));
        assert_eq!(next(&mut turns, all), 0);
        assert!(!turns.note(port(0), 3, (1, 1514), Rest::Refused, now));
        assert_eq!(next(&mut turns, all), 0);
        assert!(turns.note(port(0), 3, (10, TURN), Rest::Refused, now));
        assert_eq!((turns.owed[0], turns.away), (3 * 1514, PortSet::EMPTY));
        assert_eq!(next(&mut turns, all), 1);
        assert!(turns.note(port(1), 3, (1, TURN / 2), Rest::Refused, now));
        assert_eq!(next(&mut turns, all), 2);
        assert!(turns.note(port(2), 3, (1, 60), Rest::Nothing, now));
        // Who has nothing left anywhere has no claim.
        assert_eq!(next(&mut turns, all), 0);
        assert!(turns.note(port(0), 3, (0, 0), Rest::Elsewhere, now));
        assert_eq!(next(&mut turns, all), 0);
        assert!(turns.note(port(0), 3, (1, 60), Rest::Nothing, now));
        assert_eq!(next(&mut turns, all), 1);
    }

    #[test]
    fn a_turn_passes_when_a_vnic_has_taken_nothing_for_too_long() {
        let end = Instant::ZERO + PATIENCE;
        for to_vnic in [true, false] {
            let mut turns = Turns::new(to_vnic);
            assert!(!turns.note(port(0), 2, (0, 0), Rest::Refused, Instant::ZERO));
            assert!(!turns.note(port(0), 2, (1, 60), Rest::Refused, Instant(1)));
            assert!(!turns.note(port(0), 2, (0, 0), Rest::Refused, end));
            assert_eq!(turns.note(port(0), 2, (0, 0), Rest::Refused, Instant(end.0 + 1)), to_vnic);
        }
    }

    #[test]
    fn a_vnic_takes_a_few_bytes_out_of_turn_each_time_that_it_takes_some_in_turn() {
        let (mut turns, now) = (Turns::new(true), Instant::ZERO);
        turns.note(port(0), 2, (0, 0), Rest::Refused, now);
        turns.note_beside(500);
        turns.note(port(0), 2, (0, 0), Rest::Refused, now);
        assert_eq!(turns.beside(), BESIDE - 500);
        turns.note(port(0), 2, (1, 1514), Rest::Refused, now);
        assert_eq!(turns.beside(), BESIDE);
        turns.note_beside(513);
        assert_eq!(turns.beside(), 0);
        assert_eq!(Turns::new(false).beside(), 0, "a physical NIC takes none");
    }
}
