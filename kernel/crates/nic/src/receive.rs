//! The receive ring: empty buffers go to the NIC and frames come back, long ones in several buffers [8254x 3.2].

use crate::descriptors::{DescriptorFormat, ReceivedBuffer, WRITE_BACK};
use crate::hardware::{Pieces, load_u64};
use crate::verified::ReportedChecksums;
use crate::{NicError, NicHost};
use base::frame::HEAD;
use base::{Memory, Outbox};
use core::marker::PhantomData;
use intel_regs::desc::SIZE;

/// Descriptors in the ring: a multiple of 8, since RDLEN is one of 128 bytes [8254x 13.4.27].
pub(crate) const DESCRIPTORS: usize = 256;

/// Bytes in the buffer of each descriptor; RCTL.BSIZE or SRRCTL.BSIZEPACKET must be set to the same size.
pub(crate) const BUFFER: u16 = 2048;

/// Buffers beside those that the ring holds. They take the place of those whose frames are on their way: a chain's worth at
/// least.
const SPARE: usize = 128;
const BUFFERS: usize = DESCRIPTORS + SPARE;
const _: () = assert!(SPARE >= MAX_CHAIN);

/// Most descriptors of one frame: 16384 bytes, the longest frame that RCTL.LPE admits [8254x 13.4.22].
const MAX_CHAIN: usize = 8;

/// Consecutive descriptors that the NIC has given back, oldest first.
pub(crate) struct ReceivedChain {
    /// Bytes in each of them.
    pieces: heapless::Vec<u16, MAX_CHAIN>,
    /// Bytes in all of them.
    pub(crate) length: usize,
    /// True when the last of them ends a frame.
    pub(crate) ends_frame: bool,
    /// True when the NIC marked the frame as damaged, or reports an impossible length.
    pub(crate) has_errors: bool,
    /// What the NIC says of the frame's checksums.
    checksums: ReportedChecksums,
}

/// Receive descriptors of the format `F` with one buffer each.
pub(crate) struct ReceiveRing<M, F> {
    ring: Pieces<SIZE, DESCRIPTORS>,
    memory: Pieces<{ BUFFER as usize }, BUFFERS>,
    /// The descriptor that the NIC will give back next.
    next: usize,
    /// The buffer of each descriptor.
    buffers: [u16; DESCRIPTORS],
    /// Buffers that no descriptor has and no frame is in.
    spare: heapless::Vec<u16, SPARE>,
    /// For each buffer with a part of a frame that was lent out, the buffer with the next part.
    following: [Option<u16>; BUFFERS],
    kinds: PhantomData<(M, F)>,
}

impl<M: Memory, F: DescriptorFormat> ReceiveRing<M, F> {
    #[expect(clippy::cast_possible_truncation, reason = "there are less than 65536 buffers")]
    pub(crate) fn new<H: NicHost<Memory = M>>(host: &mut H) -> Result<Self, NicError> {
        let (ring, memory) = (Pieces::allocate(host)?, Pieces::allocate(host)?);
        let buffers = core::array::from_fn(|index| index as u16);
        let spare = (DESCRIPTORS as u16..BUFFERS as u16).collect();
        let following = [None; BUFFERS];
        Ok(Self { ring, memory, next: 0, buffers, spare, following, kinds: PhantomData })
    }

    /// Start of the ring, for RDBAL and RDBAH.
    pub(crate) fn address(&self) -> u64 {
        M::device_address(self.ring.all()).0
    }

    /// Length of the ring in bytes, for RDLEN.
    #[expect(clippy::cast_possible_truncation, reason = "a ring has 4096 bytes")]
    pub(crate) fn length(&self) -> u32 {
        (DESCRIPTORS * SIZE) as u32
    }

    /// The value for RDT. The NIC owns the descriptors before it, which are all but one, since RDH = RDT means
    /// that it owns none [8254x 3.2.6].
    #[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
    pub(crate) fn tail(&self) -> u32 {
        ((self.next + DESCRIPTORS - 1) % DESCRIPTORS) as u32
    }

    /// Gives all descriptors to a NIC that starts with RDH at 0.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        for index in 0..DESCRIPTORS {
            self.arm(index);
        }
    }

    /// The descriptors of the next frame; `None` until the NIC has given all of them back.
    ///
    /// A frame of more than [`MAX_CHAIN`] descriptors comes in several chains, of which only the last ends the
    /// frame.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<ReceivedChain> {
        let mut chain = ReceivedChain {
            pieces: heapless::Vec::new(),
            length: 0,
            ends_frame: false,
            has_errors: false,
            checksums: ReportedChecksums::default(),
        };
        while !chain.ends_frame && !chain.pieces.is_full() {
            let received = self.received((self.next + chain.pieces.len()) % DESCRIPTORS)?;
            chain.ends_frame = received.ends_frame;
            chain.checksums = received.checksums;
            chain.has_errors |= received.damaged || received.length > BUFFER;
            let length = received.length.min(BUFFER);
            chain.length += usize::from(length);
            let _ = chain.pieces.push(length);
        }
        Some(chain)
    }

    /// Lends the frame out whose descriptors these are. False when there are not enough buffers to take the place of
    /// its own, or when there is no room for it.
    pub(crate) fn lend(&mut self, chain: &ReceivedChain, into: &mut Outbox) -> bool {
        if self.spare.len() < chain.pieces.len() {
            into.starve();
            return false;
        }
        let buffer = |offset| self.buffers[(self.next + offset) % DESCRIPTORS];
        let added = into.add(buffer(0).into(), |new| {
            let mut left = HEAD.min(chain.length);
            let head = new.head(left);
            let mut rest = &mut *head;
            for (offset, piece) in chain.pieces.iter().enumerate() {
                let (bytes, after) = rest.split_at_mut(usize::from(*piece).min(left));
                M::load(self.memory.get(buffer(offset)), bytes);
                left -= bytes.len();
                rest = after;
            }
            let checksums = chain.checksums.of(head, chain.length);
            new.checksums(checksums);
            let mut skip = HEAD;
            chain.length <= HEAD
                || chain.pieces.iter().enumerate().all(|(offset, piece)| {
                    let piece = usize::from(*piece);
                    let body = self.memory.get(buffer(offset)).part(skip.min(piece), piece - skip.min(piece));
                    skip = skip.saturating_sub(piece);
                    new.push(body)
                })
        });
        if added {
            let last = chain.pieces.len() - 1;
            for offset in 0..=last {
                let at = (self.next + offset) % DESCRIPTORS;
                let buffer = self.buffers[at];
                // The next descriptor still has its own buffer.
                let following = (offset < last).then(|| self.buffers[(at + 1) % DESCRIPTORS]);
                self.following[usize::from(buffer)] = following;
                self.buffers[at] = self.spare.pop().unwrap_or(buffer);
            }
        }
        added
    }

    /// Takes the buffers of a frame back, of which the first was lent with this cookie.
    #[expect(clippy::cast_possible_truncation, reason = "it was made from 16 bits")]
    pub(crate) fn take_back(&mut self, cookie: u32) {
        let mut next = Some(cookie as u16);
        while let Some(buffer) = next {
            next = self.following[usize::from(buffer)].take();
            let _ = self.spare.push(buffer);
        }
    }

    /// Prepares the descriptors of `chain` for the NIC, which receives them with the next write of RDT.
    pub(crate) fn release(&mut self, chain: &ReceivedChain) {
        for _ in &chain.pieces {
            self.arm(self.next);
            self.next = (self.next + 1) % DESCRIPTORS;
        }
    }

    /// Discards the frames that the NIC has given back, and returns their number.
    pub(crate) fn drain(&mut self) -> usize {
        let mut frames = 0;
        for _ in 0..DESCRIPTORS {
            let Some(chain) = self.next() else { break };
            frames += usize::from(chain.ends_frame);
            self.release(&chain);
        }
        frames
    }

    /// The NIC's report in descriptor `index`; `None` until the NIC has given it back.
    fn received(&self, index: usize) -> Option<ReceivedBuffer> {
        F::received(load_u64::<M>(self.ring.get(index).split(WRITE_BACK).1))
    }

    /// Writes the buffer address to descriptor `index` and clears what the NIC wrote.
    fn arm(&mut self, index: usize) {
        let buffer = M::device_address(self.memory.get(self.buffers[index])).0;
        let (address, written_back) = self.ring.get(index).split(WRITE_BACK);
        M::store(address, &buffer.to_le_bytes());
        M::store(written_back, &[0; SIZE - WRITE_BACK]);
    }
}
