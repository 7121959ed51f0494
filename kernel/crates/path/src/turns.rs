//! Whose frames a port is offered first, when frames from several ports wait for it.
//!
//! What matters is not who asks most often, or at which moment: a sender keeps its turn until so many bytes of its
//! frames have been accepted, in however many pieces, or until none of them wait. So a guest that writes TDT without
//! pause gets no more of the wire than one that sends and waits.

use crate::PortId;

/// What a sender may send in one turn: eleven frames of 1514 bytes, or two of the longest, so that the one with which it
/// goes beyond makes little difference.
const TURN: u64 = 16 * 1024;

/// What a frame counts at least: a turn has no more frames than are polled at once. Else those of the others could wait
/// for longer than their hold time, on a wire that takes few frames.
const SHORT: u64 = 512;

/// The turns of the senders to one port.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turns {
    /// The sender whose turn it is.
    holder: usize,
    /// Bytes that have been accepted from it in this turn.
    sent: u64,
}

impl Turns {
    /// The senders, of so many, in the order in which they are asked.
    pub(crate) fn order(self, count: usize) -> impl Iterator<Item = PortId> {
        (self.holder..count).chain(0..self.holder).filter_map(PortId::new)
    }

    /// Takes note of how many frames and bytes have been accepted from the sender that comes first, of so many, and of
    /// whether more of it waits. True if its turn is over, and the next one comes first.
    pub(crate) fn note(
        &mut self,
        sender: PortId,
        count: usize,
        (frames, bytes): (u64, u64),
        waits: bool,
    ) -> bool {
        if self.holder != sender.index() {
            *self = Self { holder: sender.index(), sent: 0 };
        }
        self.sent += bytes.max(frames * SHORT);
        let over = !waits || self.sent >= TURN;
        if over {
            *self = Self { holder: (sender.index() + 1) % count, sent: 0 };
        }
        over
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
        let mut turns = Turns::default();
        for piece in [(1, 1514), (0, 0), (1, 9000), (4, TURN - 1514 - 9000 - 1)] {
            assert!(!turns.note(port(1), 3, piece, true));
            assert_eq!(turns.order(3).next(), Some(port(1)));
        }
        assert!(turns.note(port(1), 3, (1, 60), true));
        assert_eq!(turns.order(3).map(PortId::index).collect::<Vec<_>>(), [2, 0, 1]);
        assert!(turns.note(port(2), 3, (1, 60), false));
        assert_eq!(turns.order(3).map(PortId::index).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_turn_has_no_more_frames_than_are_polled_at_once() {
        let mut turns = Turns::default();
        assert!(!turns.note(port(0), 2, (31, 31 * 60), true));
        assert!(turns.note(port(0), 2, (1, 60), true));
    }
}
