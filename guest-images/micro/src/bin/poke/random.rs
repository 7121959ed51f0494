//! Numbers that one seed decides, and values and addresses that have broken device models.

use crate::{BUFFERS, RINGS, SPREAD};
use micro::processor::halves;

const EXTREMES: [u32; 10] = [0, 1, 2, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ff80, 0xffff_ffff];
/// Addresses of buffers in devices, and around the end of the address space.
const NOWHERE: [u64; 6] = [0xfee0_0000, 0xfec0_0000, 0xe000_0000, u64::MAX, u64::MAX - 7, 1 << 63];

/// Marsaglia's xorshift with a multiplication.
pub struct Random(u64);

impl Random {
    /// Two seeds give two sequences.
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = self.below(all.len() as u64);
        all[usize::try_from(place).unwrap_or(0)]
    }

    pub fn byte(&mut self) -> u8 {
        self.word().to_le_bytes()[0]
    }

    pub fn word(&mut self) -> u32 {
        match self.below(3) {
            0 => self.of(&EXTREMES),
            1 => 1 << self.below(32),
            _ => halves(self.next()).1,
        }
    }

    /// An address of a buffer: none, one in the region, one across the end of memory, in a device, or nowhere.
    pub fn buffer(&mut self, memory_end: u64) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => memory_end - 1 - self.below(64),
            2 => self.of(&NOWHERE),
            _ => BUFFERS + self.below(SPREAD),
        }
    }

    /// The lower half of a ring's address.
    pub fn ring(&mut self) -> u32 {
        match self.below(8) {
            0 => self.of(&[0xfee0_0000, 0xffff_ff80, 0xfec0_0000]),
            _ => halves(RINGS + self.below(SPREAD)).0,
        }
    }
}
