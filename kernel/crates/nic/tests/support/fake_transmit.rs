//! The transmitter of the fake NIC.

use super::fake_nic::{FakeNic, TXDW};
use base::{GuestMemory, GuestPhysical};
use testkit::FakeMemory;

impl FakeNic {
    /// Sends the frames in the transmit ring, as far as the faults allow.
    pub fn transmit(&mut self, memory: &FakeMemory) {
        let rings = self.rings();
        let (tdh, tdt) = (rings.tdh(), rings.tdt());
        let ring = u64::from(self.get(rings.transmit + 4)) << 32 | u64::from(self.get(rings.transmit));
        while !self.transmit_stuck && self.link && self.transmit_credit > 0 && self.get(tdh) != self.get(tdt)
        {
            let head = self.get(tdh);
            let at = ring + u64::from(head) * 16;
            let half: [u8; 8] = memory.get(at + 8);
            let (length, command) = (usize::from(u16::from_le_bytes([half[0], half[1]])), half[3]);
            self.longest_descriptor = self.longest_descriptor.max(length);
            self.partial.extend(memory.bytes(memory.read_u64(at), length));
            rings.assert_is_data(half);
            if command & 1 != 0 {
                rings.assert_tells_whole(half, self.partial.len());
                self.sent.push_back(std::mem::take(&mut self.partial));
                self.transmit_credit -= usize::from(self.transmit_credit != usize::MAX);
            }
            if command & 8 != 0 {
                memory.write(GuestPhysical(at + 12), &[1]).unwrap();
                self.raise(TXDW);
            }
            self.registers.insert(tdh, (head + 1) % 256);
        }
    }
}
