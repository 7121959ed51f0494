//! The frame check sequence of Ethernet [IEEE 802.3-2018 3.2.9].

/// The generator polynomial, least significant bit first.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// `TABLES[n][b]`: the remainder that byte `b` leaves when `n` zero bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let previous: u32 = tables[table - 1][byte];
            tables[table][byte] = (previous >> 8) ^ tables[0][(previous & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// A frame check sequence in the making.
pub(crate) struct FrameCheck(u32);

impl FrameCheck {
    /// Of no bytes yet.
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    /// Takes in `bytes`, eight at a time.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let mixed = u64::from_le_bytes(*word) ^ u64::from(self.0);
            self.0 = mixed
                .to_le_bytes()
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |remainder, (byte, table)| remainder ^ table[usize::from(*byte)]);
        }
        for byte in rest {
            self.0 = (self.0 >> 8) ^ TABLES[0][usize::from(self.0 as u8 ^ byte)];
        }
    }

    /// The four bytes as they follow the frame on the wire.
    pub(crate) fn finish(&self) -> [u8; 4] {
        (!self.0).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u32 {
        let mut check = FrameCheck::new();
        check.update(bytes);
        u32::from_le_bytes(check.finish())
    }

    #[test]
    fn check_value_of_the_polynomial_is_right() {
        assert_eq!(of(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let bytes: alloc::vec::Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            let mut check = FrameCheck::new();
            check.update(&bytes[..cut]);
            check.update(&bytes[cut..]);
            assert_eq!(u32::from_le_bytes(check.finish()), of(&bytes), "cut at {cut}");
        }
    }
}
