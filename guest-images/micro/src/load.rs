//! Frames for load tests: made once, sent many times, counted by the receiver.

/// Local experimental ethertype [IEEE 802-2014 9.2.4].
const ETHERTYPE: u16 = 0x88b5;

/// MAC address of the micro-guest with this number in a load test.
#[must_use]
pub fn station(number: u32) -> [u8; 6] {
    [0x52, 0x54, 0, 0, 1, number.to_le_bytes()[0]]
}

/// Writes the Ethernet header of a frame; the rest stays unchanged.
pub fn write_head(into: &mut [u8], to: [u8; 6], from: [u8; 6]) {
    into[..6].copy_from_slice(&to);
    into[6..12].copy_from_slice(&from);
    into[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
}

/// True for a frame of a load test.
#[must_use]
pub fn is_load(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&ETHERTYPE.to_be_bytes())
}
