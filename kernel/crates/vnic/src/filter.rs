//! Receive filters: which frames the guest's NIC accepts [8254x 3.2.1, 13.5].

use crate::registers::VnicRegisters;
use base::MacAddress;
use intel_regs::{Rah, Rctl, reg};

/// How a destination address passed the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressMatch {
    /// By its full address.
    Exact,
    /// By its hash or a promiscuous mode: software must check the address itself.
    Inexact,
    /// It did not pass.
    None,
}

/// Looks up an address in the filters.
pub(crate) fn address(
    registers: &VnicRegisters,
    control: Rctl,
    destination: MacAddress,
    source: MacAddress,
) -> AddressMatch {
    if destination == MacAddress::BROADCAST && control.contains(Rctl::BAM) {
        return AddressMatch::Exact;
    }
    if (0..reg::RAR_COUNT).any(|entry| entry_matches(registers, entry, destination, source)) {
        return AddressMatch::Exact;
    }
    let inexact = if destination.is_multicast() {
        control.contains(Rctl::MPE) || hash_matches(registers, control, destination)
    } else {
        control.contains(Rctl::UPE)
    };
    if inexact { AddressMatch::Inexact } else { AddressMatch::None }
}

/// True when one of the 16 receive addresses matches [8254x 13.5.2, 13.5.3].
fn entry_matches(registers: &VnicRegisters, entry: u32, destination: MacAddress, source: MacAddress) -> bool {
    let high = registers.get(reg::rah(entry));
    let flags = Rah::from_bits_retain(high);
    if !flags.contains(Rah::AV) || flags.contains(Rah::AS_HIGH) {
        return false;
    }
    let compared = if flags.contains(Rah::AS_SOURCE) { source } else { destination };
    let [a, b, c, d, e, f] = compared.0;
    registers.get(reg::ral(entry)) == u32::from_le_bytes([a, b, c, d])
        && high & Rah::ADDRESS_MASK == u32::from(u16::from_le_bytes([e, f]))
}

/// Looks up the multicast table: 12 bits of the address, selected by `RCTL.MO`, are the index of one of 4096
/// bits [8254x 13.5.1].
fn hash_matches(registers: &VnicRegisters, control: Rctl, destination: MacAddress) -> bool {
    let [a, b, c, d, e, f] = destination.0;
    let address = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let hash = (address >> control.multicast_offset() & 0xfff) as u32;
    registers.get(reg::mta(hash >> 5)) >> (hash & 31) & 1 == 1
}

/// True when a frame with this tag control information passes the VLAN filter [8254x 9.3, 13.5.4].
pub(crate) fn vlan(registers: &VnicRegisters, control: Rctl, tag: u16) -> bool {
    if !control.contains(Rctl::VFE) {
        return true;
    }
    if control.contains(Rctl::CFIEN) && (tag >> 12 & 1 == 1) != control.contains(Rctl::CFI) {
        return false;
    }
    let identifier = u32::from(tag & 0xfff);
    registers.get(reg::vfta(identifier >> 5)) >> (identifier & 31) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
    const OWN: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const GROUP: MacAddress = MacAddress([1, 0, 0x5e, 0, 0x12, 0xbc]);

    fn lookup(registers: &VnicRegisters, control: Rctl, destination: MacAddress) -> AddressMatch {
        address(registers, control, destination, SOURCE)
    }

    fn set_entry(registers: &mut VnicRegisters, entry: u32, mac: MacAddress, flags: Rah) {
        let [a, b, c, d, e, f] = mac.0;
        registers.set(reg::ral(entry), u32::from_le_bytes([a, b, c, d]));
        registers.set(reg::rah(entry), u32::from(u16::from_le_bytes([e, f])) | flags.bits());
    }

    #[test]
    fn each_of_the_16_entries_matches_when_valid() {
        for entry in 0..16 {
            let mut registers = VnicRegisters::new();
            set_entry(&mut registers, entry, OWN, Rah::empty());
            assert_eq!(lookup(&registers, Rctl::empty(), OWN), AddressMatch::None);
            set_entry(&mut registers, entry, OWN, Rah::AV);
            assert_eq!(lookup(&registers, Rctl::empty(), OWN), AddressMatch::Exact);
            assert_eq!(lookup(&registers, Rctl::empty(), SOURCE), AddressMatch::None);
        }
    }

    #[test]
    fn an_entry_can_match_the_source_address() {
        let mut registers = VnicRegisters::new();
        set_entry(&mut registers, 3, SOURCE, Rah::AV | Rah::AS_SOURCE);
        assert_eq!(lookup(&registers, Rctl::empty(), OWN), AddressMatch::Exact);
    }

    #[test]
    fn broadcast_needs_its_own_mode() {
        let registers = VnicRegisters::new();
        assert_eq!(lookup(&registers, Rctl::empty(), MacAddress::BROADCAST), AddressMatch::None);
        assert_eq!(lookup(&registers, Rctl::BAM, MacAddress::BROADCAST), AddressMatch::Exact);
        assert_eq!(lookup(&registers, Rctl::MPE, MacAddress::BROADCAST), AddressMatch::Inexact);
    }

    #[test]
    fn promiscuous_modes_are_separate() {
        let registers = VnicRegisters::new();
        assert_eq!(lookup(&registers, Rctl::UPE, OWN), AddressMatch::Inexact);
        assert_eq!(lookup(&registers, Rctl::UPE, GROUP), AddressMatch::None);
        assert_eq!(lookup(&registers, Rctl::MPE, GROUP), AddressMatch::Inexact);
        assert_eq!(lookup(&registers, Rctl::MPE, OWN), AddressMatch::None);
    }

    #[test]
    fn the_hash_uses_the_bits_that_the_offset_selects() {
        // The last two octets of GROUP are 0x12 and 0xbc: the manual's bits 47:32 are 0xbc12.
        for (control, hash) in [
            (Rctl::empty(), 0xbc1),
            (Rctl::MO_LOW, 0x782),
            (Rctl::MO_HIGH, 0xf04),
            (Rctl::MO_LOW | Rctl::MO_HIGH, 0xc12),
        ] {
            let mut registers = VnicRegisters::new();
            registers.set(reg::mta(hash >> 5), !(1 << (hash & 31)));
            assert_eq!(lookup(&registers, control, GROUP), AddressMatch::None, "{hash:#x}");
            registers.set(reg::mta(hash >> 5), 1 << (hash & 31));
            assert_eq!(lookup(&registers, control, GROUP), AddressMatch::Inexact, "{hash:#x}");
        }
    }

    #[test]
    fn vlan_table_is_used_only_when_enabled() {
        let mut registers = VnicRegisters::new();
        assert!(vlan(&registers, Rctl::empty(), 0x0123));
        assert!(!vlan(&registers, Rctl::VFE, 0x0123));
        registers.set(reg::vfta(0x123 >> 5), 1 << (0x123 & 31));
        assert!(vlan(&registers, Rctl::VFE, 0xe123));
        assert!(!vlan(&registers, Rctl::VFE, 0x0122));
    }

    #[test]
    fn canonical_form_indicator_is_compared_when_enabled() {
        let mut registers = VnicRegisters::new();
        registers.set(reg::vfta(0), 0b10);
        let control = Rctl::VFE | Rctl::CFIEN;
        assert!(vlan(&registers, control, 0x0001));
        assert!(!vlan(&registers, control, 0x1001));
        assert!(vlan(&registers, control | Rctl::CFI, 0x1001));
        assert!(!vlan(&registers, control | Rctl::CFI, 0x0001));
    }
}
