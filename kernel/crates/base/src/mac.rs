//! Ethernet addresses.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A 48-bit Ethernet address, in transmission order [IEEE 802.3-2018 3.2.3].
///
/// ```
/// use base::MacAddress;
///
/// let mac: MacAddress = "52:54:00:12:34:56".parse()?;
/// assert!(!mac.is_multicast());
/// assert_eq!(mac.to_string(), "52:54:00:12:34:56");
///
/// let frame = [&[0xff; 6][..], &mac.0, &[0x08, 0x06]].concat();
/// assert_eq!(MacAddress::destination_of(&frame), Some(MacAddress::BROADCAST));
/// assert_eq!(MacAddress::source_of(&frame), Some(mac));
/// # Ok::<(), base::mac::InvalidMacAddress>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The broadcast address, which every station accepts.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The group to which the NICs of a team send their beacons: locally administered, and so of no vendor, "Weir" in ASCII in
    /// its middle. It is none of those that bridges keep to themselves [IEEE 802.1Q table 8-1].
    pub const BEACONS: Self = Self([0x03, 0x57, 0x65, 0x69, 0x72, 0x00]);

    /// True for group addresses, including broadcast: the I/G bit is set.
    #[must_use]
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// The destination address of an Ethernet frame, or `None` when the frame is too short to have one.
    #[must_use]
    pub fn destination_of(frame: &[u8]) -> Option<Self> {
        frame.get(0..6)?.try_into().ok().map(Self)
    }

    /// The source address of an Ethernet frame, or `None` when the frame is too short to have one.
    #[must_use]
    pub fn source_of(frame: &[u8]) -> Option<Self> {
        frame.get(6..12)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six two-digit hexadecimal numbers joined by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six two-digit hexadecimal numbers joined by colons, like 52:54:00:12:34:56")]
pub struct InvalidMacAddress;

impl FromStr for MacAddress {
    type Err = InvalidMacAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = u8::from_str_radix(part.ok_or(InvalidMacAddress)?, 16).map_err(|_| InvalidMacAddress)?;
        }
        if parts.next().is_some() { Err(InvalidMacAddress) } else { Ok(Self(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_form_round_trips() {
        let mac = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x5f]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "5:54:00:12:34:56", "+1:54:00:12:34:56"] {
            assert_eq!(text.parse::<MacAddress>(), Err(InvalidMacAddress), "{text}");
        }
    }
}
