//! Lengths and offsets of Ethernet frames, and the 802.1Q tag.

use base::{LentFrame, Memory};
use intel_regs::receive;

/// Bytes of the frame check sequence.
pub(crate) const FCS: usize = 4;
/// Bytes of destination and source address.
pub(crate) const ADDRESSES: usize = 12;
/// Bytes of an Ethernet header.
pub(crate) const HEADER: usize = 14;
/// Bytes of an 802.1Q tag.
pub(crate) const TAG: usize = 4;
/// Shortest frame on the wire, without frame check sequence.
pub(crate) const MIN_LENGTH: usize = receive::MIN_FRAME - FCS;
/// EtherType of MAC control frames [IEEE 802.3-2018 31.4.1.3].
pub(crate) const MAC_CONTROL: u16 = 0x8808;
/// Opcode of PAUSE [IEEE 802.3-2018 31B.1].
pub(crate) const PAUSE: u16 = 1;

/// The frame check sequence of a frame given in pieces, in wire order [IEEE 802.3-2018 3.2.9].
pub(crate) fn frame_check<const N: usize>(pieces: [&[u8]; N]) -> [u8; FCS] {
    let mut crc = crc32fast::Hasher::new();
    for piece in pieces {
        crc.update(piece);
    }
    crc.finalize().to_le_bytes()
}

/// That of a frame that is lent, and padded.
pub(crate) fn frame_check_of<M: Memory>(frame: &LentFrame<'_>, padding: &[u8]) -> [u8; FCS] {
    let mut crc = crc32fast::Hasher::new();
    frame.parts::<M>(0, |part| crc.update(part));
    crc.update(padding);
    crc.finalize().to_le_bytes()
}

/// The big-endian 16-bit word at `offset`.
pub(crate) fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// Inserts a tag after the addresses of a frame of `length` bytes; `bytes` has room for it.
pub(crate) fn insert_tag(bytes: &mut [u8], length: usize, ethertype: u16, tag: u16) {
    bytes.copy_within(ADDRESSES..length, ADDRESSES + TAG);
    bytes[ADDRESSES..ADDRESSES + 2].copy_from_slice(&ethertype.to_be_bytes());
    bytes[ADDRESSES + 2..ADDRESSES + TAG].copy_from_slice(&tag.to_be_bytes());
}

/// Stores a big-endian 16-bit word at `offset`; does nothing when it would not fit.
pub(crate) fn put_word(bytes: &mut [u8], offset: usize, value: u16) {
    if let Some(field) = bytes.get_mut(offset..offset + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> u32 {
        u32::from_le_bytes(frame_check([bytes]))
    }

    #[test]
    fn check_value_of_the_polynomial_is_right() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let bytes: alloc::vec::Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            let pieces = [&bytes[..cut], &bytes[cut..]];
            assert_eq!(u32::from_le_bytes(frame_check(pieces)), crc(&bytes), "cut at {cut}");
        }
    }
}
