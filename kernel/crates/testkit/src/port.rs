//! A port backed by queues in memory, one for each direction.

use crate::{FakeMemory, TestMemory};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use base::frame::HEAD;
use base::{
    Capabilities, Checksums, GuestPhysical, GuestSpans, Instant, LentFrame, MacAddress, Memory, Outbox, Port,
    Put, Ticket,
};
use core::num::NonZeroU16;

/// Where the memory of lent frames is: no NIC reaches it, so that one without this memory copies them.
const OUT_OF_REACH: u64 = 1 << 60;

/// A port that returns the frames that a test queued and keeps the frames sent to it.
///
/// ```
/// use base::{Instant, Outbox, Port};
/// use testkit::{QueuePort, frames_of, put};
///
/// let mut port = QueuePort::with_space(1);
/// port.arrive(b"from the wire");
/// assert_eq!(frames_of(&mut port, 8, Instant::ZERO), [b"from the wire"]);
/// // Only one of two frames is accepted: the port pushes back.
/// assert!(put(&mut port, b"first", Instant::ZERO));
/// assert!(!put(&mut port, b"second", Instant::ZERO));
/// assert_eq!(port.take_sent(), [b"first"]);
/// ```
pub struct QueuePort {
    /// Frames that [`Port::fetch`] will return, oldest first.
    pub incoming: VecDeque<Vec<u8>>,
    /// Frames that [`Port::put`] accepted, oldest first.
    pub sent: Vec<Vec<u8>>,
    /// How many more frames [`Port::put`] accepts before it pushes back. Accepted frames are subtracted, unless
    /// it is `usize::MAX`.
    pub space: usize,
    /// What [`Port::capabilities`] returns.
    pub capabilities: Capabilities,
    /// Number of calls of [`Port::flush`].
    pub flushes: usize,
    /// Frames of which [`Port::missed`] told.
    pub missed: usize,
    /// What [`Port::life`] returns.
    pub life: u32,
    /// What it says of the checksums in frames that it lends out.
    pub checksums: Checksums,
    /// It wants its frames to be cut into segments with so much payload, where the switch allows it.
    pub mss: Option<NonZeroU16>,
    /// Frames that it has accepted and is to cut.
    pub to_cut: usize,
    /// How many frames can be lent out at once.
    pub most_lent: usize,
    /// It keeps the frames that it accepts until [`send_kept`](QueuePort::send_kept).
    pub keeps: bool,
    /// Tickets of frames that it has kept, and how many of these it has sent, and will not send.
    kept: VecDeque<Ticket>,
    sent_kept: usize,
    unsent: usize,
    /// Where the bytes of the frames are that are lent out, but for their heads.
    lent: BTreeMap<u32, FakeMemory>,
    next: u32,
}

impl Default for QueuePort {
    fn default() -> Self {
        Self::new()
    }
}

impl QueuePort {
    /// A port with link up, a maximum frame of 1514 bytes and no limit on what it accepts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            incoming: VecDeque::new(),
            sent: Vec::new(),
            space: usize::MAX,
            capabilities: Capabilities {
                max_frame: 1514,
                link_up: true,
                segments: false,
                takes_segments: false,
            },
            flushes: 0,
            missed: 0,
            life: 0,
            checksums: Checksums::Unknown,
            mss: None,
            to_cut: 0,
            most_lent: usize::MAX,
            keeps: false,
            kept: VecDeque::new(),
            sent_kept: 0,
            unsent: 0,
            lent: BTreeMap::new(),
            next: 0,
        }
    }

    /// A port that accepts `space` frames and then pushes back.
    #[must_use]
    pub fn with_space(space: usize) -> Self {
        Self { space, ..Self::new() }
    }

    /// Queues a frame for [`Port::fetch`].
    pub fn arrive(&mut self, frame: &[u8]) {
        self.incoming.push_back(frame.to_vec());
    }

    /// Removes and returns the frames sent so far.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.sent)
    }

    /// Sends at most so many of the frames that it has kept.
    pub fn send_kept(&mut self, count: usize) {
        self.sent_kept = (self.kept.len() - self.unsent).min(self.sent_kept + count);
    }

    /// Gives back all frames that it has kept and not sent, as a NIC does that was reset.
    pub fn give_up(&mut self) {
        self.unsent = self.kept.len() - self.sent_kept;
    }

    /// How many frames it has kept and not sent.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len() - self.sent_kept
    }

    /// How many frames it has kept and not given back, sent or not.
    #[must_use]
    pub fn kept_tickets(&self) -> usize {
        self.kept.len()
    }

    /// How many of the last frames in `sent` it has given up, and nobody has taken back yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// Begins another life.
    pub fn begin_life(&mut self) {
        self.life += 1;
        self.incoming.clear();
    }

    /// How many frames are lent out.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.lent.len()
    }

    /// Overwrites the memory of all frames that are lent out, as a guest may that has begun another life.
    pub fn overwrite_lent(&mut self) {
        for memory in self.lent.values() {
            memory.put(OUT_OF_REACH, &vec![0xee; memory.length()]);
        }
    }
}

/// The bytes of a frame in [`FakeMemory`] as they are on the wire: with all checksums in place.
#[must_use]
pub fn bytes_of(frame: LentFrame<'_>) -> Vec<u8> {
    bytes_in::<TestMemory>(frame)
}

fn bytes_in<M: Memory>(frame: LentFrame<'_>) -> Vec<u8> {
    let (mut bytes, mut head) = (vec![0; frame.length], [0; HEAD]);
    frame.finished::<M>(&mut head).load::<M>(0, &mut bytes);
    bytes
}

/// Fetches at most `budget` frames from a port with [`FakeMemory`], and gives them back at once.
pub fn frames_of(port: &mut impl Port, budget: usize, now: Instant) -> Vec<Vec<u8>> {
    frames_in::<TestMemory>(port, budget, now)
}

/// The same for a port with memory of another kind.
pub fn frames_in<M: Memory>(port: &mut impl Port, budget: usize, now: Instant) -> Vec<Vec<u8>> {
    let mut outbox = Outbox::new(0);
    port.fetch(&mut outbox, budget, now);
    let mut frames = Vec::new();
    while let Some(slot) = outbox.fetched() {
        frames.push(bytes_in::<M>(outbox.frame(slot)));
        outbox.share(slot, 0);
    }
    port.settle(&mut outbox, now);
    frames
}

/// Offers a frame to a port, and says that this was all. True if it was accepted.
pub fn put(port: &mut impl Port, frame: &[u8], now: Instant) -> bool {
    put_all(port, [frame], now) == 1
}

/// The same with a frame of whose checksums this is known, or still to be done.
pub fn put_with(port: &mut impl Port, frame: &[u8], checksums: Checksums, now: Instant) -> bool {
    put_from(QueuePort { checksums, ..QueuePort::new() }, port, [frame], now) == 1
}

/// Offers frames to a port until it refuses one, and says that this was all. Returns how many it accepted.
pub fn put_all<'a>(port: &mut impl Port, frames: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> usize {
    put_from(QueuePort::new(), port, frames, now)
}

fn put_from<'a>(
    mut lender: QueuePort,
    port: &mut impl Port,
    frames: impl IntoIterator<Item = &'a [u8]>,
    now: Instant,
) -> usize {
    let mut outbox = Outbox::new(0);
    let mut accepted = 0;
    // Nobody waits for what it has kept.
    port.reap(&mut drop, now);
    _ = port.take_back(&mut drop);
    for frame in frames {
        if outbox.is_full() {
            outbox = Outbox::new(0);
        }
        lender.arrive(frame);
        lender.fetch(&mut outbox, 1, now);
        let slot = outbox.fetched().expect("it was fetched");
        outbox.share(slot, 1);
        match port.put(outbox.frame(slot), outbox.lend(slot), now) {
            Put::Kept => {}
            Put::Done(ticket) => outbox.give_back(ticket),
            Put::Refused(ticket) => {
                outbox.give_back(ticket);
                break;
            }
        }
        lender.settle(&mut outbox, now);
        accepted += 1;
    }
    port.flush(now);
    accepted
}

impl Port for QueuePort {
    fn capabilities(&mut self) -> Capabilities {
        self.capabilities
    }

    fn life(&mut self) -> u32 {
        self.life
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, _now: Instant) -> usize {
        let mut fetched = 0;
        while fetched < budget
            && !into.is_full()
            && let Some(frame) = self.incoming.pop_front()
        {
            if self.lent.len() >= self.most_lent {
                self.incoming.push_front(frame);
                into.starve();
                break;
            }
            let (head, rest) = frame.split_at(frame.len().min(HEAD));
            let allowed = into.cut_for() == MacAddress::destination_of(head);
            let mss = self.mss.filter(|_| allowed);
            let memory = FakeMemory::at(OUT_OF_REACH, rest.len());
            memory.put(OUT_OF_REACH, rest);
            let added = into.add(self.next, |new| {
                new.head(head.len()).copy_from_slice(head);
                new.checksums(self.checksums);
                if let Some(mss) = mss {
                    new.segment(mss);
                }
                let mut pieces = true;
                if !rest.is_empty() {
                    // In two pieces, so that nobody takes the first for all.
                    let whole =
                        memory.span(GuestPhysical(OUT_OF_REACH), rest.len()).expect("memory of the test");
                    let (first, second) = whole.split(rest.len() / 2);
                    pieces = new.push(first) && new.push(second);
                }
                pieces
            });
            assert!(added, "there was room");
            self.lent.insert(self.next, memory);
            self.next = self.next.wrapping_add(1);
            fetched += 1;
        }
        fetched
    }

    fn settle(&mut self, outbox: &mut Outbox, _now: Instant) {
        while let Some(cookie) = outbox.finished(|cookie, _| cookie) {
            self.lent.remove(&cookie).expect("a frame that was lent comes back once");
        }
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, _now: Instant) -> Put {
        if self.space == 0 || self.unsent > 0 {
            return Put::Refused(ticket);
        }
        self.space -= usize::from(self.space != usize::MAX);
        self.to_cut += usize::from(frame.mss.is_some());
        self.sent.push(bytes_of(frame));
        if !self.keeps {
            return Put::Done(ticket);
        }
        self.kept.push_back(ticket);
        Put::Kept
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), _now: Instant) -> usize {
        self.kept.drain(..self.sent_kept).for_each(done);
        core::mem::take(&mut self.sent_kept)
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        let count = core::mem::take(&mut self.unsent);
        self.sent.truncate(self.sent.len() - count);
        self.kept.drain(self.kept.len() - count..).for_each(unsent);
        count
    }

    fn flush(&mut self, _now: Instant) {
        self.flushes += 1;
    }

    fn missed(&mut self, frames: usize, _now: Instant) {
        self.missed += frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_port_accepts_a_prefix() {
        let mut port = QueuePort::with_space(2);
        assert_eq!(put_all(&mut port, [&b"a"[..], b"b", b"c"], Instant::ZERO), 2);
        assert!(!put(&mut port, b"c", Instant::ZERO));
        assert_eq!(port.take_sent(), [b"a", b"b"]);
    }

    #[test]
    fn fetching_stops_at_the_budget_and_long_frames_are_whole() {
        let mut port = QueuePort::new();
        let long: Vec<u8> = (0..1514).map(|at| at as u8).collect();
        for frame in [&b"aaaa"[..], &long, b"c"] {
            port.arrive(frame);
        }
        assert_eq!(frames_of(&mut port, 2, Instant::ZERO), [b"aaaa".to_vec(), long]);
        assert_eq!((frames_of(&mut port, 9, Instant::ZERO).len(), port.lent()), (1, 0));
    }
}
