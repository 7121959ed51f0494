//! The layout of a guest's physical address space and I/O space: the only place that assigns addresses and ports.

use base::GuestPhysical;
use base::bits::{high_u32, low_u32};
use core::ops::Range;

/// End of RAM below 4 GiB at most; the rest is above 4 GiB, with devices in the gap.
pub const LOW_MEMORY_LIMIT: u64 = 0xc000_0000;
/// Start of the RAM that does not fit below [`LOW_MEMORY_LIMIT`].
pub const HIGH_MEMORY: u64 = 0x1_0000_0000;
/// End of conventional memory that firmware leaves to the guest: the last KiB holds the extended BIOS
/// data area.
pub const EBDA: u64 = 0x9_fc00;
/// The display adapter's window, where this board has neither RAM nor device, so a guest that probes for a
/// display by writing there finds none.
pub const VGA_WINDOW: Range<u64> = 0xa_0000..0xc_0000;
/// Firmware area for ACPI and SMBIOS tables: RAM that the memory map declares reserved.
pub const FIRMWARE: Range<u64> = 0xe_0000..0x10_0000;
/// First address above the firmware area.
pub const ONE_MIB: u64 = 0x10_0000;
/// The firmware area seen a second time below 4 GiB, where the processor's first instruction after reset is
/// [SDM3A 10.1.4].
pub const RESET_WINDOW: Range<u64> = HIGH_MEMORY - (FIRMWARE.end - FIRMWARE.start)..HIGH_MEMORY;

/// Memory-mapped PCI configuration space of bus 0 [PCI Firmware 3.3 4.1.2].
pub const ECAM: Range<u64> = 0xd000_0000..0xd010_0000;
/// The window of the host bridge for memory base address registers.
pub const PCI_MEMORY: Range<u64> = 0xe000_0000..0xfec0_0000;
/// First port that firmware assigns to I/O base address registers.
pub const PCI_IO_FIRST: u16 = 0xc000;
/// Registers of the I/O APIC [82093AA 3.0].
pub const IO_APIC: u64 = 0xfec0_0000;
/// Registers of the local APIC after reset [SDM3A 11.4.1].
pub const LOCAL_APIC: u64 = 0xfee0_0000;

/// First port of the ACPI register block: PM1a event at +0, PM1a control at +4, PM timer at +8.
pub const PM_BASE: u16 = 0x600;
/// ISA interrupt and global system interrupt of the ACPI system control interrupt.
pub const SCI_GSI: u8 = 9;
/// ISA interrupt of the real-time clock.
pub const RTC_IRQ: u8 = 8;
/// ISA interrupt of the first serial port.
pub const COM1_IRQ: u8 = 4;
/// First port of the first serial port.
pub const COM1: u16 = 0x3f8;

/// `address` as tables and registers of 32 bits hold it; a higher one does not compile.
pub(crate) const fn below_4_gib(address: u64) -> u32 {
    assert!(high_u32(address) == 0);
    low_u32(address)
}

/// Global system interrupt of interrupt pin INTA#, INTB#, .. (`pin` 0 to 3) of the PCI device at `slot`:
/// the eight upper inputs of the I/O APIC in turn, so the first eight single-function devices do not share
/// one.
#[must_use]
pub const fn pci_gsi(slot: u8, pin: u8) -> u8 {
    16 + (slot.wrapping_add(pin) & 7)
}

/// The ISA interrupts that PCI interrupts reach, too, for guests that use the 8259As. Each stands for two global
/// system interrupts. No ISA device of this board has them, and firmware has made them level-triggered.
pub const PCI_IRQS: [u8; 4] = [5, 10, 7, 11];

/// The ISA interrupt of the PCI interrupt that has global system interrupt `gsi`: what the Interrupt Line register
/// says, and what a guest without I/O APIC gets.
#[must_use]
pub const fn pci_irq(gsi: u8) -> u8 {
    PCI_IRQS[(gsi & 3) as usize]
}

/// The kind of a range of guest-physical addresses, as the E820 memory map tells the guest [ACPI 6.5 15].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// RAM that the guest may use: `AddressRangeMemory`.
    Usable,
    /// Not for the guest to use: `AddressRangeReserved`.
    Reserved,
}

/// One entry of the guest's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry {
    /// First address.
    pub start: GuestPhysical,
    /// Bytes.
    pub length: u64,
    /// What the range holds.
    pub kind: RangeKind,
}

/// The RAM of one guest.
///
/// ```
/// use platform::layout::MemoryLayout;
///
/// const GIB: u64 = 1 << 30;
/// let layout = MemoryLayout::new(5 * GIB);
/// assert_eq!((layout.low_end, layout.high_end), (3 * GIB, 6 * GIB));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLayout {
    /// End of RAM below 4 GiB.
    pub low_end: u64,
    /// End of RAM above 4 GiB; [`HIGH_MEMORY`] when there is none.
    pub high_end: u64,
}

impl MemoryLayout {
    /// The layout of a guest with `memory_bytes` of memory. The 128 KiB under the display window are counted
    /// but not accessible, as on a PC.
    #[must_use]
    pub fn new(memory_bytes: u64) -> Self {
        let low_end = memory_bytes.min(LOW_MEMORY_LIMIT);
        Self { low_end, high_end: HIGH_MEMORY.saturating_add(memory_bytes - low_end) }
    }

    /// The ranges that must be mapped to memory in the nested page tables. All other accesses trap.
    #[must_use]
    pub fn ram(&self) -> [Range<u64>; 3] {
        let conventional = self.low_end.min(VGA_WINDOW.start);
        [0..conventional, VGA_WINDOW.end.min(self.low_end)..self.low_end, HIGH_MEMORY..self.high_end]
    }

    /// These ranges, each with its offset in the guest's memory as the host assigns it: a byte below 4 GiB has its
    /// address as its offset, so that a large page of the guest can be one of the host; memory above 4 GiB follows.
    #[must_use]
    pub fn backing(&self) -> [(Range<u64>, u64); 3] {
        let offset = |range: &Range<u64>| if range.start == HIGH_MEMORY { self.low_end } else { range.start };
        self.ram().map(|range| (range.clone(), offset(&range)))
    }

    /// The memory map that the guest is given, in ascending order, without empty ranges.
    pub fn map(&self) -> impl Iterator<Item = MapEntry> + use<> {
        use RangeKind::{Reserved, Usable};
        [
            (0..EBDA, Usable),
            (EBDA..VGA_WINDOW.start, Reserved),
            (FIRMWARE, Reserved),
            (ONE_MIB..self.low_end, Usable),
            (ECAM, Reserved),
            (RESET_WINDOW, Reserved),
            (HIGH_MEMORY..self.high_end, Usable),
        ]
        .into_iter()
        .filter(|(range, _)| !range.is_empty())
        .map(|(range, kind)| MapEntry {
            start: GuestPhysical(range.start),
            length: range.end - range.start,
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_beyond_three_gib_goes_above_four() {
        let layout = MemoryLayout::new(5 * GIB);
        assert_eq!((layout.low_end, layout.high_end), (3 * GIB, 6 * GIB));
        assert_eq!(MemoryLayout::new(GIB), MemoryLayout { low_end: GIB, high_end: 4 * GIB });
    }

    #[test]
    fn the_map_is_ascending_without_overlap_and_usable_ranges_are_ram() {
        for memory in [2 << 20, 64 << 20, GIB, 3 * GIB, 7 * GIB] {
            let layout = MemoryLayout::new(memory);
            let map: Vec<MapEntry> = layout.map().collect();
            for pair in map.windows(2) {
                assert!(pair[0].start.0 + pair[0].length <= pair[1].start.0);
            }
            for entry in map.iter().filter(|entry| entry.kind == RangeKind::Usable) {
                let end = entry.start.0 + entry.length;
                assert!(layout.ram().iter().any(|ram| ram.start <= entry.start.0 && end <= ram.end));
            }
        }
    }

    #[test]
    fn what_backs_a_guest_is_as_large_as_its_memory() {
        for memory in [16 << 20, 3 * GIB, 3 * GIB + (2 << 20), 7 * GIB] {
            let backing = MemoryLayout::new(memory).backing();
            let ends = backing.iter().filter(|(range, _)| !range.is_empty());
            assert_eq!(ends.map(|(range, offset)| offset + (range.end - range.start)).max(), Some(memory));
            assert!(backing.iter().all(|(range, offset)| (range.start ^ offset).is_multiple_of(2 << 20)));
        }
    }

    #[test]
    fn the_display_window_is_neither_ram_nor_in_the_map() {
        let layout = MemoryLayout::new(GIB);
        assert!(layout.ram().iter().all(|ram| ram.end <= 0xa_0000 || ram.start >= 0xc_0000));
        assert!(layout.map().all(|entry| entry.start.0 != 0xa_0000));
    }
}
