//! A NIC's function in a configuration space of its own, with two memory windows, ports, MSI and MSI-X.

use base::HostPhysical;
use pci::{BusFunction, MsiMessage, PciAccess};
use pci_types::{ConfigRegionAccess, PciAddress};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Its registers; the bits of them that always read as set; and the bits that each of them keeps of a write.
struct Space(RefCell<BTreeMap<u16, u32>>, BTreeMap<u16, u32>, BTreeMap<u16, u32>);

impl ConfigRegionAccess for &Space {
    unsafe fn read(&self, _function: PciAddress, offset: u16) -> u32 {
        let kept = self.0.borrow().get(&offset).copied().unwrap_or(0);
        kept | self.1.get(&offset).copied().unwrap_or(0)
    }

    unsafe fn write(&self, _function: PciAddress, offset: u16, value: u32) {
        let is_window = (0x10..0x28).contains(&offset);
        assert!(!is_window || register(self, 4) & 3 == 0, "a window moves while the function decodes");
        let mask = self.2.get(&offset).copied().unwrap_or(!0);
        // Writing 0 leaves the status half as it is.
        let status = if offset == 4 { register(self, 4) & 0xffff_0000 } else { 0 };
        self.0.borrow_mut().insert(offset, status | value & mask);
    }
}

impl PciAccess for &Space {
    fn read_register(self, function: PciAddress, offset: u8) -> u32 {
        // SAFETY: a map.
        unsafe { self.read(function, offset.into()) }
    }

    fn write_register(self, function: PciAddress, offset: u8, value: u32) {
        // SAFETY: a map.
        unsafe { self.write(function, offset.into(), value) }
    }
}

fn space() -> Space {
    let registers = [
        (0x00, 0x10d3_8086),
        (0x04, 0x0010_0506),
        (0x08, 0x0200_0000),
        (0x10, 0xfeb0_0000),
        (0x14, 0xfeb8_0000),
        (0x18, 0xc041),
        (0x34, 0x40),
        // MSI with a 64-bit address, then MSI-X: five entries at the start of BAR 1.
        (0x40, 0x0081_5005),
        (0x50, 0x8004_0011),
        (0x54, 0x0000_0001),
    ];
    // 128 KiB, 16 KiB and 32 ports.
    let sizes = BTreeMap::from([(0x10, !0x1_ffff), (0x14, !0x3fff), (0x18, !0x1f)]);
    Space(RefCell::new(BTreeMap::from(registers)), BTreeMap::from([(0x18, 1)]), sizes)
}

fn function(space: &Space) -> BusFunction<&Space> {
    BusFunction {
        access: space,
        address: PciAddress::new(0, 2, 3, 0),
        vendor: 0x8086,
        device: 0x10d3,
        class: (2, 0),
        interrupt_pin: 1,
        interrupt_line: 11,
        message_interrupts: (true, true),
    }
}

fn register(space: &Space, offset: u16) -> u32 {
    space.0.borrow()[&offset]
}

#[test]
fn its_windows_are_found_and_enabled_without_dma() {
    let space = space();
    let nic = function(&space);
    assert_eq!(nic.memory_bar(0), Some((HostPhysical(0xfeb0_0000), 0x2_0000)));
    assert_eq!((nic.memory_bar(2), nic.io_bar()), (None, Some(0xc040)));
    assert_eq!(nic.to_string(), "02:03.0 [8086:10d3]");
    nic.enable(true);
    let command = || register(&space, 4) & 0x407;
    assert_eq!(command(), 3, "windows, neither DMA nor a disabled interrupt");
    nic.enable(false);
    assert_eq!(command(), 2, "ports that nobody uses are not decoded");
    nic.enable(true);
    nic.allow_dma(true);
    assert_eq!(command(), 7);
    nic.allow_dma(false);
    assert_eq!(command(), 3);
    nic.quiesce();
    assert_eq!(command(), 0x403);
}

#[test]
fn a_window_without_an_address_is_none() {
    let space = space();
    space.0.borrow_mut().extend([(0x10, 0), (0x18, 0)]);
    assert_eq!((function(&space).memory_bar(0), function(&space).io_bar()), (None, None));
}

/// A function whose BAR 0 has 64 bits, of 128 KiB, and which has no other window.
fn wide(high: u32) -> Space {
    let mut registers = space().0.into_inner();
    registers.extend([(0x10, 0xfe00_0000), (0x14, high), (0x18, 0)]);
    Space(RefCell::new(registers), BTreeMap::from([(0x10, 0xc)]), BTreeMap::from([(0x10, !0x1_ffff)]))
}

#[test]
fn the_upper_half_of_a_64_bit_window_is_no_window_of_its_own() {
    for high in [2, 6, 0x38, 0x383f, 0xc001] {
        let space = wide(high);
        let before = space.0.borrow().clone();
        let nic = function(&space);
        assert_eq!((nic.io_bar(), nic.memory_bar(1)), (None, None), "{high:#x}");
        assert_eq!(*space.0.borrow(), before, "looking changes nothing");
    }
}

#[test]
fn a_window_above_4_gib_is_measured_where_it_is() {
    for high in [0, 2, 6, 0x38, 0x383f] {
        let mut space = wide(high);
        space.0.get_mut().insert(0x04, 0x0010_0507);
        let before = space.0.get_mut().clone();
        let at = HostPhysical(u64::from(high) << 32 | 0xfe00_0000);
        assert_eq!(function(&space).memory_bar(0), Some((at, 0x2_0000)));
        assert_eq!(*space.0.borrow(), before, "it stays there, and its decode is on again");
    }
}

#[test]
fn a_window_of_a_reserved_kind_or_without_bits_is_none() {
    for kind in [2, 6] {
        let mut space = space();
        space.1.insert(0x10, kind);
        assert_eq!(function(&space).memory_bar(0), None, "{kind}");
    }
    let mut last = space();
    last.1.insert(0x24, 0xfe00_0004);
    assert_eq!(function(&last).memory_bar(5), None, "64 bits, and no register for the upper half");
    let mut damaged = space();
    damaged.1.insert(0x0c, 0x0001_0000);
    assert_eq!((function(&damaged).memory_bar(0), function(&damaged).io_bar()), (None, None), "a bridge");
}

#[test]
fn messages_are_sent_by_its_table_or_by_msi() {
    let space = space();
    let nic = function(&space);
    let message = MsiMessage::to_processor(3, 0x51).expect("it fits");
    assert_eq!(nic.msix_table(2), Some((HostPhysical(0xfeb8_0000), 32)));
    let mut table = BTreeMap::new();
    nic.send_msix(message, 2, |offset, value| _ = table.insert(offset, value));
    let entry = [(0, 0xfee0_3000), (4, 0), (8, 0x51), (12, 0)];
    let both = entry.into_iter().chain(entry.map(|(offset, value)| (offset + 16, value)));
    assert_eq!(table, both.collect());
    assert_eq!(register(&space, 0x50) >> 30, 0b10, "enabled, not masked");
    nic.send_none();
    assert_eq!(register(&space, 0x50) >> 31, 0);
    assert!(nic.send_msi(message));
    assert_eq!((register(&space, 0x44), register(&space, 0x40) >> 16 & 0x71), (0xfee0_3000, 1));
}

#[test]
fn a_table_that_is_short_or_outside_its_window_is_not_used() {
    let space = space();
    assert_eq!(function(&space).msix_table(6), None, "it has five entries");
    space.0.borrow_mut().insert(0x54, 0x3ff0 | 1);
    assert_eq!(function(&space).msix_table(2), None);
    assert!(function(&space).msix_table(1).is_some());
}

#[test]
fn a_processor_whose_id_does_not_fit_gets_no_message() {
    assert_eq!([255, 256].map(|id| MsiMessage::to_processor(id, 0x51)), [None, None]);
}
