//! The devices that the guest cannot find by itself: the Differentiated System Description Table's AML.

use super::aml::{Aml, device, eisa_id, integer, join, name, package, scope, string};
use super::resources::{buses, io, io_window, irq, memory_window, memory32_fixed, template};
use crate::{layout, power, rtc};

/// PCI slots that the interrupt routing table covers: all of bus 0.
const SLOTS: u8 = 32;

/// The definition block's body.
pub(super) fn body(vcpus: u8) -> Aml {
    let processors = (0..vcpus).map(processor);
    let devices = [pci_host_bridge(), motherboard(), clock(), serial_port()];
    join([soft_off(), scope("\\_SB", processors.chain(devices))])
}

/// `\_S5`: SLP_TYP for the PM1a control block, none for the absent PM1b, two reserved [ACPI 6.5 7.4.2].
fn soft_off() -> Aml {
    name("\\_S5", package([integer(power::SLP_TYP_S5.into()), integer(0), integer(0), integer(0)]))
}

/// A processor device; `_UID` ties it to its local APIC in the MADT [ACPI 6.5 8.4].
fn processor(index: u8) -> Aml {
    let digit = |value: u8| char::from_digit(value.into(), 16).map_or('0', |c| c.to_ascii_uppercase());
    let segment: alloc::string::String = ['C', 'P', digit(index >> 4), digit(index & 0xf)].iter().collect();
    device(&segment, [name("_HID", string("ACPI0007")), name("_UID", integer(index.into()))])
}

fn pci_host_bridge() -> Aml {
    let memory = layout::PCI_MEMORY;
    let resources = template([
        buses(0..=0),
        // The configuration mechanism's own ports, between the two ranges that go to the bus.
        io(0x0cf8, 8),
        io_window(0..=0x0cf7),
        io_window(0x0d00..=0xffff),
        memory_window(memory.start as u32..=(memory.end - 1) as u32),
    ]);
    device(
        "PCI0",
        [
            name("_HID", eisa_id(b"PNP0A03")),
            name("_UID", integer(0)),
            name("_BBN", integer(0)),
            name("_CRS", resources),
            name("_PRT", interrupt_routing()),
        ],
    )
}

/// Each pin of each slot, hard-wired to a global system interrupt: there are no link devices to
/// configure [ACPI 6.5 6.2.13].
fn interrupt_routing() -> Aml {
    const ALL_FUNCTIONS: u32 = 0xffff;
    let pins = (0..SLOTS).flat_map(|slot| (0..4).map(move |pin| (slot, pin)));
    package(pins.map(|(slot, pin)| {
        package([
            integer(u32::from(slot) << 16 | ALL_FUNCTIONS),
            integer(pin.into()),
            integer(0),
            integer(layout::pci_gsi(slot, pin).into()),
        ])
    }))
}

/// What belongs to no other device and must not be given away: the ACPI registers and the memory-mapped
/// PCI configuration space [PCI Firmware 3.3 4.1.2].
fn motherboard() -> Aml {
    let ecam = layout::ECAM;
    let resources = template([
        io(layout::PM_BASE, super::tables::PM_BLOCK_BYTES),
        memory32_fixed(ecam.start as u32, (ecam.end - ecam.start) as u32),
    ]);
    device("MBRD", [name("_HID", eisa_id(b"PNP0C02")), name("_UID", integer(0)), name("_CRS", resources)])
}

fn clock() -> Aml {
    let resources = template([io(rtc::INDEX_PORT, 2), irq(layout::RTC_IRQ)]);
    device("RTC0", [name("_HID", eisa_id(b"PNP0B00")), name("_CRS", resources)])
}

fn serial_port() -> Aml {
    let resources = template([io(layout::COM1, 8), irq(layout::COM1_IRQ)]);
    device("COM1", [name("_HID", eisa_id(b"PNP0501")), name("_UID", integer(0)), name("_CRS", resources)])
}
