//! The transmit ring: frames into buffers, buffers into descriptors [8254x 3.3, 3.4].

use crate::descriptors::{DescriptorFormat, TX_STATUS};
use crate::hardware::allocate;
use crate::{DmaRegion, NicError, NicHost};
use base::Instant;
use base::time::Duration;
use core::marker::PhantomData;
use intel_regs::desc::{SIZE, TxStatus};

/// Descriptors in the ring: a multiple of 8, since TDLEN is one of 128 bytes [8254x 13.4.38].
pub(crate) const DESCRIPTORS: usize = 256;

/// Bytes in the buffer of each descriptor; a longer frame takes several.
const BUFFER: usize = 2048;

/// Most bytes in one descriptor. In PCI-X mode a first descriptor of more than 2015 bytes can hang the 82545EM
/// (erratum 10).
const PIECE: usize = 2000;

/// Shortest frame on the wire without frame check sequence [IEEE 802.3-2018 3.2.8].
const MIN_FRAME: usize = 60;

/// Transmit descriptors of the format `F` with one buffer each.
pub(crate) struct TransmitRing<D, F> {
    ring: D,
    buffers: D,
    /// The next descriptor to fill: the next value of TDT.
    tail: usize,
    /// Descriptors filled and not yet reclaimed; the last of them is before `tail`.
    used: usize,
    /// Number of descriptors of each frame in the ring, oldest first.
    frames: heapless::Deque<u8, DESCRIPTORS>,
    /// When the ring was last empty or the NIC last completed a frame.
    progress: Instant,
    format: PhantomData<F>,
}

impl<D: DmaRegion, F: DescriptorFormat> TransmitRing<D, F> {
    pub(crate) fn new<H: NicHost<Dma = D>>(host: &mut H) -> Result<Self, NicError> {
        Ok(Self {
            ring: allocate(host, DESCRIPTORS * SIZE)?,
            buffers: allocate(host, DESCRIPTORS * BUFFER)?,
            tail: 0,
            used: 0,
            frames: heapless::Deque::new(),
            progress: Instant::ZERO,
            format: PhantomData,
        })
    }

    /// Start of the ring, for TDBAL and TDBAH.
    pub(crate) fn address(&self) -> u64 {
        self.ring.device_address().0
    }

    /// Length of the ring in bytes, for TDLEN.
    #[expect(clippy::cast_possible_truncation, reason = "a ring has 4096 bytes")]
    pub(crate) fn length(&self) -> u32 {
        (DESCRIPTORS * SIZE) as u32
    }

    /// The value for TDT.
    #[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
    pub(crate) fn tail(&self) -> u32 {
        self.tail as u32
    }

    /// Frames in the ring.
    pub(crate) fn pending(&self) -> usize {
        self.frames.len()
    }

    /// Time since the NIC last made progress with the frames in the ring; `None` when the ring is empty.
    pub(crate) fn waited(&self, now: Instant) -> Option<Duration> {
        (!self.frames.is_empty()).then(|| now - self.progress)
    }

    /// Discards all frames, for a NIC that starts with TDH and TDT at 0.
    pub(crate) fn restart(&mut self) {
        self.tail = 0;
        self.used = 0;
        self.frames.clear();
    }

    /// Copies `frame`, of at most [`crate::MAX_FRAME`] bytes, into the ring, padded to the shortest length that
    /// Ethernet allows; returns false, and changes nothing, when there is no room. The NIC sees the frame after
    /// the next write of TDT.
    #[expect(clippy::cast_possible_truncation, reason = "a frame has at most 9018 bytes and 5 descriptors")]
    pub(crate) fn push(&mut self, frame: &[u8], now: Instant) -> bool {
        let length = frame.len().max(MIN_FRAME);
        let count = length.div_ceil(PIECE);
        // TDH = TDT means an empty ring, so one descriptor always stays free [8254x 3.4].
        if count > DESCRIPTORS - 1 - self.used || self.frames.push_back(count as u8).is_err() {
            return false;
        }
        if self.used == 0 {
            self.progress = now;
        }
        for piece in 0..count {
            let start = piece * PIECE;
            let end = length.min(start + PIECE);
            let buffer = self.tail * BUFFER;
            let bytes = &frame[start.min(frame.len())..end.min(frame.len())];
            self.buffers.write(buffer, bytes);
            if let Some(padding) = [0; MIN_FRAME].get(bytes.len()..end - start) {
                self.buffers.write(buffer + bytes.len(), padding);
            }
            // The NIC reads a descriptor only after TDT has passed it.
            let address = self.buffers.device_address().0 + buffer as u64;
            let descriptor = F::data(address, (end - start) as u16, length as u16, piece + 1 == count);
            self.ring.write(self.tail * SIZE, &descriptor);
            self.tail = (self.tail + 1) % DESCRIPTORS;
        }
        self.used += count;
        true
    }

    /// Reclaims the descriptors of frames that the NIC has completed, and returns the number of frames.
    pub(crate) fn reclaim(&mut self, now: Instant) -> usize {
        let before = self.frames.len();
        while let Some(&count) = self.frames.front() {
            let count = usize::from(count);
            let head = self.tail + DESCRIPTORS - self.used;
            let last = (head + count - 1) % DESCRIPTORS;
            if !self.is_done(last) {
                break;
            }
            self.frames.pop_front();
            self.used -= count;
            self.progress = now;
        }
        before - self.frames.len()
    }

    fn is_done(&self, index: usize) -> bool {
        let half = TX_STATUS / 8 * 8;
        let bytes = self.ring.read_u64(index * SIZE + half).to_le_bytes();
        TxStatus::from_bits_retain(bytes[TX_STATUS - half]).contains(TxStatus::DD)
    }
}
