//! PCI configuration space: both mechanisms, and what base addresses decode.

use crate::Input;
use base::{Effects, GuestPhysical};
use platform::pci::{FIRST_NIC_SLOT, PciBus};

const NICS: u8 = 3;
const ADDRESS_ENABLE: u32 = 1 << 31;

/// Accesses to one bus.
///
/// # Panics
/// When the two mechanisms disagree, an identity changes, a window moves without an effect that says so, or an
/// address lands outside the window in which it was found.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bus = PciBus::new(NICS);
    let identities: Vec<u32> = slots().map(|slot| identity(&bus, slot)).collect();
    while !input.is_empty() {
        let before = windows(&bus);
        let action = input.u8();
        // Mostly the configuration space of a function that exists.
        let slot = [0, FIRST_NIC_SLOT, FIRST_NIC_SLOT + 1, FIRST_NIC_SLOT + 2][usize::from(action >> 4 & 3)];
        let register = input.u8();
        let offset = match action & 0xc0 {
            0xc0 => input.u32() & 0xf_ffff,
            _ => u32::from(slot) << 15 | u32::from(register),
        };
        let effects = match action & 7 {
            0..3 => bus.write_ecam(offset, input.u8()),
            3 => {
                bus.write_address(ADDRESS_ENABLE | offset >> 4 & 0xff00 | offset & 0xff);
                bus.write_data(0xcfc + u16::from(register & 3), input.u8())
            }
            4 => {
                bus.write_address(input.u32());
                bus.write_data(0xcfc + u16::from(register & 3), input.u8())
            }
            5 => {
                bus.set_interrupt(slot, register & 1 != 0);
                Effects::empty()
            }
            _ => {
                look_up(&bus, &mut input);
                Effects::empty()
            }
        };
        assert!(
            windows(&bus) == before || effects.contains(Effects::MAP_CHANGED),
            "a window moved without an effect"
        );
        compare(&mut bus, slot, register);
    }
    assert!(slots().map(|slot| identity(&bus, slot)).eq(identities));
}

/// Every slot of the bus.
fn slots() -> impl Iterator<Item = u8> {
    0..32
}

fn identity(bus: &PciBus, slot: u8) -> u32 {
    let byte = |index| bus.read_ecam(u32::from(slot) << 15 | index);
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}

fn windows(bus: &PciBus) -> Vec<Option<(GuestPhysical, u32)>> {
    (0..NICS)
        .flat_map(|nic| (0..6).map(move |bar| (nic, bar)))
        .map(|(nic, bar)| bus.memory_window(FIRST_NIC_SLOT + nic, bar))
        .collect()
}

/// The port mechanism and the memory-mapped one show the same registers.
fn compare(bus: &mut PciBus, slot: u8, register: u8) {
    bus.write_address(ADDRESS_ENABLE | u32::from(slot) << 11 | u32::from(register));
    let by_port = bus.read_port(0xcfc + u16::from(register & 3));
    assert_eq!(by_port, bus.read_ecam(u32::from(slot) << 15 | u32::from(register)));
}

fn look_up(bus: &PciBus, input: &mut Input) {
    // Around a window, or anywhere.
    let window = bus.memory_window(FIRST_NIC_SLOT + input.u8() % NICS, 0).map(|(start, _)| start.0);
    let anywhere = u64::from(input.u32()) | u64::from(input.u8() & 1) << 32;
    let near = window.map(|start| start.wrapping_sub(0x1_0000).wrapping_add(anywhere & 0x3_ffff));
    let address = near.unwrap_or(anywhere);
    if let Some(hit) = bus.find_memory(GuestPhysical(address)) {
        assert!(hit.offset < hit.size);
        let window = bus.memory_window(hit.slot, hit.bar);
        assert_eq!(window, Some((GuestPhysical(address - u64::from(hit.offset)), hit.size)));
    }
    if let Some(hit) = bus.find_io(input.u16()) {
        assert!(hit.offset < hit.size && hit.slot >= FIRST_NIC_SLOT);
    }
    let _ = (bus.interrupts(), bus.bus_master(input.u8()), bus.read_port(0xcf8 + u16::from(input.u8() & 7)));
}
