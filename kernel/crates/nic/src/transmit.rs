//! The transmit ring: frames into buffers, buffers into descriptors [8254x 3.3, 3.4].

use crate::descriptors::DescriptorFormat;
use crate::hardware::allocate;
use crate::{DmaRegion, NicError, NicHost};
use base::Instant;
use base::time::Duration;
use core::marker::PhantomData;
use intel_regs::desc::{SIZE, TX_STATUS_OFFSET, TxStatus};

/// Descriptors in the ring: a multiple of 8, since TDLEN is one of 128 bytes [8254x 13.4.38].
pub(crate) const DESCRIPTORS: usize = 256;

/// Bytes in the buffer of each descriptor; a longer frame takes several.
const BUFFER: usize = 2048;

/// Shortest frame on the wire without frame check sequence [IEEE 802.3-2018 3.2.8].
const MIN_FRAME: usize = 60;

/// Transmit descriptors of the format `F` with one buffer each.
pub(crate) struct TransmitRing<D, F> {
    ring: D,
    buffers: D,
    /// The next descriptor to fill: what TDT is to be.
    tail: usize,
    /// Descriptors filled and not reclaimed, which end before `tail`.
    used: usize,
    /// How many descriptors each frame in the ring takes, oldest first.
    frames: heapless::Deque<u8, DESCRIPTORS>,
    /// When the ring was empty, or the NIC completed a frame, for the last time.
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

    /// Where the ring begins, for TDBAL and TDBAH.
    pub(crate) fn address(&self) -> u64 {
        self.ring.device_address().0
    }

    /// The length of the ring in bytes, for TDLEN.
    pub(crate) fn length(&self) -> u32 {
        (DESCRIPTORS * SIZE) as u32
    }

    /// The value for TDT.
    pub(crate) fn tail(&self) -> u32 {
        self.tail as u32
    }

    /// Frames in the ring.
    pub(crate) fn pending(&self) -> usize {
        self.frames.len()
    }

    /// How long the oldest frame in the ring has waited since the last progress, or `None` when the ring
    /// is empty.
    pub(crate) fn waited(&self, now: Instant) -> Option<Duration> {
        (!self.frames.is_empty()).then(|| now - self.progress)
    }

    /// Forgets all frames, for a NIC that starts with TDH and TDT at 0.
    pub(crate) fn restart(&mut self) {
        self.tail = 0;
        self.used = 0;
        self.frames.clear();
    }

    /// Copies `frame` into the ring, padded to the shortest length that Ethernet allows; returns false,
    /// and changes nothing, when there is no room. The NIC learns of it by the next write of TDT.
    pub(crate) fn push(&mut self, frame: &[u8], now: Instant) -> bool {
        let length = frame.len().max(MIN_FRAME);
        let count = length.div_ceil(BUFFER);
        // TDH = TDT means an empty ring, so one descriptor always stays free [8254x 3.4].
        if count > DESCRIPTORS - 1 - self.used || self.frames.push_back(count as u8).is_err() {
            return false;
        }
        if self.used == 0 {
            self.progress = now;
        }
        for piece in 0..count {
            let start = piece * BUFFER;
            let end = length.min(start + BUFFER);
            let buffer = self.tail * BUFFER;
            let bytes = &frame[start.min(frame.len())..end.min(frame.len())];
            self.buffers.write(buffer, bytes);
            self.buffers.write(buffer + bytes.len(), &[0; MIN_FRAME][..end - start - bytes.len()]);
            // The NIC looks at a descriptor only once TDT has passed it.
            let address = self.buffers.device_address().0 + buffer as u64;
            let descriptor = F::data(address, end - start, length, piece + 1 == count);
            self.ring.write(self.tail * SIZE, &descriptor);
            self.tail = (self.tail + 1) % DESCRIPTORS;
        }
        self.used += count;
        true
    }

    /// Takes back the descriptors of frames that the NIC has completed, and returns how many frames.
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
        let half = TX_STATUS_OFFSET as usize / 8 * 8;
        let bytes = self.ring.read_u64(index * SIZE + half).to_le_bytes();
        TxStatus::from_bits_retain(bytes[TX_STATUS_OFFSET as usize - half]).contains(TxStatus::DD)
    }
}
