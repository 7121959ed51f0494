//! What is in a frame that was captured.

use crate::traffic::PORT;
use etherparse::{LaxSlicedPacket, TransportSlice};

/// The type of the beacons by which the NICs of a team hear of each other: local experimental 2 [IEEE 802, 9.2.4].
pub const BEACON: u16 = 0x88b6;
/// The type of reverse ARP, by which switches are told of a VM that has moved.
pub const RARP: u16 = 0x8035;
/// The type in front of a VLAN tag.
const TAGGED: u16 = 0x8100;

fn number_at(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn address_at(frame: &[u8], at: usize) -> String {
    let bytes = frame.get(at..at + 6).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Its source address, as text.
#[must_use]
pub fn source(frame: &[u8]) -> String {
    address_at(frame, 6)
}

/// Its destination address, as text.
#[must_use]
pub fn destination(frame: &[u8]) -> String {
    address_at(frame, 0)
}

/// Its VLAN, if it is tagged.
#[must_use]
pub fn vlan(frame: &[u8]) -> Option<u16> {
    (number_at(frame, 12) == Some(TAGGED)).then(|| number_at(frame, 14)).flatten().map(|tag| tag & 0xfff)
}

/// Its type, behind a tag if it has one.
#[must_use]
pub fn ether_type(frame: &[u8]) -> Option<u16> {
    number_at(frame, if vlan(frame).is_some() { 16 } else { 12 })
}

/// The number of the [numbered datagram](crate::traffic) in it.
#[must_use]
pub fn number(frame: &[u8]) -> Option<u32> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Udp(datagram)) = packet.transport else { return None };
    let number = datagram.payload().first_chunk()?;
    (datagram.destination_port() == PORT).then_some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    #[test]
    fn a_tag_hides_neither_the_type_nor_the_number() {
        let ends = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let plain = PacketBuilder::ethernet2(ends.0, ends.1);
        let tagged = PacketBuilder::ethernet2(ends.0, ends.1).single_vlan(5.try_into().unwrap());
        let addresses = ([10, 0, 5, 2], [10, 0, 5, 1]);
        let plain = plain.ipv4(addresses.0, addresses.1, 64).udp(1024, PORT);
        let tagged = tagged.ipv4(addresses.0, addresses.1, 64).udp(1024, PORT);
        for (packet, expected) in [(plain, None), (tagged, Some(5))] {
            let mut frame = Vec::new();
            packet.write(&mut frame, &77_u32.to_be_bytes()).unwrap();
            assert_eq!((vlan(&frame), ether_type(&frame), number(&frame)), (expected, Some(0x800), Some(77)));
            assert_eq!(source(&frame), "02:00:00:00:00:01");
            assert_eq!(destination(&frame), "02:00:00:00:00:02");
        }
    }

    #[test]
    fn the_start_of_a_frame_has_no_type() {
        assert_eq!((vlan(&[0; 13]), ether_type(&[0; 13]), number(&[0; 13])), (None, None, None));
        assert_eq!(source(&[0; 3]), "");
    }
}
