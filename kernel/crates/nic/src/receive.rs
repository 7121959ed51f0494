//! The receive ring: buffers out, frames in, a long frame in several buffers [8254x 3.2].

use crate::descriptors::{DescriptorFormat, ReceivedBuffer};
use crate::hardware::allocate;
use crate::{DmaRegion, NicError, NicHost};
use core::marker::PhantomData;
use intel_regs::desc::{RX_WRITE_BACK_OFFSET, SIZE};

/// Descriptors in the ring: a multiple of 8, since RDLEN is one of 128 bytes [8254x 13.4.27].
pub(crate) const DESCRIPTORS: usize = 256;

/// Bytes in the buffer of each descriptor: RCTL.BSIZE or SRRCTL.BSIZEPACKET must say the same.
pub(crate) const BUFFER: usize = 2048;

/// Most descriptors one frame takes: 16384 bytes, the most that RCTL.LPE lets in [8254x 13.4.22].
const MAX_CHAIN: usize = 8;

/// Where in a descriptor the NIC writes.
const WRITE_BACK: usize = RX_WRITE_BACK_OFFSET as usize;

/// Descriptors that the NIC gave back, from the oldest one on.
pub(crate) struct ReceivedChain {
    /// Bytes in each of them.
    pieces: heapless::Vec<u16, MAX_CHAIN>,
    /// True when the last of them ends a frame.
    pub(crate) ends_frame: bool,
    /// True when the NIC found the frame damaged, or says what cannot be.
    pub(crate) has_errors: bool,
}

impl ReceivedChain {
    /// Bytes in all of them.
    pub(crate) fn length(&self) -> usize {
        self.pieces.iter().map(|piece| usize::from(*piece)).sum()
    }
}

/// Receive descriptors of the format `F` with one buffer each.
pub(crate) struct ReceiveRing<D, F> {
    ring: D,
    buffers: D,
    /// The descriptor that the NIC gives back next.
    next: usize,
    format: PhantomData<F>,
}

impl<D: DmaRegion, F: DescriptorFormat> ReceiveRing<D, F> {
    pub(crate) fn new<H: NicHost<Dma = D>>(host: &mut H) -> Result<Self, NicError> {
        let ring = allocate(host, DESCRIPTORS * SIZE)?;
        let buffers = allocate(host, DESCRIPTORS * BUFFER)?;
        Ok(Self { ring, buffers, next: 0, format: PhantomData })
    }

    /// Where the ring begins, for RDBAL and RDBAH.
    pub(crate) fn address(&self) -> u64 {
        self.ring.device_address().0
    }

    /// The length of the ring in bytes, for RDLEN.
    pub(crate) fn length(&self) -> u32 {
        (DESCRIPTORS * SIZE) as u32
    }

    /// The value for RDT: the NIC owns what is before it, which is all but one descriptor, since
    /// RDH = RDT means that it owns none [8254x 3.2.6].
    pub(crate) fn tail(&self) -> u32 {
        ((self.next + DESCRIPTORS - 1) % DESCRIPTORS) as u32
    }

    /// Gives all descriptors to the NIC, for a NIC that starts with RDH at 0.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        for index in 0..DESCRIPTORS {
            self.arm(index);
        }
    }

    /// The descriptors of the next frame, or `None` when the NIC has not given all of them back.
    ///
    /// A frame of more than [`MAX_CHAIN`] descriptors comes in several spans, of which only the last ends
    /// the frame.
    pub(crate) fn next(&self) -> Option<ReceivedChain> {
        let mut span = ReceivedChain { pieces: heapless::Vec::new(), ends_frame: false, has_errors: false };
        while !span.ends_frame && !span.pieces.is_full() {
            let received = self.received((self.next + span.pieces.len()) % DESCRIPTORS)?;
            span.ends_frame = received.ends_frame;
            span.has_errors |= received.damaged || received.length > BUFFER;
            let _ = span.pieces.push(received.length.min(BUFFER) as u16);
        }
        Some(span)
    }

    /// Copies the bytes of `span` into `into`, which has its length.
    pub(crate) fn copy(&self, span: &ReceivedChain, into: &mut [u8]) {
        let mut rest = into;
        for (offset, piece) in span.pieces.iter().enumerate() {
            let (bytes, after) = rest.split_at_mut(usize::from(*piece));
            self.buffers.read((self.next + offset) % DESCRIPTORS * BUFFER, bytes);
            rest = after;
        }
    }

    /// Readies the descriptors of `span` for the NIC, which gets them by the next write of RDT.
    pub(crate) fn release(&mut self, span: &ReceivedChain) {
        for _ in &span.pieces {
            self.arm(self.next);
            self.next = (self.next + 1) % DESCRIPTORS;
        }
    }

    /// Forgets what the NIC gave back, and returns how many frames that was.
    pub(crate) fn drain(&mut self) -> usize {
        let mut frames = 0;
        for _ in 0..DESCRIPTORS {
            let Some(span) = self.next() else { break };
            frames += usize::from(span.ends_frame);
            self.release(&span);
        }
        frames
    }

    /// What the NIC says in descriptor `index`, or `None` while it has not given it back.
    fn received(&self, index: usize) -> Option<ReceivedBuffer> {
        F::received(self.ring.read_u64(index * SIZE + WRITE_BACK))
    }

    /// Gives descriptor `index` its buffer and clears what the NIC wrote.
    fn arm(&mut self, index: usize) {
        let buffer = self.buffers.device_address().0 + (index * BUFFER) as u64;
        self.ring.write_u64(index * SIZE, buffer);
        self.ring.write_u64(index * SIZE + WRITE_BACK, 0);
    }
}
