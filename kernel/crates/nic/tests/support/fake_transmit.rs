//! The transmitter of the fake NIC.

use super::fake_nic::{FakeNic, TXDW};
use super::fake_rings::FakeContext;
use base::{GuestMemory, GuestPhysical};
use std::collections::VecDeque;
use testkit::FakeMemory;
use testkit::frame::{checksum, unfinished};

const TCTL: u32 = 0x0400;
pub const GPTC: u32 = 0x4080;
/// Management Packets Transmitted Count.
pub const MGTPTC: u32 = 0x40bc;

/// Descriptor bits: end of packet, report status, insert the TCP or UDP checksum.
const EOP: u8 = 1;
const RS: u8 = 8;
const TXSM: u8 = 2;

/// How far the computation of checksums is.
#[derive(Debug, Default)]
pub struct FakeOffload {
    /// The last context since the reset.
    pub context: Option<FakeContext>,
    /// How many there were.
    pub contexts: usize,
    /// Frames that the NIC has computed a checksum for.
    pub summed: usize,
}

impl FakeOffload {
    /// Computes the checksum of a frame. Panics if the context is not that of the frame.
    fn finish(&mut self, frame: &mut [u8]) {
        let context = self.context.expect("a context comes first");
        let expected = unfinished(frame).1;
        let told = (context.start, context.field, context.udp);
        assert_eq!(told, (expected.start(), expected.field().start, expected.is_udp()));
        assert!(context.ip.is_none_or(|(ip, ipv4)| frame[ip] >> 4 == if ipv4 { 4 } else { 6 }));
        let sum = match checksum(&frame[context.start..]) {
            0 if context.udp => 0xffff,
            sum => sum,
        };
        frame[context.field..context.field + 2].copy_from_slice(&sum.to_be_bytes());
        self.summed += 1;
    }
}

/// Where frames are between their descriptors and the wire.
#[derive(Debug)]
pub struct FakeFifo {
    /// Frames that find room.
    pub size: usize,
    /// Those that are in it: fetched, and not sent for want of a link or of `credit`.
    pub frames: VecDeque<Vec<u8>>,
    /// Frames that may still leave.
    pub credit: usize,
    /// The NIC does not write descriptors back yet, but does all else.
    pub silent: bool,
    /// Descriptors that it has yet to write back.
    pub unwritten: Vec<u64>,
}

impl Default for FakeFifo {
    fn default() -> Self {
        Self { size: 0, frames: VecDeque::new(), credit: usize::MAX, silent: false, unwritten: Vec::new() }
    }
}

impl FakeFifo {
    /// What a reset does.
    pub fn flush(&mut self) {
        self.frames.clear();
        self.unwritten.clear();
    }
}

impl FakeNic {
    /// Sends the frames in the transmit ring, as far as the faults allow.
    pub fn transmit(&mut self, memory: &FakeMemory) {
        let rings = self.rings();
        let (tdh, tdt) = (rings.tdh(), rings.tdt());
        let ring = u64::from(self.get(rings.transmit + 4)) << 32 | u64::from(self.get(rings.transmit));
        if self.get(TCTL) & 2 == 0 {
            return;
        }
        while self.leaves()
            && let Some(frame) = self.fifo.frames.pop_front()
        {
            self.leave(frame);
        }
        if !self.dma {
            return;
        }
        let fetches =
            |nic: &Self| (nic.leaves() || nic.fifo.frames.len() < nic.fifo.size) && !nic.transmit_stuck;
        while fetches(self) && self.transmit_credit > 0 && self.get(tdh) != self.get(tdt) {
            let head = self.get(tdh);
            let at = ring + u64::from(head) * 16;
            self.registers.insert(tdh, (head + 1) % 256);
            if let Some(context) = rings.context(memory.get(at)) {
                assert!(self.partial.is_empty(), "between frames");
                self.offload.context = Some(context);
                self.offload.contexts += 1;
                continue;
            }
            let half: [u8; 8] = memory.get(at + 8);
            let (length, command) = (usize::from(u16::from_le_bytes([half[0], half[1]])), half[3]);
            self.longest_descriptor = self.longest_descriptor.max(length);
            self.partial.extend(memory.bytes(memory.read_u64(at), length));
            if command & EOP != 0 {
                rings.assert_tells_whole(half, self.partial.len());
                let mut frame = std::mem::take(&mut self.partial);
                if half[5] & TXSM != 0 {
                    self.offload.finish(&mut frame);
                }
                if self.leaves() {
                    self.leave(frame)
                } else {
                    self.fifo.frames.push_back(frame)
                }
                self.transmit_credit -= usize::from(self.transmit_credit != usize::MAX);
            }
            if command & RS != 0 {
                self.fifo.unwritten.push(at + 12);
            }
            if !self.fifo.silent {
                self.write_back(memory);
            }
        }
    }

    /// Writes descriptors back.
    pub fn write_back(&mut self, memory: &FakeMemory) {
        for at in std::mem::take(&mut self.fifo.unwritten) {
            memory.write(GuestPhysical(at), &[1]).unwrap();
            self.raise(TXDW);
        }
    }

    /// True if frames leave.
    fn leaves(&self) -> bool {
        self.link && self.fifo.credit > 0
    }

    /// A frame leaves the MAC, which counts it.
    fn leave(&mut self, frame: Vec<u8>) {
        self.fifo.credit -= usize::from(self.fifo.credit != usize::MAX);
        self.sent.push_back(frame);
        *self.statistics.entry(GPTC).or_default() += 1;
    }
}
