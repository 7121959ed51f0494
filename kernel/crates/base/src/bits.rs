//! The low or high bits of a value, where dropping the other bits is intended: a cast would not say so.
//!
//! ```
//! use base::bits::{high_u32, low_u8, low_u32};
//!
//! // A 64-bit address goes to a NIC in two registers.
//! let ring = 0x1_2345_6000_u64;
//! assert_eq!((low_u32(ring), high_u32(ring)), (0x2345_6000, 1));
//! // The vector is the lowest byte of the data of a message-signalled interrupt.
//! let data = 0x4031_u32;
//! assert_eq!(low_u8(data.into()), 0x31);
//! ```

/// Bits 7:0.
#[inline]
#[must_use]
pub const fn low_u8(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Bits 15:0.
#[inline]
#[must_use]
pub const fn low_u16(value: u64) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// Bits 31:0, such as EAX of RAX.
#[inline]
#[must_use]
pub const fn low_u32(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Bits 63:32.
#[inline]
#[must_use]
pub const fn high_u32(value: u64) -> u32 {
    low_u32(value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: u64 = 0x8123_4567_89ab_cdef;

    #[test]
    fn each_function_returns_its_bits_and_no_others() {
        assert_eq!(low_u8(VALUE), 0xef);
        assert_eq!(low_u16(VALUE), 0xcdef);
        assert_eq!(low_u32(VALUE), 0x89ab_cdef);
        assert_eq!(high_u32(VALUE), 0x8123_4567);
    }

    #[test]
    fn small_values_stay_what_they_are() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let bytes = [low_u8(value).into(), low_u16(value).into(), low_u32(value).into()];
            assert_eq!((bytes, high_u32(value)), ([value; 3], 0));
        }
    }

    #[test]
    fn the_halves_make_up_the_value() {
        assert_eq!(u64::from(high_u32(VALUE)) << 32 | u64::from(low_u32(VALUE)), VALUE);
    }
}
