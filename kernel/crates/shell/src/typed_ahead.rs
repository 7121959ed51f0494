//! What was typed for a guest that has not read it yet. The operator's keys must reach Weir even if a guest reads none, so
//! typing cannot be made to wait: what exceeds the room is lost, and said to be.

use core::fmt;
use heapless::Deque;

/// Bytes that can be typed ahead of a guest: a pasted page of text.
pub const TYPED_AHEAD: usize = 8192;

/// What became of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// The guest gets it in its turn, as all before it.
    Taken,
    /// It is lost: [`TYPED_AHEAD`] bytes wait already. The first one of a run of lost bytes.
    FirstLost,
    /// It is lost, too.
    Lost,
    /// The guest gets it, but not this many before it.
    TakenAfter(u64),
}

impl Typing {
    /// Tells the operator of a loss: `name` is the guest's VM.
    pub fn tell(self, name: &str, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        match self {
            Self::Taken | Self::Lost => {}
            Self::FirstLost => say(format_args!(
                "{name} does not read its console: what is typed beyond {TYPED_AHEAD} bytes is lost"
            )),
            Self::TakenAfter(lost) => {
                say(format_args!("{name} reads its console again: {lost} typed bytes were lost"));
            }
        }
    }
}

/// The bytes that wait. All zeros before its use.
#[derive(Default)]
pub struct TypedAhead {
    bytes: Deque<u8, TYPED_AHEAD>,
    lost: u64,
    /// Bytes lost since the last one that was taken.
    losing: u64,
}

impl TypedAhead {
    /// Without a byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Deque::new(), lost: 0, losing: 0 }
    }

    /// Adds a byte. After a loss none is taken until half of the room is free, so that a guest that reads slowly is not
    /// reported for each byte.
    pub fn push(&mut self, byte: u8) -> Typing {
        let recovered = self.losing == 0 || self.bytes.len() <= TYPED_AHEAD / 2;
        if !recovered || self.bytes.push_back(byte).is_err() {
            self.lost += 1;
            self.losing += 1;
            return if self.losing == 1 { Typing::FirstLost } else { Typing::Lost };
        }
        match core::mem::take(&mut self.losing) {
            0 => Typing::Taken,
            lost => Typing::TakenAfter(lost),
        }
    }

    /// Passes bytes to `give` until it refuses one. Returns true if some are left.
    pub fn pass(&mut self, mut give: impl FnMut(u8) -> bool) -> bool {
        while self.bytes.front().is_some_and(|&byte| give(byte)) {
            self.bytes.pop_front();
        }
        !self.bytes.is_empty()
    }

    /// Drops the bytes, as lost.
    pub fn forget(&mut self) {
        self.lost += self.bytes.len() as u64;
        self.bytes.clear();
    }

    /// Bytes that the guest never got.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_room_is_lost_and_counted() {
        let mut typed = TypedAhead::new();
        assert!((0..TYPED_AHEAD).all(|_| typed.push(b'a') == Typing::Taken));
        assert_eq!([typed.push(b'b'), typed.push(b'b')], [Typing::FirstLost, Typing::Lost]);
        assert!(!typed.pass(|byte| byte == b'a'));
        assert_eq!((typed.push(b'c'), typed.push(b'c')), (Typing::TakenAfter(2), Typing::Taken));
        typed.forget();
        assert_eq!(typed.lost(), 4);
        assert!(!typed.pass(|_| true));
    }

    #[test]
    fn a_guest_that_reads_byte_by_byte_under_a_flood_is_reported_rarely() {
        let mut typed = TypedAhead::new();
        let mut reports = 0;
        for _ in 0..5 * TYPED_AHEAD {
            let typing = [typed.push(b'a'), typed.push(b'a')];
            reports += typing.into_iter().filter(|one| !matches!(one, Typing::Taken | Typing::Lost)).count();
            let mut room = true;
            typed.pass(|_| core::mem::take(&mut room));
        }
        assert!((2..20).contains(&reports), "{reports}");
    }
}
