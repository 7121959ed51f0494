//! Values written as strings: sizes, durations, PCI addresses and ids, MAC addresses.

use crate::NicMatch;
use base::MacAddress;
use uuid::Uuid;

/// A size with a unit, in bytes: `256M`, `256 MiB`, `2G`, `2 GiB`.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = quantity(text)?;
    number.checked_mul(match unit {
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    })
}

/// A duration with a unit, in milliseconds: `100 ms`, `1s`, `2 min`.
pub fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = quantity(text)?;
    number.checked_mul(match unit {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        _ => return None,
    })
}

/// A number and its unit, with or without a space between them.
fn quantity(text: &str) -> Option<(u64, &str)> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let digits = number.strip_suffix(' ').unwrap_or(number);
    Some((digits.parse().ok()?, &text[number.len()..]))
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

/// A UUID in its usual form, with hyphens. The one of all zeros and the one of all ones mean that there is none
/// [SMBIOS 3.0 7.2.1].
pub fn uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok().filter(|uuid| !uuid.is_nil() && !uuid.is_max());
    uuid.filter(|uuid| uuid.to_string().eq_ignore_ascii_case(text))
}

/// The UUID of a guest that is given none: made of its name [RFC 9562 5.5], so the same each time.
pub fn derived_uuid(vm: &str) -> Uuid {
    /// The name space of Weir's guests: drawn once at random.
    const NAME_SPACE: Uuid = Uuid::from_u128(0x6f0c_2f5e_9a41_4d1b_8e57_3b1d_c24a_90f3);
    Uuid::new_v5(&NAME_SPACE, vm.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_one_form_and_derived_ones_differ_and_stay() {
        assert!(uuid("8d3a5b1e-0c4f-4a7b-9d2e-6f1a2b3c4d5e").is_some());
        assert!(uuid("8D3A5B1E-0C4F-4A7B-9D2E-6F1A2B3C4D5E").is_some());
        for text in [
            "",
            "8d3a5b1e0c4f4a7b9d2e6f1a2b3c4d5e",
            "{8d3a5b1e-0c4f-4a7b-9d2e-6f1a2b3c4d5e}",
            "8d3a5b1e-0c4f-4a7b-9d2e-6f1a2b3c4d5",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
        assert_ne!(derived_uuid("a"), derived_uuid("b"));
        assert_eq!(derived_uuid("web").to_string(), derived_uuid("web").to_string());
        assert_eq!(derived_uuid("web").get_version_num(), 5);
    }

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
    fn durations_have_three_units() {
        for (text, milliseconds) in
            [("0ms", 0), ("250 ms", 250), ("1s", 1000), ("60 s", 60_000), ("10 min", 600_000)]
        {
            assert_eq!(super::milliseconds(text), Some(milliseconds), "{text}");
        }
        for text in
            ["", "s", "1", "1 h", "1.5 s", "-1 s", "1  s", "1 us", "18446744073709551615 s", "\u{e9} s"]
        {
            assert_eq!(milliseconds(text), None, "{text}");
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
