//! Every width and alignment onto registers that only know 32 bits.
//!
//! A guest may read a byte out of the middle of a register, or 8 bytes across three. The device sees aligned
//! 32-bit accesses only, lowest address first, each register once.

use base::Width;

/// A device with nothing but 32-bit registers.
pub trait Registers32 {
    /// Reads the register at `offset`, a multiple of 4. An access to the last bytes of a window may reach
    /// beyond its end: offsets without a register read as whatever the device says.
    fn read(&mut self, offset: u64) -> u32;

    /// Writes the register at `offset`, a multiple of 4; what is no register is ignored.
    fn write(&mut self, offset: u64, value: u32);
}

/// What becomes of a write to some bytes of a register: a property of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Narrow {
    /// It is ignored. For devices whose manual asks for 32-bit accesses and whose registers do something
    /// when they are read or written: reading `ICR` of the 8254x clears it, so that merging would lose
    /// interrupts [8254x 13.4.17]; local APIC registers are to be written 32 bits at a time
    /// [SDM3A 11.4.1].
    Ignore,
    /// The other bytes are read and written back. For registers that are plain storage.
    Merge,
}

/// Reads `width` at `offset`; bytes of a register that were not asked for are dropped, but the register is
/// read all the same.
pub fn read(device: &mut impl Registers32, offset: u64, width: Width) -> u64 {
    let skew = 8 * (offset & 3) as u32;
    let mut bytes = 0;
    for lane in lanes(width, skew) {
        let register = (offset & !3).wrapping_add(4 * u64::from(lane.index));
        bytes |= u128::from(device.read(register)) << (32 * lane.index);
    }
    (bytes >> skew) as u64 & width.mask()
}

/// Writes the low `width` of `value` at `offset`. Returns false when `narrow` made it ignore some of it.
pub fn write(device: &mut impl Registers32, offset: u64, width: Width, value: u64, narrow: Narrow) -> bool {
    let skew = 8 * (offset & 3) as u32;
    let bytes = u128::from(value & width.mask()) << skew;
    let mut whole = true;
    for lane in lanes(width, skew) {
        let register = (offset & !3).wrapping_add(4 * u64::from(lane.index));
        let part = (bytes >> (32 * lane.index)) as u32;
        match (lane.mask, narrow) {
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

/// One of the registers that an access touches.
struct Lane {
    /// Counted from the one that the first byte is in.
    index: u32,
    /// The bits of it that the access touches, never none.
    mask: u32,
}

/// The one to three registers that `width`, `skew` bits into a register, touches.
fn lanes(width: Width, skew: u32) -> impl Iterator<Item = Lane> {
    let touched = u128::from(width.mask()) << skew;
    (0..3)
        .map(move |index| Lane { index, mask: (touched >> (32 * index)) as u32 })
        .filter(|lane| lane.mask != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

    /// Plain storage that logs what it is asked.
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
    fn eight_bytes_off_by_one_read_three_registers_in_order() {
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
        // Of a skewed 64-bit write, the register in the middle is whole.
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
        fn plain_storage_behaves_as_bytes(
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
        fn every_access_is_aligned_and_to_a_register_it_touches(
            offset in 0_u64..20,
            width in prop::sample::select(&WIDTHS[..]),
        ) {
            let mut device = Storage::new();
            read(&mut device, offset, width);
            let touched: Vec<_> = (offset / 4 * 4..offset + width.bytes() as u64).step_by(4).map(|at| (at, None)).collect();
            prop_assert_eq!(device.log, touched);
        }
    }
}
