//! SipHash-2-4, a hash of short messages that nobody can compute without the key [SipHash].
//!
//! It is written here because the crate `siphasher` takes 600 lines for it, with pointers, and is made for messages
//! that come in parts.

use base::bits::low_u8;

/// The 64-bit hash of a message.
pub(super) fn siphash([k0, k1]: [u64; 2], message: &[u8]) -> u64 {
    // "somepseudorandomlygeneratedbytes" [SipHash 2].
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = message.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = low_u8(message.len() as u64);
    for word in words.iter().chain([&last]).copied().map(u64::from_le_bytes) {
        v[3] ^= word;
        rounds(&mut v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn rounds(v: &mut [u64; 4], count: usize) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..count {
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        d = d.rotate_left(21) ^ a;
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    #[test]
    fn the_vectors_of_its_authors_hold() {
        let message: [u8; 15] = core::array::from_fn(|at| at as u8);
        for (length, expected) in [
            (0, [0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72]),
            (1, [0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74]),
            (7, [0x37, 0xd1, 0x01, 0x8b, 0xf5, 0x00, 0x02, 0xab]),
            (8, [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93]),
            // [SipHash appendix A]
            (15, [0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1]),
        ] {
            assert_eq!(siphash(KEY, &message[..length]).to_le_bytes(), expected, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        #[allow(deprecated)]
        fn it_agrees_with_the_standard_librarys(
            key: [u64; 2],
            message in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            use core::hash::Hasher;

            let mut other = core::hash::SipHasher::new_with_keys(key[0], key[1]);
            other.write(&message);
            prop_assert_eq!(siphash(key, &message), other.finish());
        }
    }
}
