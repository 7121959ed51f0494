//! Packets of ARP and RARP for IPv4 over Ethernet.

use base::MacAddress;
use core::net::Ipv4Addr;

/// EtherType of ARP [RFC 826].
pub(super) const ARP: u16 = 0x0806;
/// EtherType of RARP [RFC 903].
pub(super) const RARP: u16 = 0x8035;
/// Who has this protocol address? [RFC 826]
pub(super) const REQUEST: u16 = 1;
/// I have it. [RFC 826]
pub(super) const REPLY: u16 = 2;
/// Which protocol address has this hardware address? [RFC 903]
pub(super) const REVERSE_REQUEST: u16 = 3;

/// Hardware Ethernet, protocol IPv4, and the lengths of their addresses [RFC 826].
const KIND: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
/// Length of a packet.
const LENGTH: usize = 28;

/// A packet of ARP or RARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArpPacket {
    pub operation: u16,
    /// Hardware and protocol address of the sender.
    pub sender: (MacAddress, Ipv4Addr),
    /// The same of the target.
    pub target: (MacAddress, Ipv4Addr),
}

impl ArpPacket {
    pub(super) fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..6].copy_from_slice(&KIND);
        bytes[6..8].copy_from_slice(&self.operation.to_be_bytes());
        for (at, (mac, ip)) in [(8, self.sender), (18, self.target)] {
            bytes[at..at + 6].copy_from_slice(&mac.0);
            bytes[at + 6..at + 10].copy_from_slice(&ip.octets());
        }
        bytes
    }

    /// The packet at the beginning of a frame's payload. `None` if it is cut off, or for another hardware or protocol.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = payload.first_chunk()?;
        let (operation, addresses) = bytes.strip_prefix(&KIND)?.split_first_chunk()?;
        let (sender, target) = addresses.split_first_chunk::<10>()?;
        let pair = |[a, b, c, d, e, f, ip @ ..]: [u8; 10]| (MacAddress([a, b, c, d, e, f]), ip.into());
        let [sender, target] = [pair(*sender), pair(*target.first_chunk()?)];
        Some(Self { operation: u16::from_be_bytes(*operation), sender, target })
    }
}
