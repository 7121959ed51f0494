//! Receive filters: which frames the guest's card takes [8254x 3.2.1, 13.5].

use crate::registers::Registers;
use base::MacAddress;
use intel_regs::{Rah, Rctl, reg};

/// How a destination address passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// By its full address.
    Exact,
    /// By its hash or a promiscuous mode: software must look for itself.
    Inexact,
    /// Not at all.
    None,
}

/// Looks an address up in the filters.
pub(crate) fn address(
    registers: &Registers,
    control: Rctl,
    destination: MacAddress,
    source: MacAddress,
) -> Match {
    if destination == MacAddress::BROADCAST && control.contains(Rctl::BAM) {
        return Match::Exact;
    }
    if (0..reg::RAR_COUNT).any(|entry| entry_matches(registers, entry, destination, source)) {
        return Match::Exact;
    }
    let inexact = if destination.is_multicast() {
        control.contains(Rctl::MPE) || hash_matches(registers, control, destination)
    } else {
        control.contains(Rctl::UPE)
    };
    if inexact { Match::Inexact } else { Match::None }
}

/// One of the 16 receive addresses [8254x 13.5.2, 13.5.3].
fn entry_matches(registers: &Registers, entry: u32, destination: MacAddress, source: MacAddress) -> bool {
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

/// The multicast table: 12 bits of the address, which `RCTL.MO` selects, pick one of 4096 bits
/// [8254x 13.5.1].
fn hash_matches(registers: &Registers, control: Rctl, destination: MacAddress) -> bool {
    let [a, b, c, d, e, f] = destination.0;
    let address = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let hash = (address >> control.multicast_offset()) as u32 & 0xfff;
    registers.get(reg::mta(hash >> 5)) >> (hash & 31) & 1 == 1
}

/// The VLAN filter, for a frame with this tag control information [8254x 9.3, 13.5.4].
pub(crate) fn vlan(registers: &Registers, control: Rctl, tag: u16) -> bool {
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

    fn lookup(registers: &Registers, control: Rctl, destination: MacAddress) -> Match {
        address(registers, control, destination, SOURCE)
    }

    fn set_entry(registers: &mut Registers, entry: u32, mac: MacAddress, flags: Rah) {
        let [a, b, c, d, e, f] = mac.0;
        registers.set(reg::ral(entry), u32::from_le_bytes([a, b, c, d]));
        registers.set(reg::rah(entry), u32::from(u16::from_le_bytes([e, f])) | flags.bits());
    }

    #[test]
    fn each_of_the_16_entries_matches_when_valid() {
        for entry in 0..16 {
            let mut registers = Registers::new();
            set_entry(&mut registers, entry, OWN, Rah::empty());
            assert_eq!(lookup(&registers, Rctl::empty(), OWN), Match::None);
            set_entry(&mut registers, entry, OWN, Rah::AV);
            assert_eq!(lookup(&registers, Rctl::empty(), OWN), Match::Exact);
            assert_eq!(lookup(&registers, Rctl::empty(), SOURCE), Match::None);
        }
    }

    #[test]
    fn an_entry_can_select_the_source_address() {
        let mut registers = Registers::new();
        set_entry(&mut registers, 3, SOURCE, Rah::AV | Rah::AS_SOURCE);
        assert_eq!(lookup(&registers, Rctl::empty(), OWN), Match::Exact);
    }

    #[test]
    fn broadcast_needs_its_own_mode() {
        let registers = Registers::new();
        assert_eq!(lookup(&registers, Rctl::empty(), MacAddress::BROADCAST), Match::None);
        assert_eq!(lookup(&registers, Rctl::BAM, MacAddress::BROADCAST), Match::Exact);
        assert_eq!(lookup(&registers, Rctl::MPE, MacAddress::BROADCAST), Match::Inexact);
    }

    #[test]
    fn promiscuous_modes_are_separate() {
        let registers = Registers::new();
        assert_eq!(lookup(&registers, Rctl::UPE, OWN), Match::Inexact);
        assert_eq!(lookup(&registers, Rctl::UPE, GROUP), Match::None);
        assert_eq!(lookup(&registers, Rctl::MPE, GROUP), Match::Inexact);
        assert_eq!(lookup(&registers, Rctl::MPE, OWN), Match::None);
    }

    #[test]
    fn hash_takes_the_bits_that_the_offset_selects() {
        // The last two octets of GROUP are 0x12 and 0xbc: the manual's bits 47:32 are 0xbc12.
        for (control, hash) in [
            (Rctl::empty(), 0xbc1),
            (Rctl::MO_LOW, 0x782),
            (Rctl::MO_HIGH, 0xf04),
            (Rctl::MO_LOW | Rctl::MO_HIGH, 0xc12),
        ] {
            let mut registers = Registers::new();
            registers.set(reg::mta(hash >> 5), !(1 << (hash & 31)));
            assert_eq!(lookup(&registers, control, GROUP), Match::None, "{hash:#x}");
            registers.set(reg::mta(hash >> 5), 1 << (hash & 31));
            assert_eq!(lookup(&registers, control, GROUP), Match::Inexact, "{hash:#x}");
        }
    }

    #[test]
    fn vlan_table_is_used_only_when_enabled() {
        let mut registers = Registers::new();
        assert!(vlan(&registers, Rctl::empty(), 0x0123));
        assert!(!vlan(&registers, Rctl::VFE, 0x0123));
        registers.set(reg::vfta(0x123 >> 5), 1 << (0x123 & 31));
        assert!(vlan(&registers, Rctl::VFE, 0xe123));
        assert!(!vlan(&registers, Rctl::VFE, 0x0122));
    }

    #[test]
    fn canonical_form_indicator_is_compared_when_enabled() {
        let mut registers = Registers::new();
        registers.set(reg::vfta(0), 0b10);
        let control = Rctl::VFE | Rctl::CFIEN;
        assert!(vlan(&registers, control, 0x0001));
        assert!(!vlan(&registers, control, 0x1001));
        assert!(vlan(&registers, control | Rctl::CFI, 0x1001));
        assert!(!vlan(&registers, control | Rctl::CFI, 0x0001));
    }
}
