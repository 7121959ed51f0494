//! DMA memory: the regions that the driver was given, and what the NIC writes to them unasked.

use base::HostPhysical;
use nic::MAX_FRAME;
use std::ops::Range;

/// What the kernel sets aside for one NIC: 256 buffers of 2 KiB each way, and the rings.
const ARENA: usize = (1 << 20) + (64 << 10);
/// Above 4 GiB, so that the high halves of addresses count.
const BASE: u64 = 0x1_2345_0000;
/// Bytes of a descriptor, descriptors of a ring, and bytes of a receive buffer.
const DESCRIPTOR: usize = 16;
pub const DESCRIPTORS: usize = 256;
const BUFFER: usize = 2048;
/// Descriptor status bits: done, and end of packet.
const DD: u8 = 1;
const EOP: u8 = 2;

/// The memory of one NIC.
pub struct Arena {
    bytes: Vec<u8>,
    regions: Vec<Range<usize>>,
    /// Regions that the driver may still be given.
    pub left: usize,
}

impl Arena {
    pub fn new(regions: usize) -> Self {
        Self { bytes: vec![0; ARENA], regions: Vec::new(), left: regions }
    }

    pub fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Range<usize>> {
        self.left = self.left.checked_sub(1)?;
        let start = self.regions.last().map_or(0, |region| region.end.next_multiple_of(alignment));
        let region = start..start + bytes;
        assert!(region.end <= ARENA, "more DMA memory than the kernel has for a NIC");
        self.regions.push(region.clone());
        Some(region)
    }

    pub fn device_address(region: &Range<usize>) -> HostPhysical {
        HostPhysical(BASE + region.start as u64)
    }

    /// The bytes of `region` from `offset` on. The driver must stay inside what it was given, and inside one
    /// buffer.
    pub fn slice(&mut self, region: &Range<usize>, offset: usize, length: usize) -> &mut [u8] {
        assert!(offset + length <= region.len(), "{length} bytes at {offset} of {}", region.len());
        let buffer = |at: usize| at / BUFFER;
        let one = length == 0 || is_ring(region) || buffer(offset) == buffer(offset + length - 1);
        assert!(one, "{length} bytes at {offset} are more than one buffer");
        &mut self.bytes[region.start + offset..][..length]
    }

    /// Checks the descriptor that the driver has just written at `offset` of `region`, if it is one: the NIC
    /// must not be sent to memory that is no buffer.
    pub fn check_descriptor(&self, region: &Range<usize>, offset: usize, transmit: bool) {
        if !is_ring(region) || !offset.is_multiple_of(DESCRIPTOR) {
            return;
        }
        let at = &self.bytes[region.start + offset..][..DESCRIPTOR];
        let address = u64::from_le_bytes(at[..8].try_into().expect("8 bytes"));
        let length = if transmit { usize::from(u16::from_le_bytes([at[8], at[9]])) } else { BUFFER };
        let start = address.checked_sub(BASE).expect("an address in the arena") as usize;
        let inside = |buffers: &Range<usize>| buffers.contains(&start) && start + length <= buffers.end;
        assert!(
            self.regions.iter().any(|buffers| !is_ring(buffers) && inside(buffers)),
            "a descriptor names {length} bytes at {address:#x}, which are no buffer"
        );
    }

    /// Lets the NIC write `half` to the second half of `count` descriptors of a ring, from `index` on.
    pub fn write_back(&mut self, ring: usize, index: usize, count: usize, half: [u8; 8]) {
        let mut rings = self.regions.iter().filter(|region| is_ring(region));
        let Some(start) = rings.nth(ring).map(|region| region.start) else { return };
        for index in index..index + count.min(DESCRIPTORS) {
            self.bytes[start + index % DESCRIPTORS * DESCRIPTOR + 8..][..8].copy_from_slice(&half);
        }
    }

    /// Lets the NIC write anywhere.
    pub fn scribble(&mut self, at: usize, bytes: &[u8]) {
        let at = at % (ARENA - bytes.len());
        self.bytes[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// One thing that a NIC may do to memory while the driver is looking elsewhere.
    pub fn meddle(&mut self, random: u64) {
        let (index, count) = (random as usize >> 8, 1 + (random as usize >> 16) % 40);
        match random % 4 {
            0 => self.scribble(random as usize >> 8, &random.rotate_left(17).to_le_bytes()),
            1 => self.write_back(index & 1, index >> 1, count, random.rotate_left(29).to_le_bytes()),
            _ => {
                let length = (random >> 24) as usize % (MAX_FRAME + 4);
                let half = received(random & 4 == 0, length as u16, random & 0x18 != 0, 0);
                self.write_back(usize::from(random & 0x60 == 0), index >> 1, count, half);
            }
        }
    }
}

fn is_ring(region: &Range<usize>) -> bool {
    region.len() == DESCRIPTORS * DESCRIPTOR
}

/// The second half of a receive descriptor that a NIC has given back, in either format.
pub fn received(advanced: bool, length: u16, ends_frame: bool, errors: u8) -> [u8; 8] {
    let [low, high] = length.to_le_bytes();
    let status = if ends_frame { DD | EOP } else { DD };
    if advanced { [status, 0, 0, errors, low, high, 0, 0] } else { [low, high, 0, 0, status, errors, 0, 0] }
}

/// The second half of a transmit descriptor that a NIC has completed.
pub const TRANSMITTED: [u8; 8] = [0, 0, 0, 0, DD, 0, 0, 0];
