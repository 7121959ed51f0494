//! The receive ring: empty buffers go to the NIC and frames come back, long ones in several buffers [8254x 3.2].

use crate::descriptors::{DescriptorFormat, ReceivedBuffer, WRITE_BACK};
use crate::hardware::allocate;
use crate::{DmaRegion, NicError, NicHost};
use core::marker::PhantomData;
use intel_regs::desc::SIZE;

/// Descriptors in the ring: a multiple of 8, since RDLEN is one of 128 bytes [8254x 13.4.27].
pub(crate) const DESCRIPTORS: usize = 256;

/// Bytes in the buffer of each descriptor; RCTL.BSIZE or SRRCTL.BSIZEPACKET must be set to the same size.
pub(crate) const BUFFER: u16 = 2048;

/// Most descriptors of one frame: 16384 bytes, the longest frame that RCTL.LPE admits [8254x 13.4.22].
const MAX_CHAIN: usize = 8;

/// Consecutive descriptors that the NIC has given back, oldest first.
pub(crate) struct ReceivedChain {
    /// Bytes in each of them.
    pieces: heapless::Vec<u16, MAX_CHAIN>,
    /// True when the last of them ends a frame.
    pub(crate) ends_frame: bool,
    /// True when the NIC marked the frame as damaged, or reports an impossible length.
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
    /// The descriptor that the NIC will give back next.
    next: usize,
    format: PhantomData<F>,
}

impl<D: DmaRegion, F: DescriptorFormat> ReceiveRing<D, F> {
    pub(crate) fn new<H: NicHost<Dma = D>>(host: &mut H) -> Result<Self, NicError> {
        let ring = allocate(host, DESCRIPTORS * SIZE)?;
        let buffers = allocate(host, DESCRIPTORS * usize::from(BUFFER))?;
        Ok(Self { ring, buffers, next: 0, format: PhantomData })
    }

    /// Start of the ring, for RDBAL and RDBAH.
    pub(crate) fn address(&self) -> u64 {
        self.ring.device_address().0
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
    pub(crate) fn next(&self) -> Option<ReceivedChain> {
        let mut chain = ReceivedChain { pieces: heapless::Vec::new(), ends_frame: false, has_errors: false };
        while !chain.ends_frame && !chain.pieces.is_full() {
            let received = self.received((self.next + chain.pieces.len()) % DESCRIPTORS)?;
            chain.ends_frame = received.ends_frame;
            chain.has_errors |= received.damaged || received.length > BUFFER;
            let _ = chain.pieces.push(received.length.min(BUFFER));
        }
        Some(chain)
    }

    /// Copies the bytes of `chain` into `into`, which is exactly that long.
    pub(crate) fn copy(&self, chain: &ReceivedChain, into: &mut [u8]) {
        let mut rest = into;
        for (offset, piece) in chain.pieces.iter().enumerate() {
            let (bytes, after) = rest.split_at_mut(usize::from(*piece));
            self.buffers.read((self.next + offset) % DESCRIPTORS * usize::from(BUFFER), bytes);
            rest = after;
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
        F::received(self.ring.read_u64(index * SIZE + WRITE_BACK))
    }

    /// Writes the buffer address to descriptor `index` and clears what the NIC wrote.
    fn arm(&mut self, index: usize) {
        let buffer = self.buffers.device_address().0 + (index * usize::from(BUFFER)) as u64;
        self.ring.write_u64(index * SIZE, buffer);
        self.ring.write_u64(index * SIZE + WRITE_BACK, 0);
    }
}
