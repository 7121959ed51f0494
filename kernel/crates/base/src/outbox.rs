//! The frames that a source has lent out, until their copies have been taken or dropped.

use crate::bits::low_u8;
use crate::frame::{Checksums, HEAD, LentFrame};
use crate::{MacAddress, Span};
use alloc::boxed::Box;
use core::num::NonZeroU16;

/// Maximum number of frames that one source has lent out.
pub const WINDOW: usize = 128;

const _: () = assert!(WINDOW <= u128::BITS as usize, "Outbox::review has a bit for each");

/// Most pieces of memory that a frame is spread over beside its head.
pub const PIECES: usize = 20;

/// A place in an [`Outbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(u8);

impl SlotId {
    /// A number below [`WINDOW`].
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        // No longer than a look at the bound, which it spares wherever this is an index.
        usize::from(self.0) % WINDOW
    }
}

/// The receipt for a copy of a frame that a source has lent out. Whoever has it owes its return to the outbox that it is
/// from: there is no other way to get rid of it than [`Outbox::give_back`].
#[derive(Debug)]
#[must_use = "the frame is never given back"]
pub struct Ticket {
    source: u8,
    slot: SlotId,
}

impl Ticket {
    /// The number that the outbox was made with.
    #[must_use]
    pub fn source(&self) -> usize {
        usize::from(self.source)
    }

    /// The frame's place.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// For the path: the frame was refused, and waits again.
    pub fn refused(self) {}
}

/// What is known of a frame beside its head.
struct LentSlot {
    pieces: heapless::Vec<Span, PIECES>,
    head: u8,
    checksums: Checksums,
    mss: Option<NonZeroU16>,
    length: u32,
    cookie: u32,
    /// Copies that have been neither taken nor dropped.
    copies: u8,
    /// Which of several lenders has added it.
    lender: u8,
}

impl LentSlot {
    /// The frame here, whose head begins these bytes.
    #[inline]
    fn frame<'a>(&'a self, head: &'a [u8; HEAD]) -> LentFrame<'a> {
        let Self { pieces, length, checksums, mss, .. } = self;
        let head = &head[..usize::from(self.head)];
        LentFrame { head, pieces, length: *length as usize, checksums: *checksums, mss: *mss }
    }
}

/// A frame that is being added to an [`Outbox`].
pub struct NewFrame<'a> {
    slot: &'a mut LentSlot,
    head: &'a mut [u8; HEAD],
}

impl NewFrame<'_> {
    /// The head, of `length` bytes, to be filled.
    pub fn head(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(HEAD);
        #[expect(clippy::cast_possible_truncation, reason = "at most HEAD")]
        let head = length as u8;
        self.slot.length = self.slot.length - u32::from(self.slot.head) + u32::from(head);
        self.slot.head = head;
        &mut self.head[..length]
    }

    /// Says what is known of its checksums, or is still to be done about them; by default nothing.
    pub fn checksums(&mut self, checksums: Checksums) {
        self.slot.checksums = checksums;
    }

    /// Says that the NIC is to cut it: see [`LentFrame::mss`].
    pub fn segment(&mut self, mss: NonZeroU16) {
        self.slot.mss = Some(mss);
    }

    /// The frame as far as it has been described.
    #[must_use]
    pub fn so_far(&self) -> LentFrame<'_> {
        self.slot.frame(self.head)
    }

    /// Appends memory to the frame; false when it would have more than [`PIECES`].
    pub fn push(&mut self, piece: Span) -> bool {
        if piece.is_empty() {
            return true;
        }
        self.slot.length = self.slot.length.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
        self.slot.pieces.push(piece).is_ok()
    }
}

/// The frames that one source has lent out. All memory is allocated once.
///
/// A frame's way: the source [adds](Self::add) it, with a cookie by which the source knows it again; the path takes note
/// of it ([`fetched`](Self::fetched)), says how many copies it has ([`share`](Self::share)), and lends each of
/// them to a sink. When the last one has been [given back](Self::give_back), the source finds the frame's cookie among
/// the [`finished`](Self::finished) ones.
///
/// ```
/// use base::Outbox;
///
/// let mut outbox = Outbox::new(3);
/// assert!(outbox.add(77, |frame| {
///     frame.head(60).fill(0xff);
///     true
/// }));
/// let slot = outbox.fetched().expect("it was added");
/// assert_eq!(outbox.frame(slot).length, 60);
/// outbox.share(slot, 2);
/// let tickets = [outbox.lend(slot), outbox.lend(slot)];
/// for ticket in tickets {
///     assert_eq!(outbox.finished(|cookie, _| cookie), None);
///     outbox.give_back(ticket);
/// }
/// assert_eq!(outbox.finished(|cookie, _| cookie), Some(77));
/// ```
pub struct Outbox {
    source: u8,
    slots: Box<[LentSlot; WINDOW]>,
    heads: Box<[[u8; HEAD]; WINDOW]>,
    /// Slots without a frame. The one that was freed last is used next: it is in the cache.
    free: heapless::Vec<SlotId, WINDOW>,
    /// Slots of finished frames whose source does not know it yet.
    finished: heapless::Vec<SlotId, WINDOW>,
    /// Frames that the path has not taken note of, oldest first.
    fetched: heapless::Deque<SlotId, WINDOW>,
    /// The source has no memory for another frame until one is finished.
    starved: bool,
    /// Frames for this destination may be such as a NIC cuts.
    cut_for: Option<MacAddress>,
    /// Who adds frames, and takes them back, at present.
    lender: u8,
}

impl Outbox {
    /// An empty outbox of the source with this number, which its tickets carry.
    #[must_use]
    pub fn new(source: u8) -> Self {
        let slot = || LentSlot {
            pieces: heapless::Vec::new(),
            head: 0,
            checksums: Checksums::Unknown,
            mss: None,
            length: 0,
            cookie: 0,
            copies: 0,
            lender: 0,
        };
        let slots: Box<[LentSlot]> = core::iter::repeat_with(slot).take(WINDOW).collect();
        let heads: Box<[[u8; HEAD]]> = core::iter::repeat_n([0; HEAD], WINDOW).collect();
        let (Ok(slots), Ok(heads)) = (slots.try_into(), heads.try_into()) else { unreachable!() };
        let free = (0..WINDOW).rev().map(|index| SlotId(low_u8(index as u64))).collect();
        let (finished, fetched) = (heapless::Vec::new(), heapless::Deque::new());
        Self { source, slots, heads, free, finished, fetched, starved: false, cut_for: None, lender: 0 }
    }

    /// True when no frame can be added until one is finished.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free.is_empty() || self.starved
    }

    /// For a source that is several: says which of them adds frames from here on, and takes [`finished`](Self::finished) ones back.
    pub fn set_lender(&mut self, lender: u8) {
        self.lender = lender;
    }

    /// For a source that has run out of memory for what it lends out: no frame can be added until one is finished.
    pub fn starve(&mut self) {
        self.starved = !self.is_empty();
    }

    /// How many more frames can be added.
    #[must_use]
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// True when no frame is lent out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.free.is_full()
    }

    /// Adds a frame that `fill` describes. False when there is no room for it, and when `fill` says so: then there is no
    /// frame.
    pub fn add(&mut self, cookie: u32, fill: impl FnOnce(&mut NewFrame) -> bool) -> bool {
        let Some(id) = self.free.last().copied().filter(|_| !self.starved) else { return false };
        let (slot, head) = (&mut self.slots[id.index()], &mut self.heads[id.index()]);
        (slot.head, slot.length, slot.cookie, slot.copies) = (0, 0, cookie, 0);
        slot.lender = self.lender;
        (slot.checksums, slot.mss) = (Checksums::Unknown, None);
        slot.pieces.clear();
        let added = fill(&mut NewFrame { slot, head }) && self.fetched.push_back(id).is_ok();
        if added {
            self.free.pop();
        }
        added
    }

    /// The next frame that was added and has no copies yet. The path must [share](Self::share) it.
    pub fn fetched(&mut self) -> Option<SlotId> {
        self.fetched.pop_front()
    }

    /// Sets how many copies a frame has, at most 255. Without any it is finished.
    #[inline]
    pub fn share(&mut self, slot: SlotId, copies: usize) {
        debug_assert!(u8::try_from(copies).is_ok(), "{copies} copies");
        self.slots[slot.index()].copies = low_u8(copies as u64);
        if copies == 0 {
            self.finish(slot);
        }
    }

    /// The destination for which the source may add packets that a NIC [cuts](LentFrame::mss), if there is one.
    #[must_use]
    pub fn cut_for(&self) -> Option<MacAddress> {
        self.cut_for
    }

    /// For the path: what is for this destination goes to such a NIC only.
    pub fn set_cut_for(&mut self, destination: Option<MacAddress>) {
        self.cut_for = destination;
    }

    /// The frame in this place.
    #[must_use]
    #[inline]
    pub fn frame(&self, slot: SlotId) -> LentFrame<'_> {
        self.slots[slot.index()].frame(&self.heads[slot.index()])
    }

    /// The length of the frame in this place, in bytes.
    #[must_use]
    pub fn length(&self, slot: SlotId) -> usize {
        self.slots[slot.index()].length as usize
    }

    /// True unless the frame in this place is all head, of which everybody has a copy of his own.
    #[must_use]
    pub fn has_pieces(&self, slot: SlotId) -> bool {
        !self.slots[slot.index()].pieces.is_empty()
    }

    /// The receipt for one copy of a frame, of which there must be one that nobody has a receipt for.
    pub fn lend(&self, slot: SlotId) -> Ticket {
        Ticket { source: self.source, slot }
    }

    /// Takes a copy back that a sink has made use of.
    #[expect(clippy::needless_pass_by_value, reason = "the ticket ends here")]
    pub fn give_back(&mut self, ticket: Ticket) {
        self.drop_copy(ticket.slot);
    }

    /// Gives a copy up that was not lent.
    pub fn drop_copy(&mut self, slot: SlotId) {
        let copies = &mut self.slots[slot.index()].copies;
        *copies -= 1;
        if *copies == 0 {
            self.finish(slot);
        }
    }

    fn finish(&mut self, slot: SlotId) {
        // There is room for all slots.
        let _ = self.finished.push(slot);
    }

    /// True while [`finished`](Self::finished) would return one.
    #[must_use]
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Passes each of the last `count` frames that were added, of which the path has taken no note, to `keep`, in order. Those for which
    /// it returns false are finished at once.
    pub fn review(&mut self, count: usize, mut keep: impl FnMut(LentFrame<'_>) -> bool) {
        let before = self.fetched.len().saturating_sub(count);
        let mut refused = 0_u128;
        for (index, id) in self.fetched.iter().enumerate().skip(before) {
            if !keep(self.frame(*id)) {
                refused |= 1 << index;
            }
        }
        if refused != 0 {
            self.finish_fetched(refused);
        }
    }

    /// Finishes those fetched frames whose bit is set; the lowest is that of the oldest one.
    fn finish_fetched(&mut self, refused: u128) {
        for index in 0..self.fetched.len() {
            let Some(id) = self.fetched.pop_front() else { return };
            if refused >> index & 1 == 0 {
                // It was there before.
                let _ = self.fetched.push_back(id);
            } else {
                self.finish(id);
            }
        }
    }

    /// For the source: passes the cookie and the pieces of a frame whose copies have all been taken or dropped to `take`:
    /// its memory is the source's again. `None` if there is no such frame.
    pub fn finished<R>(&mut self, take: impl FnOnce(u32, &[Span]) -> R) -> Option<R> {
        let of_lender = |id: &SlotId| self.slots[id.index()].lender == self.lender;
        let index = self.finished.iter().rposition(of_lender)?;
        let id = self.finished.swap_remove(index);
        let _ = self.free.push(id);
        self.starved = false;
        let LentSlot { cookie, pieces, .. } = &self.slots[id.index()];
        Some(take(*cookie, pieces))
    }
}
