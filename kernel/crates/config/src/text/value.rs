//! Values written as strings: sizes, PCI addresses and ids, MAC addresses.

use crate::NicMatch;
use base::MacAddress;

/// A size with a unit, in bytes: `256M`, `256 MiB`, `2G`, `2 GiB`.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.strip_suffix(' ').unwrap_or(digits).parse::<u64>().ok()?.checked_mul(unit)
}

/// A PCI address: `00:03.0`.
pub fn pci_address(text: &str) -> Option<NicMatch> {
    let (bus, rest) = text.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let address = NicMatch::Address {
        bus: hexadecimal(bus, 2)?,
        device: hexadecimal(device, 2).filter(|device| *device < 32)?,
        function: hexadecimal(function, 1).filter(|function| *function < 8)?,
    };
    Some(address)
}

/// PCI vendor and device id: `8086:100e`.
pub fn pci_ids(text: &str) -> Option<NicMatch> {
    let (vendor, device) = text.split_once(':')?;
    Some(NicMatch::Ids { vendor: hexadecimal(vendor, 4)?, device: hexadecimal(device, 4)? })
}

/// A number of exactly this many hexadecimal digits, at most four.
fn hexadecimal<T: TryFrom<u16>>(text: &str, digits: usize) -> Option<T> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| u16::from_str_radix(text, 16).ok()).flatten()?.try_into().ok()
}

/// The MAC address of a vNIC that is given none: locally administered [IEEE 802-2014 8.4], and the same each time.
pub fn derived_mac(vm: &str, index: usize) -> MacAddress {
    // FNV-1a: spreads similar names.
    let hash = vm
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let [a, b, c, d, ..] = hash.to_be_bytes();
    MacAddress([0x02, a, b, c, d, index.to_le_bytes()[0]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_units_in_two_spellings() {
        for text in ["2048M", "2048MiB", "2048 MiB", "2G", "2GiB", "2 GiB"] {
            assert_eq!(size(text), Some(2 << 30), "{text}");
        }
        for text in
            ["", "M", "1", "1K", "1.5G", "-1M", "1  M", "99999999999999999G", "17179869184GiB", "\u{e9}M"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn pci_addresses_stay_on_the_bus() {
        assert_eq!(pci_address("ff:1f.7"), Some(NicMatch::Address { bus: 0xff, device: 0x1f, function: 7 }));
        for text in ["", "00:20.0", "00:00.8", "0:3.0", "+0:03.0", "00:03", "0000:00:03.0"] {
            assert_eq!(pci_address(text), None, "{text}");
        }
    }

    #[test]
    fn pci_ids_have_four_digits_each() {
        assert_eq!(pci_ids("8086:100E"), Some(NicMatch::Ids { vendor: 0x8086, device: 0x100e }));
        for text in ["", "8086", "8086:", "8086:+00e", "8086:100e0", "0x8086:0x100e"] {
            assert_eq!(pci_ids(text), None, "{text}");
        }
    }

    #[test]
    fn derived_addresses_differ_and_stay() {
        assert_ne!(derived_mac("a", 0), derived_mac("b", 0));
        assert_ne!(derived_mac("a", 0), derived_mac("a", 1));
        assert_eq!(derived_mac("a", 0), derived_mac("a", 0));
        assert!(!derived_mac("a", 0).is_multicast());
    }
}
