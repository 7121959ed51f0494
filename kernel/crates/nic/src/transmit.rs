//! The transmit ring: frames into descriptors, by reference or through buffers [8254x 3.3, 3.4].

use crate::descriptors::{CutPlan, DescriptorFormat, FramePart, Offload, TX_STATUS};
use crate::hardware::{Pieces, load_u64};
use crate::queued::{QueuedFrame, QueuedFrames};
use crate::{NicError, NicHost};
use base::bits::{low_u8, low_u16, low_u32};
use base::frame::HEAD;
use base::time::Duration;
use base::{Checksums, Instant, LentFrame, Memory, Span, Ticket, TransportLayout};
use core::marker::PhantomData;
use core::num::NonZeroU8;
use core::ops::RangeInclusive;
use intel_regs::desc::{SIZE, TxStatus};

/// Descriptors in the ring: a multiple of 8, since TDLEN is one of 128 bytes [8254x 13.4.38].
pub(crate) const DESCRIPTORS: usize = 256;
/// So an index is one byte, which wraps where the ring does, and which no access has to check.
const _: () = assert!(DESCRIPTORS == 1 << u8::BITS);

/// Bytes in the buffer of each descriptor; a longer frame takes several.
const BUFFER: usize = 2048;

/// Most bytes in one descriptor. In PCI-X mode a first descriptor of more than 2015 bytes can hang the 82545EM
/// (erratum 10).
const PIECE: usize = 2000;

/// A frame goes by reference if it has at most so many pieces beside its head, none of them shorter than that: fetching a
/// descriptor costs the NIC, and those whose frames come after, more than a few bytes cost the processor.
const MOST_PIECES: usize = 8;
const LEAST_PIECE: usize = 64;

/// Most bytes in a piece of a frame that is cut, which no descriptor of a stock e1000 driver exceeds; and in all such frames in
/// the ring, so that nobody waits for them for long: 2 ms at 1 Gb/s.
const LONGEST_PIECE: usize = 16 * 1024;
const MOST_CUT: usize = 256 * 1024;

/// Lengths of frames that take the short way, [`TransmitRing::push_short`]. What the compiler knows of them decides there how they
/// are copied: the kernel copies 16 bytes and fewer in other ways.
const SHORT: RangeInclusive<usize> = 17..=HEAD;

/// Shortest frame on the wire without frame check sequence [IEEE 802.3-2018 3.2.8].
pub(crate) const MIN_FRAME: usize = 60;

/// Transmit descriptors of the format `F` with one buffer each.
pub(crate) struct TransmitRing<M, F> {
    ring: Pieces<SIZE, DESCRIPTORS>,
    buffers: Pieces<BUFFER, DESCRIPTORS>,
    /// The next descriptor to fill: the next value of TDT.
    tail: u8,
    /// The value of TDT.
    told: u8,
    pub(crate) frames: QueuedFrames,
    /// Tickets of frames that the NIC has sent, and of those that it will not send, whose owner has not asked for them. There
    /// is room for all: no frame is added before.
    unclaimed: heapless::Vec<Ticket, DESCRIPTORS>,
    unsent: heapless::Vec<Ticket, DESCRIPTORS>,
    /// Addresses that the NIC reaches are below this.
    limit: u64,
    /// The last context descriptor since the NIC was reset: it holds until another one comes [8254x 3.3.5, I210 7.2.2.2].
    context: Option<[u8; SIZE]>,
    /// When the ring was last empty or the NIC last completed a frame.
    progress: Instant,
    /// Frames that the NIC has reported as transmitted are held back until it has as many bytes of later ones as its FIFO has, or
    /// its count says that they have left.
    held_behind: Option<usize>,
    kinds: PhantomData<(M, F)>,
}

impl<M: Memory, F: DescriptorFormat> TransmitRing<M, F> {
    pub(crate) fn new<H: NicHost<Memory = M>>(host: &mut H, limit: u64) -> Result<Self, NicError> {
        Ok(Self {
            ring: Pieces::allocate(host)?,
            buffers: Pieces::allocate(host)?,
            tail: 0,
            told: 0,
            frames: QueuedFrames::new(),
            unclaimed: heapless::Vec::new(),
            unsent: heapless::Vec::new(),
            limit,
            context: None,
            progress: Instant::ZERO,
            held_behind: None,
            kinds: PhantomData,
        })
    }

    /// Start of the ring, for TDBAL and TDBAH.
    pub(crate) fn address(&self) -> u64 {
        M::device_address(self.ring.all()).0
    }

    /// Length of the ring in bytes, for TDLEN.
    #[expect(clippy::cast_possible_truncation, reason = "a ring has 4096 bytes")]
    pub(crate) fn length(&self) -> u32 {
        (DESCRIPTORS * SIZE) as u32
    }

    /// The value for TDT.
    pub(crate) fn tail(&self) -> u32 {
        self.tail.into()
    }

    /// True while there are frames that the NIC has not been told of.
    pub(crate) fn is_behind(&self) -> bool {
        self.told != self.tail
    }

    /// The next value for TDT, which is to be written now.
    pub(crate) fn tell(&mut self) -> u32 {
        self.told = self.tail;
        self.tail()
    }

    /// True for a frame that the NIC can cut.
    pub(crate) fn can_cut(&self, frame: LentFrame<'_>) -> bool {
        let reached = |piece: &Span| piece.len() <= LONGEST_PIECE && self.reaches(piece);
        F::SEGMENTS && frame.segmentable().is_some() && frame.pieces.iter().all(reached)
    }

    /// True if the ring has been empty for so long.
    pub(crate) fn was_idle(&self, duration: Duration, now: Instant) -> bool {
        self.frames.is_empty() && now - self.progress >= duration
    }

    /// When the NIC last made progress with the frames in the ring; `None` when the ring is empty.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        (!self.frames.is_empty()).then_some(self.progress)
    }

    /// Time since the NIC last made progress with the frames in the ring; `None` when the ring is empty.
    pub(crate) fn waited(&self, now: Instant) -> Option<Duration> {
        self.waits_since().map(|since| now - since)
    }

    /// Empties the ring, for a NIC that starts with TDH and TDT at 0. The frames in it will not be sent. Returns how many these
    /// are.
    pub(crate) fn restart(&mut self) -> usize {
        let unsent = self.frames.depth().frames;
        self.frames.clear(|ticket| _ = self.unsent.push(ticket));
        (self.tail, self.told, self.context) = (0, 0, None);
        unsent
    }

    /// Puts a frame of at most [`crate::MAX_FRAME`] bytes into the ring, padded to the shortest length that Ethernet
    /// allows; returns the ticket, and changes nothing, when there is no room. The NIC sees the frame after the next write
    /// of TDT.
    #[inline(always)]
    pub(crate) fn push(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Result<(), Ticket> {
        let unfinished = matches!(frame.checksums, Checksums::Unfinished(_)) || frame.mss.is_some();
        let whole = frame.head.len() == frame.length && SHORT.contains(&frame.length);
        if whole && !unfinished && self.has_room(1) {
            self.push_short(frame.head, ticket, now);
            return Ok(());
        }
        self.push_any(frame, ticket, now)
    }

    /// The same for a frame that is all head, for which there is room, and that is sent as it is: what most frames are that come
    /// in great numbers. What leads here is inlined, so that nothing is to be returned.
    #[inline(never)]
    fn push_short(&mut self, frame: &[u8], ticket: Ticket, now: Instant) {
        let length = frame.len().max(MIN_FRAME);
        let (first, buffer) = (self.tail, self.buffers.get(self.tail));
        M::store(buffer, frame);
        if frame.len() < MIN_FRAME {
            M::store(buffer.part(frame.len(), MIN_FRAME - frame.len()), &[0; MIN_FRAME]);
        }
        self.describe(buffer.split(length).0, length, true, Offload::Nothing);
        let (length, descriptors) = (low_u32(length as u64), NonZeroU8::MIN);
        self.note_queued(first, QueuedFrame { length, cut: 0, segments: 1, descriptors, ticket }, now);
    }

    /// The same for any frame. It takes the frame by value, so that the short way need not have it in memory.
    #[inline(never)]
    fn push_any(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Result<(), Ticket> {
        let by_reference = self.goes_by_reference(&frame);
        let layout = if by_reference { frame.offloadable() } else { None };
        let cut = layout.zip(frame.mss).and_then(|(layout, mss)| {
            let headers = layout.tcp_payload(frame.head)?;
            Some(CutPlan { tcp_header: headers - layout.start(), mss: mss.get() })
        });
        let context = layout.map(|layout| F::context(&layout, cut));
        let news = context.filter(|_| context != self.context);
        let length = frame.length.max(MIN_FRAME);
        let count = match by_reference {
            true => usize::from(news.is_some()) + 1 + frame.pieces.len(),
            false => length.div_ceil(PIECE),
        };
        let on_wire = frame.wire_length().max(length);
        if !self.has_room(count)
            || cut.is_some() && self.frames.cut_bytes > 0 && self.frames.cut_bytes + on_wire > MOST_CUT
        {
            return Err(ticket);
        }
        let first = self.tail;
        if let Some(descriptor) = news {
            self.write(&descriptor);
            self.context = context;
        }
        let mut segments = 1;
        match (frame.checksums, layout, cut) {
            (_, Some(layout), Some(cut)) => {
                let payload = frame.length - layout.start() - cut.tcp_header;
                segments = payload.div_ceil(cut.mss.into());
                self.refer_to_cut(&frame, &layout, payload);
            }
            (_, Some(_), None) => self.refer(&frame, frame.length, Offload::Checksum),
            (Checksums::Unfinished(_), None, _) => {
                self.fill(&frame.finished::<M>(&mut [0; HEAD]), length, by_reference);
            }
            _ => self.fill(&frame, length, by_reference),
        }
        // At least one, and at most PIECES and two.
        let descriptors = NonZeroU8::new(low_u8(count as u64)).unwrap_or(NonZeroU8::MIN);
        let (length, segments) = (low_u32(on_wire as u64), low_u16(segments as u64));
        let cut = if cut.is_some() { length } else { 0 };
        self.note_queued(first, QueuedFrame { length, cut, segments, descriptors, ticket }, now);
        Ok(())
    }

    /// True if so many descriptors are free. TDH = TDT means an empty ring, so one always stays free [8254x 3.4].
    fn has_room(&self, descriptors: usize) -> bool {
        let free = DESCRIPTORS - self.frames.used(self.tail);
        descriptors < free && self.unclaimed.is_empty() && self.unsent.is_empty()
    }

    /// Takes note of a frame whose descriptors, of which this is the first, have been filled.
    fn note_queued(&mut self, first: u8, frame: QueuedFrame, now: Instant) {
        if self.frames.is_empty() {
            self.progress = now;
        }
        self.frames.add(first, frame);
    }

    /// True for a frame whose bytes the NIC can fetch from where they are, but for the head.
    fn goes_by_reference(&self, frame: &LentFrame<'_>) -> bool {
        let long_enough = |piece: &Span| piece.len() >= LEAST_PIECE;
        let few = !frame.pieces.is_empty() && frame.pieces.len() <= MOST_PIECES;
        let cheap = few && frame.length >= MIN_FRAME && frame.pieces.iter().all(long_enough);
        // One that is cut was looked at before.
        frame.mss.is_some() || cheap && frame.pieces.iter().all(|piece| self.reaches(piece))
    }

    /// True for memory that the NIC can fetch from.
    fn reaches(&self, piece: &Span) -> bool {
        let end = M::device_address(*piece).0.checked_add(piece.len() as u64);
        end.is_some_and(|end| end <= self.limit)
    }

    /// Puts a frame into the descriptors after TDT, padded to this length.
    fn fill(&mut self, frame: &LentFrame<'_>, length: usize, by_reference: bool) {
        match by_reference {
            true => self.refer(frame, frame.length, Offload::Nothing),
            false => self.copy(frame, length),
        }
    }

    /// Describes a frame of this length of which the head alone is copied.
    fn refer(&mut self, frame: &LentFrame<'_>, length: usize, offload: Offload) {
        let head = self.buffers.get(self.tail).split(frame.head.len()).0;
        M::store(head, frame.head);
        self.describe(head, length, frame.pieces.is_empty(), offload);
        for (index, piece) in frame.pieces.iter().enumerate() {
            self.describe(*piece, length, index + 1 == frame.pieces.len(), offload);
        }
    }

    /// The same for one that the NIC cuts, with so much payload: it wants lengths and the IPv4 header's checksum to be 0, and the
    /// sum of the pseudo header without a length [I210 7.2.4.4].
    fn refer_to_cut(&mut self, frame: &LentFrame<'_>, layout: &TransportLayout, payload: usize) {
        let mut head = [0; HEAD];
        let head = &mut head[..frame.head.len()];
        head.copy_from_slice(frame.head);
        let pseudo = layout.pseudo_header_to_cut(head);
        let mut set = |at: usize, value: u16| {
            if let Some(field) = head.get_mut(at..at + 2) {
                field.copy_from_slice(&value.to_be_bytes());
            }
        };
        let (ip, ipv4) = (layout.link_header(), layout.is_ipv4());
        set(ip + if ipv4 { 2 } else { 4 }, 0);
        if ipv4 {
            set(ip + 10, 0);
        }
        set(layout.checksum_field().start, pseudo);
        self.refer(&LentFrame { head, ..*frame }, payload, Offload::Segments { ipv4 });
    }

    /// Copies a frame into buffers, padded to this length, and describes them.
    fn copy(&mut self, frame: &LentFrame<'_>, length: usize) {
        let mut start = 0;
        while start < length {
            let end = length.min(start + PIECE);
            let buffer = self.buffers.get(self.tail).split(end - start).0;
            frame.copy::<M>(start, buffer);
            if frame.length < end {
                M::store(buffer.split(frame.length - start).1, &[0; MIN_FRAME]);
            }
            self.describe(buffer, length, end == length, Offload::Nothing);
            start = end;
        }
    }

    /// Fills the next descriptor, with a part of a frame of this length; `last` if it is the last one.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame has at most 9018 bytes, one that is cut 64 KiB"
    )]
    #[inline(always)]
    fn describe(&mut self, part: Span, frame: usize, last: bool, offload: Offload) {
        let (address, length) = (M::device_address(part).0, part.len() as u16);
        self.write(&F::data(FramePart { address, length, frame: frame as u32, last, offload }));
    }

    /// Writes the next descriptor. The NIC reads it only after TDT has passed it.
    #[inline(always)]
    fn write(&mut self, descriptor: &[u8; SIZE]) {
        M::store(self.ring.get(self.tail), descriptor);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Passes the tickets of the frames that the NIC has sent, whose descriptors are free then, to `done`. Returns their number.
    pub(crate) fn sent(&mut self, done: impl FnMut(Ticket), now: Instant) -> usize {
        if let Some(bytes) = self.held_behind {
            return self.sent_for_sure(bytes, done, now);
        }
        let ring = self.ring;
        let sent = self.frames.take_sent(|index| is_done::<M>(ring.get(index)), done);
        if sent > 0 {
            self.progress = now;
        }
        sent
    }

    /// The same for those that cannot be in the FIFO any more: the NIC has fetched so many `bytes` after them. The others are held
    /// back, in their descriptors: so nothing new bounds how many there are, and a NIC that stops has them in order.
    #[inline(never)]
    fn sent_for_sure(&mut self, bytes: usize, done: impl FnMut(Ticket), now: Instant) -> usize {
        let ring = self.ring;
        if self.frames.hold(|index| is_done::<M>(ring.get(index))) > 0 {
            self.progress = now;
        }
        self.frames.release_behind(bytes, done)
    }

    /// Sets behind how many bytes a frame has left the NIC for sure, if those that may not have are to be held back.
    pub(crate) fn hold_behind(&mut self, bytes: Option<usize>) {
        self.held_behind = bytes;
        if bytes.is_none() {
            self.frames.hold_none();
        }
    }

    /// True if frames are to be held back.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.held_behind.is_some()
    }

    /// Takes note of the oldest frames, `most` of them, that have left the NIC with so many `segments`, and keeps their
    /// tickets. Returns the number of frames.
    pub(crate) fn note_left(&mut self, segments: u64, most: usize, now: Instant) -> usize {
        let left = self.frames.release_left(segments, most, |ticket| _ = self.unclaimed.push(ticket));
        if left > 0 {
            self.progress = now;
        }
        left
    }

    /// How many frames it has whose tickets were not returned.
    pub(crate) fn kept(&self) -> usize {
        self.frames.depth().frames + self.unclaimed.len() + self.unsent.len()
    }

    /// The tickets of frames that the NIC has sent and that their owner has not asked for.
    pub(crate) fn unclaimed(&mut self) -> impl Iterator<Item = Ticket> {
        self.unclaimed.drain(..)
    }

    /// The tickets of frames that the NIC will not send.
    pub(crate) fn unsent(&mut self) -> impl Iterator<Item = Ticket> {
        self.unsent.drain(..)
    }

    /// Takes note of frames that the NIC has sent, and keeps their tickets. Returns the number of frames.
    pub(crate) fn note_progress(&mut self, now: Instant) -> usize {
        let mut unclaimed = core::mem::take(&mut self.unclaimed);
        let sent = self.sent(|ticket| _ = unclaimed.push(ticket), now);
        self.unclaimed = unclaimed;
        sent
    }
}

/// True if the NIC has written this descriptor back.
fn is_done<M: Memory>(descriptor: Span) -> bool {
    let half = TX_STATUS / 8 * 8;
    let bytes = load_u64::<M>(descriptor.split(half).1).to_le_bytes();
    TxStatus::from_bits_retain(bytes[TX_STATUS - half]).contains(TxStatus::DD)
}
