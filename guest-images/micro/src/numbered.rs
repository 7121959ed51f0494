//! Numbered datagrams of mixed sizes, which reveal loss, duplication, reordering and corruption.
//!
//! A payload consists of its number (32 bits), its length (16 bits) twice, and a pattern that depends on the
//! number and the position.

use crate::net::length_field;

/// UDP port of both ends.
pub const PORT: u16 = 5000;
/// Number of the datagram that ends the run; the 32 bits at offset 8 hold the number of datagrams before it.
pub const LAST: u32 = u32::MAX;

/// One in this many datagrams is acknowledged, since acknowledging each one would double the number of frames. A
/// sender's window is at least as large.
pub const ACKNOWLEDGED: u32 = 8;

const HEADER: usize = 8;
const SIZES: u32 = 1472 - 12 + 1;

/// Whether the receiver sends an acknowledgement when `next` is the number that it expects: for the first
/// datagram, which shows that the receiver is ready, and then for one in [`ACKNOWLEDGED`].
#[must_use]
pub fn is_acknowledged(next: u32) -> bool {
    next == 1 || next.is_multiple_of(ACKNOWLEDGED)
}

/// Length of the payload with this number, from 12 to 1472 bytes; all sizes occur.
#[must_use]
pub fn length_of(number: u32) -> usize {
    // 641 is coprime to the number of sizes, so all sizes occur, and the sizes of consecutive datagrams differ a
    // lot.
    12 + (number.wrapping_mul(641) % SIZES) as usize
}

fn pattern(number: u32, at: usize) -> u8 {
    (number as usize).wrapping_add(at.wrapping_mul(7)).to_le_bytes()[0]
}

/// Writes the payload with this number and returns its length.
pub fn write(into: &mut [u8; 1472], number: u32) -> usize {
    let length = if number == LAST { 12 } else { length_of(number) };
    into[..4].copy_from_slice(&number.to_be_bytes());
    into[4..6].copy_from_slice(&length_field(length));
    into[6..8].copy_from_slice(&length_field(length));
    for (at, byte) in into.iter_mut().enumerate().take(length).skip(HEADER) {
        *byte = pattern(number, at);
    }
    length
}

/// The reason why a datagram is not the next one of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The end of the run.
    End {
        /// How many datagrams were sent.
        count: u32,
    },
    /// Datagrams are missing.
    Missing {
        /// The first missing number.
        from: u32,
        /// The number that arrived instead.
        to: u32,
    },
    /// A number that arrived before, or too late.
    Again(u32),
    /// The payload was corrupted.
    Damaged,
}

/// Checks the numbers of a run.
#[derive(Debug, Default)]
pub struct Sequence {
    next: u32,
}

impl Sequence {
    /// The expected number; without faults it is the number of datagrams received.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Checks a payload and returns the number that is expected after it.
    ///
    /// # Errors
    /// A [`Fault`]; after missing datagrams the sequence continues behind the gap.
    pub fn take(&mut self, payload: &[u8]) -> Result<u32, Fault> {
        let number = number_at(payload, 0).ok_or(Fault::Damaged)?;
        if number == LAST {
            return Err(Fault::End { count: number_at(payload, 8).ok_or(Fault::Damaged)? });
        }
        let length = length_field(payload.len());
        let whole = payload.len() == length_of(number)
            && payload[4..6] == length
            && payload[6..8] == length
            && (HEADER..payload.len()).all(|at| payload[at] == pattern(number, at));
        if !whole {
            return Err(Fault::Damaged);
        }
        // A sender repeats number 0 until it is acknowledged, since the receiver may not have been ready.
        if number == 0 && self.next == 1 {
            return Ok(1);
        }
        if number < self.next {
            return Err(Fault::Again(number));
        }
        let expected = core::mem::replace(&mut self.next, number + 1);
        if number > expected { Err(Fault::Missing { from: expected, to: number }) } else { Ok(self.next) }
    }
}

fn number_at(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(number: u32) -> Vec<u8> {
        let mut bytes = [0; 1472];
        let length = write(&mut bytes, number);
        bytes[..length].to_vec()
    }

    #[test]
    fn a_whole_run_in_order_is_accepted() {
        let mut sequence = Sequence::default();
        for number in 0..5000 {
            assert_eq!(sequence.take(&payload(number)), Ok(number + 1));
        }
        let mut last = payload(LAST);
        last[8..12].copy_from_slice(&5000_u32.to_be_bytes());
        assert_eq!(sequence.take(&last), Err(Fault::End { count: 5000 }));
    }

    #[test]
    fn repeating_the_first_datagram_is_no_fault_until_the_second() {
        let mut sequence = Sequence::default();
        assert_eq!([0, 0, 1].map(|number| sequence.take(&payload(number))), [Ok(1), Ok(1), Ok(2)]);
        assert_eq!(sequence.take(&payload(0)), Err(Fault::Again(0)));
    }

    #[test]
    fn loss_duplication_and_corruption_are_distinguished() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.take(&payload(0)), Ok(1));
        assert_eq!(sequence.take(&payload(3)), Err(Fault::Missing { from: 1, to: 3 }));
        assert_eq!(sequence.take(&payload(2)), Err(Fault::Again(2)));
        assert_eq!(sequence.take(&payload(3)), Err(Fault::Again(3)));
        let mut broken = payload(4);
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(sequence.take(&broken), Err(Fault::Damaged));
        assert_eq!(sequence.take(&payload(4)[..20]), Err(Fault::Damaged));
        assert_eq!(sequence.take(&payload(4)), Ok(5));
    }

    #[test]
    fn all_sizes_occur() {
        let mut seen = vec![false; 1473];
        (0..SIZES).for_each(|number| seen[length_of(number)] = true);
        assert_eq!(seen.iter().filter(|&&seen| seen).count(), SIZES as usize);
    }
}
