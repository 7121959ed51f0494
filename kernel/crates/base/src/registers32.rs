//! Accesses of any width and alignment to a device that has only 32-bit registers.
//!
//! A guest may read one byte in the middle of a register, or 8 bytes that span three registers. The device sees
//! only aligned 32-bit accesses, in ascending order, each register once.
//!
//! ```
//! use base::Width;
//! use base::registers32::{self, Narrow, Registers32};
//!
//! struct Device([u32; 2]);
//!
//! impl Registers32 for Device {
//!     fn read(&mut self, offset: u64) -> u32 {
//!         self.0.get(offset as usize / 4).copied().unwrap_or(0)
//!     }
//!
//!     fn write(&mut self, offset: u64, value: u32) {
//!         if let Some(register) = self.0.get_mut(offset as usize / 4) {
//!             *register = value;
//!         }
//!     }
//! }
//!
//! let mut device = Device([0x3322_1100, 0x7766_5544]);
//! assert_eq!(registers32::read(&mut device, 3, Width::Word), 0x4433);
//! // This device would have to read the register to write one byte of it: the write is ignored.
//! assert!(!registers32::write(&mut device, 1, Width::Byte, 0xff, Narrow::Ignore));
//! assert!(registers32::write(&mut device, 4, Width::Dword, 0xff, Narrow::Ignore));
//! assert_eq!(device.0, [0x3322_1100, 0xff]);
//! ```

use crate::Width;

/// A device that has only 32-bit registers.
pub trait Registers32 {
    /// Reads the register at `offset`, a multiple of 4. An access to the last bytes of a register window may
    /// extend beyond its end: the device decides what an offset without a register reads as.
    fn read(&mut self, offset: u64) -> u32;

    /// Writes the register at `offset`, a multiple of 4. A write to an offset without a register is ignored.
    fn write(&mut self, offset: u64, value: u32);
}

/// How a device treats a write to only some bytes of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Narrow {
    /// The write is ignored. For devices whose manual requires 32-bit accesses and whose registers have side
    /// effects: reading `ICR` of the 8254x clears it, so that merging would lose interrupts [8254x 13.4.17];
    /// local APIC registers must be written 32 bits at a time [SDM3A 11.4.1].
    Ignore,
    /// The other bytes are read and written back. For registers without side effects.
    Merge,
}

/// Reads `width` at `offset`. Every register that the access touches is read whole; bytes outside of the access
/// are discarded.
pub fn read(device: &mut impl Registers32, offset: u64, width: Width) -> u64 {
    let skew = 8 * (offset & 3) as u32;
    let mut bytes = 0;
    for touched in touched_registers(width, skew) {
        let register = (offset & !3).wrapping_add(4 * u64::from(touched.index));
        bytes |= u128::from(device.read(register)) << (32 * touched.index);
    }
    (bytes >> skew & 0xffff_ffff_ffff_ffff) as u64 & width.mask()
}

/// Writes the low `width` of `value` at `offset`. Returns false when part of the write was ignored because of
/// `narrow`.
pub fn write(device: &mut impl Registers32, offset: u64, width: Width, value: u64, narrow: Narrow) -> bool {
    let skew = 8 * (offset & 3) as u32;
    let bytes = u128::from(value & width.mask()) << skew;
    let mut whole = true;
    for touched in touched_registers(width, skew) {
        let register = (offset & !3).wrapping_add(4 * u64::from(touched.index));
        let part = dword(bytes, touched.index);
        match (touched.mask, narrow) {
            (u32::MAX, _) => device.write(register, part),
            (_, Narrow::Ignore) => whole = false,
            (mask, Narrow::Merge) => {
                let kept = device.read(register) & !mask;
                device.write(register, kept | part);
            }
        }
    }
    whole
}

/// A register that an access touches.
struct TouchedRegister {
    /// Distance in registers from the one that holds the first byte.
    index: u32,
    /// The bits that the access touches, at least one.
    mask: u32,
}

/// The one to three registers touched by an access of `width` that begins `skew` bits into a register.
fn touched_registers(width: Width, skew: u32) -> impl Iterator<Item = TouchedRegister> {
    let touched = u128::from(width.mask()) << skew;
    (0..3)
        .map(move |index| TouchedRegister { index, mask: dword(touched, index) })
        .filter(|register| register.mask != 0)
}

/// Bits 32 * `index` to 32 * `index` + 31 of `bytes`.
fn dword(bytes: u128, index: u32) -> u32 {
    (bytes >> (32 * index) & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

    /// Plain storage that logs every access.
    struct Storage {
        bytes: [u8; 32],
        log: Vec<(u64, Option<u32>)>,
    }

    impl Storage {
        fn new() -> Self {
            Self { bytes: core::array::from_fn(|at| at as u8), log: Vec::new() }
        }
    }

    impl Registers32 for Storage {
        fn read(&mut self, offset: u64) -> u32 {
            self.log.push((offset, None));
            let at = offset as usize;
            u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
        }

        fn write(&mut self, offset: u64, value: u32) {
            self.log.push((offset, Some(value)));
            let at = offset as usize;
            self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }

    #[test]
    fn a_byte_read_reads_its_register_once() {
        let mut device = Storage::new();
        assert_eq!(read(&mut device, 6, Width::Byte), 6);
        assert_eq!(device.log, [(4, None)]);
    }

    #[test]
    fn an_unaligned_8_byte_read_reads_three_registers_in_order() {
        let mut device = Storage::new();
        assert_eq!(read(&mut device, 1, Width::Qword), 0x0807_0605_0403_0201);
        assert_eq!(device.log, [(0, None), (4, None), (8, None)]);
    }

    #[test]
    fn an_aligned_64_bit_write_is_two_writes_low_first() {
        let mut device = Storage::new();
        assert!(write(&mut device, 8, Width::Qword, 0x1111_2222_3333_4444, Narrow::Ignore));
        assert_eq!(device.log, [(8, Some(0x3333_4444)), (12, Some(0x1111_2222))]);
    }

    #[test]
    fn an_ignored_narrow_write_touches_nothing() {
        let mut device = Storage::new();
        for (offset, width) in [(0, Width::Byte), (2, Width::Word), (1, Width::Dword), (3, Width::Dword)] {
            assert!(!write(&mut device, offset, width, u64::MAX, Narrow::Ignore));
        }
        assert_eq!(device.log, []);
        // An unaligned 64-bit write covers the register in the middle completely.
        assert!(!write(&mut device, 2, Width::Qword, 0x1111_2222_3333_4444, Narrow::Ignore));
        assert_eq!(device.log, [(4, Some(0x2222_3333))]);
    }

    #[test]
    fn offsets_wrap_at_the_end_of_the_address_space() {
        struct Ones(Vec<u64>);
        impl Registers32 for Ones {
            fn read(&mut self, offset: u64) -> u32 {
                self.0.push(offset);
                u32::MAX
            }
            fn write(&mut self, _: u64, _: u32) {}
        }
        let mut device = Ones(Vec::new());
        assert_eq!(read(&mut device, u64::MAX, Width::Qword), u64::MAX);
        assert_eq!(device.0, [u64::MAX - 3, 0, 4]);
    }

    proptest! {
        #[test]
        fn plain_storage_behaves_like_bytes(
            offset in 0_u64..20,
            width in prop::sample::select(&WIDTHS[..]),
            value: u64,
        ) {
            let mut device = Storage::new();
            let mut bytes = device.bytes;
            let (at, length) = (offset as usize, width.bytes());
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
            prop_assert!(write(&mut device, offset, width, value, Narrow::Merge));
            prop_assert_eq!(device.bytes, bytes);
            prop_assert_eq!(read(&mut device, offset, width), value & width.mask());
        }

        #[test]
        fn reads_are_aligned_and_only_of_touched_registers(
            offset in 0_u64..20,
            width in prop::sample::select(&WIDTHS[..]),
        ) {
            let mut device = Storage::new();
            read(&mut device, offset, width);
            let end = offset + width.bytes() as u64;
            let touched: Vec<_> = (offset / 4 * 4..end).step_by(4).map(|at| (at, None)).collect();
            prop_assert_eq!(device.log, touched);
        }
    }
}
