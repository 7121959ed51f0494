//! The Internet checksum: 16-bit one's complement sums [RFC 1071].

/// The one's complement sum of `bytes` as big-endian 16-bit words; an odd last byte is padded with zero.
pub fn sum(bytes: &[u8]) -> u16 {
    // Byte order affects the sum only by a final swap [RFC 1071 2.B], so words are added in native order, eight
    // bytes at a time.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let total =
        words.iter().fold(u64::from_le_bytes(last), |total, word| add_long(total, u64::from_le_bytes(*word)));
    fold(total).swap_bytes()
}

/// The one's complement sum of two words.
pub fn add(a: u16, b: u16) -> u16 {
    let (total, carry) = a.overflowing_add(b);
    total + u16::from(carry)
}

/// A length as it enters the sum of a pseudo header.
pub fn length_word(length: usize) -> u16 {
    fold(length as u64)
}

fn add_long(a: u64, b: u64) -> u64 {
    let (total, carry) = a.overflowing_add(b);
    total + u64::from(carry)
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    (total & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            total = (total & 0xffff) + (total >> 16);
        }
        (total & 0xffff) as u16
    }

    proptest! {
        #[test]
        fn sum_is_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            // 0 and 0xffff are the same number in one's complement.
            prop_assert_eq!(sum(&bytes) % 0xffff, reference(&bytes) % 0xffff);
            prop_assert_eq!(sum(&bytes) == 0, bytes.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn example_of_rfc_1071_holds() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }
}
