//! DMA memory: the regions that the driver was given, and what the NIC writes to them on its own.

use nic::MAX_FRAME;
use std::ops::Range;

/// What the kernel sets aside for one NIC: 256 buffers of 2 KiB each way, 128 more for frames that are lent out, and the
/// rings.
const ARENA: usize = (256 + 256 + 128) * 2048 + (64 << 10);
/// Above 4 GiB, so that the high halves of addresses count.
pub const BASE: u64 = 0x1_2345_0000;
/// Bytes of a descriptor, descriptors of a ring, and bytes of a buffer.
const DESCRIPTOR: usize = 16;
pub const DESCRIPTORS: usize = 256;
const BUFFER: usize = 2048;
/// Descriptor status bits: done, and end of packet.
const DD: u8 = 1;
const EOP: u8 = 2;

/// The memory of one NIC.
pub struct Arena {
    bytes: Vec<u8>,
    /// In the order in which the driver asked for them: the receive ring, its buffers, the transmit ring, and its
    /// buffers.
    regions: Vec<Range<usize>>,
    /// Regions that the driver may still be given.
    pub left: usize,
    /// The address in each receive descriptor, as the driver wrote it.
    armed: [u64; DESCRIPTORS],
}

impl Arena {
    pub fn new(regions: usize) -> Self {
        Self { bytes: vec![0; ARENA], regions: Vec::new(), left: regions, armed: [0; DESCRIPTORS] }
    }

    pub fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Range<usize>> {
        self.left = self.left.checked_sub(1)?;
        let start = self.regions.last().map_or(0, |region| region.end.next_multiple_of(alignment));
        let region = start..start + bytes;
        assert!(region.end <= ARENA, "more DMA memory than the kernel has for a NIC");
        self.regions.push(region.clone());
        Some(region)
    }

    /// True when a receive descriptor has the buffer at this address.
    pub fn is_armed(&self, buffer: u64) -> bool {
        self.armed.contains(&buffer)
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

    /// Checks the descriptor that the driver has just written at `offset` of `region`, if it is one: it must name
    /// its own buffer of 2 KiB among those of its ring, or, to receive, one that no other descriptor has.
    pub fn check_descriptor(&mut self, region: &Range<usize>, offset: usize) {
        if !is_ring(region) || !offset.is_multiple_of(DESCRIPTOR) {
            return;
        }
        let ring = self.regions.iter().position(|known| known == region).expect("a region of this arena");
        let buffers =
            self.regions.get(ring + 1).expect("each ring has buffers, which are allocated after it");
        assert!(!is_ring(buffers));
        let at = &self.bytes[region.start + offset..][..DESCRIPTOR];
        let address = u64::from_le_bytes(at[..8].try_into().expect("8 bytes"));
        // The length of a receive buffer is set for the whole ring.
        let length = if ring == 0 { BUFFER } else { usize::from(u16::from_le_bytes([at[8], at[9]])) };
        let (index, first) = (offset / DESCRIPTOR, BASE + buffers.start as u64);
        if ring > 0 {
            let own = first + (index * BUFFER) as u64;
            assert!(
                address == own && length <= BUFFER,
                "a descriptor names {length} bytes at {address:#x}, and its buffer is at {own:#x}"
            );
            return;
        }
        let at = address.wrapping_sub(first);
        let whole = at < buffers.len() as u64 && at.is_multiple_of(BUFFER as u64);
        assert!(whole, "a descriptor names {address:#x}, and buffers begin at {first:#x}");
        self.armed[index] = 0;
        assert!(!self.is_armed(address), "two descriptors name the buffer at {address:#x}");
        self.armed[index] = address;
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

    /// One change that a NIC may make to memory between two accesses of the driver.
    pub fn interfere(&mut self, random: u64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The arena of a driver, with its four regions.
    fn arena() -> (Arena, [Range<usize>; 4]) {
        let mut arena = Arena::new(4);
        let (ring, buffers) = (DESCRIPTORS * DESCRIPTOR, DESCRIPTORS * BUFFER);
        let regions =
            [ring, buffers + 128 * BUFFER, ring, buffers].map(|bytes| arena.allocate(bytes, 4096).unwrap());
        (arena, regions)
    }

    /// Writes descriptor 3 of a ring, with `length` bytes at `skew` bytes into buffer `buffer` of a region, and for the
    /// receive ring another one with buffer 4.
    fn write(ring: usize, region: usize, buffer: usize, skew: usize, length: u16) {
        let (mut arena, regions) = arena();
        let mut write = |index: usize, address: u64, length: u16| {
            let descriptor = arena.slice(&regions[ring], index * DESCRIPTOR, DESCRIPTOR);
            descriptor[..8].copy_from_slice(&address.to_le_bytes());
            descriptor[8..10].copy_from_slice(&length.to_le_bytes());
            arena.check_descriptor(&regions[ring], index * DESCRIPTOR);
        };
        if ring == 0 {
            write(7, BASE + (regions[1].start + 4 * BUFFER) as u64, 0);
        }
        write(3, BASE + (regions[region].start + buffer * BUFFER + skew) as u64, length);
    }

    #[test]
    fn a_descriptor_may_name_its_own_buffer_and_a_receive_descriptor_any_free_one() {
        write(0, 1, 3, 0, 0);
        write(0, 1, 383, 0, 0);
        write(2, 3, 3, 0, 60);
        write(2, 3, 3, 0, 2048);
    }

    #[test]
    #[should_panic(expected = "buffers begin at")]
    fn a_receive_descriptor_must_not_name_a_transmit_buffer() {
        write(0, 3, 3, 0, 0);
    }

    #[test]
    #[should_panic(expected = "two descriptors name the buffer")]
    fn a_receive_descriptor_must_not_name_the_buffer_of_another() {
        write(0, 1, 4, 0, 0);
    }

    #[test]
    #[should_panic(expected = "buffers begin at")]
    fn a_receive_descriptor_must_not_name_the_middle_of_a_buffer() {
        write(0, 1, 3, 16, 0);
    }

    #[test]
    #[should_panic(expected = "its buffer is at")]
    fn a_transmit_descriptor_must_not_name_a_receive_buffer() {
        write(2, 1, 3, 0, 60);
    }

    #[test]
    #[should_panic(expected = "its buffer is at")]
    fn a_transmit_descriptor_must_not_be_longer_than_its_buffer() {
        write(2, 3, 3, 0, 2049);
    }
}
