use super::*;
use proptest::prelude::*;

fn read32(bus: &mut PciBus, slot: u8, register: u8) -> u32 {
    bus.write_address(CONFIG_ENABLE | u32::from(slot) << 11 | u32::from(register));
    u32::from_le_bytes(core::array::from_fn(|i| bus.read_port(CONFIG_DATA + i as u16)))
}

fn write32(bus: &mut PciBus, slot: u8, register: u8, value: u32) -> Effects {
    bus.write_address(CONFIG_ENABLE | u32::from(slot) << 11 | u32::from(register));
    value
        .to_le_bytes()
        .into_iter()
        .zip(CONFIG_DATA..)
        .fold(Effects::empty(), |effects, (byte, port)| effects | bus.write_data(port, byte))
}

#[test]
fn a_scan_finds_the_bridge_and_the_nics_and_nothing_else() {
    let mut bus = PciBus::new(2);
    for slot in 0..32 {
        let expected = match slot {
            0 => 0x0d57_8086,
            3 | 4 => 0x100e_8086,
            _ => u32::MAX,
        };
        assert_eq!(read32(&mut bus, slot, 0), expected, "slot {slot}");
    }
    bus.write_address(CONFIG_ENABLE | 1 << 16 | 3 << 11);
    assert_eq!(bus.read_port(CONFIG_DATA), 0xff, "bus 1 does not exist");
    bus.write_address(3 << 11);
    assert_eq!(bus.read_port(CONFIG_DATA), 0xff, "the enable bit is off");
}

#[test]
fn bar_sizing_reads_back_the_size_and_the_kind() {
    let mut bus = PciBus::new(1);
    let before = (read32(&mut bus, 3, 0x10), read32(&mut bus, 3, 0x18));
    assert_eq!(before, (0xe000_0000, 0xc001));
    let sized = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30].map(|register| {
        let _ = write32(&mut bus, 3, register, u32::MAX);
        read32(&mut bus, 3, register)
    });
    assert_eq!(sized, [0xfffe_0000, 0, 0xffc1, 0, 0, 0, 0]);
    let _ = write32(&mut bus, 3, 0x10, before.0);
    assert_eq!(read32(&mut bus, 3, 0x10), before.0);
}

#[test]
fn decoding_follows_the_bars_and_the_command_register() {
    let mut bus = PciBus::new(2);
    let hit = |slot, bar, offset, size| Some(BarHit { slot, bar, offset, size });
    assert_eq!(bus.find_memory(GuestPhysical(0xe002_3818)), hit(4, 0, 0x3818, 0x2_0000));
    assert_eq!(bus.find_io(0xc047), hit(4, 2, 7, 64));
    assert_eq!(bus.find_memory(GuestPhysical(0xe004_0000)), None);
    assert!(write32(&mut bus, 4, 0x10, 0xe800_0000).contains(Effects::MAP_CHANGED));
    assert_eq!(bus.find_memory(GuestPhysical(0xe800_0008)), hit(4, 0, 8, 0x2_0000));
    let _ = write32(&mut bus, 4, COMMAND, 0x04);
    assert_eq!((bus.find_memory(GuestPhysical(0xe800_0008)), bus.find_io(0xc047)), (None, None));
    assert!(bus.bus_master(4) && !bus.bus_master(3) && !bus.bus_master(9));
}

use super::configuration_space::COMMAND;

#[test]
fn d3hot_stops_decoding_mastering_and_interrupts_and_keeps_registers() {
    let mut bus = PciBus::new(1);
    assert_eq!(read32(&mut bus, 3, 0x34) & 0xff, 0xdc);
    assert_eq!(read32(&mut bus, 3, 0xdc), 0x0023_0001);
    let _ = write32(&mut bus, 3, COMMAND, 0x07);
    bus.set_interrupt(3, true);
    assert_eq!(bus.interrupts(), 1 << 3);
    let _ = write32(&mut bus, 3, 0xe0, 3);
    assert_eq!((bus.interrupts(), bus.bus_master(3)), (0, false));
    assert_eq!(bus.find_memory(GuestPhysical(0xe000_0000)), None);
    let _ = write32(&mut bus, 3, 0xe0, 1);
    assert_eq!(read32(&mut bus, 3, 0xe0), 0x0b, "D1 does not exist");
    let _ = write32(&mut bus, 3, 0xe0, 0);
    assert_eq!(read32(&mut bus, 3, COMMAND) & 0xffff, 0x07);
    assert!(bus.find_memory(GuestPhysical(0xe000_0000)).is_some());
}

/// The steps of `pci_intx_mask_supported` and `pci_check_and_mask_intx` of Linux, on which uio_pci_generic and VFIO
/// rely.
#[test]
fn intx_can_be_disabled_and_its_status_read_as_drivers_in_user_space_do() {
    const DISABLE: u32 = 1 << 10;
    const STATUS: u32 = 1 << 19;
    let mut bus = PciBus::new(1);
    let before = read32(&mut bus, 3, COMMAND);
    assert!(write32(&mut bus, 3, COMMAND, before ^ DISABLE).contains(Effects::IRQ_CHANGED));
    assert_eq!(read32(&mut bus, 3, COMMAND), before ^ DISABLE, "no other bit has changed");
    let _ = write32(&mut bus, 3, COMMAND, before);
    assert_eq!(read32(&mut bus, 3, COMMAND), before);

    bus.set_interrupt(3, true);
    assert_eq!((bus.interrupts(), read32(&mut bus, 3, COMMAND) & STATUS), (1 << 3, STATUS));
    assert!(write32(&mut bus, 3, COMMAND, before | DISABLE).contains(Effects::IRQ_CHANGED));
    assert_eq!(bus.interrupts(), 0);
    assert_eq!(read32(&mut bus, 3, COMMAND), before | DISABLE | STATUS, "the cause is still there");
    bus.set_interrupt(3, false);
    assert_eq!(read32(&mut bus, 3, COMMAND), before | DISABLE);
    bus.set_interrupt(3, true);
    let _ = write32(&mut bus, 3, COMMAND, before);
    assert_eq!(bus.interrupts(), 1 << 3, "the line follows when it is enabled again");
}

#[test]
fn functions_share_a_line_and_the_last_release_lowers_it() {
    let mut bus = PciBus::new(9);
    bus.set_interrupt(3, true);
    bus.set_interrupt(11, true);
    assert_eq!(bus.interrupts(), 1 << 3);
    bus.set_interrupt(3, false);
    assert_eq!(bus.interrupts(), 1 << 3);
    bus.set_interrupt(11, false);
    bus.set_interrupt(31, true);
    assert_eq!(bus.interrupts(), 0);
}

#[test]
fn identity_and_read_only_registers_cannot_be_written() {
    let mut bus = PciBus::new(1);
    for register in [0x00, 0x08, 0x2c, 0x34] {
        let before = read32(&mut bus, 3, register);
        let _ = write32(&mut bus, 3, register, !before);
        assert_eq!(read32(&mut bus, 3, register), before, "register {register:#x}");
    }
    assert_eq!(read32(&mut bus, 3, 0x3c) & 0xffff, 0x010b);
    assert_eq!(read32(&mut bus, 3, 0x08), 0x0200_0002);
}

#[test]
fn memory_mapped_space_shows_the_same_registers_and_no_extended_capabilities() {
    let mut bus = PciBus::new(1);
    let nic = 3 << 15;
    assert_eq!([0, 1, 2, 3].map(|i| bus.read_ecam(nic + i)), [0x86, 0x80, 0x0e, 0x10]);
    assert_eq!((bus.read_ecam(nic + 0x100), bus.read_ecam(4 << 15 | 0x100)), (0, 0xff));
    assert_eq!(bus.read_ecam(nic | 1 << 12), 0xff, "function 1 does not exist");
    let _ = bus.write_ecam(nic + 0x3c, 7);
    assert_eq!(read32(&mut bus, 3, 0x3c) & 0xff, 7);
}

proptest! {
    #[test]
    fn any_configuration_keeps_windows_aligned_and_identity_whole(
        writes in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..200), nics in any::<u8>()
    ) {
        let mut bus = PciBus::new(nics);
        for (address, value) in writes {
            let _ = write32(&mut bus, (address >> 11) as u8 & 31, address as u8 & 0xfc, value);
            let _ = bus.write_ecam(address, value as u8);
            let _ = bus.read_ecam(value);
        }
        for slot in FIRST_NIC_SLOT..FIRST_NIC_SLOT + nics.min(MAX_NICS) {
            prop_assert_eq!(read32(&mut bus, slot, 0), 0x100e_8086);
            if let Some((start, size)) = bus.memory_window(slot, 0) {
                prop_assert!(start.is_aligned(size.into()));
            }
        }
    }
}
