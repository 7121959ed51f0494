//! The devices that the guest cannot discover by itself: the AML of the Differentiated System Description
//! Table.

use crate::{layout, power, rtc};
use acpi_tables::aml::AddressSpaceCacheable::NotCacheable;
use acpi_tables::aml::{
    AddressSpace, Arg, Device, EISAName, IO, If, Memory32Fixed, Method, Name, Package, PackageBuilder, Path,
    ResourceTemplate, Return, Scope, Store,
};
use acpi_tables::{Aml, AmlSink};
use alloc::{format, vec, vec::Vec};

/// PCI slots that the interrupt routing table covers: all of bus 0.
const SLOTS: u8 = 32;

/// `IRQNoFlags () { irq }`: edge-triggered, active high [ACPI 6.5 6.4.2.1].
struct IrqNoFlags(u8);

impl Aml for IrqNoFlags {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.byte(0x22);
        sink.word(1 << (self.0 & 15));
    }
}

/// The definition block's body.
pub(super) fn body(vcpus: u8) -> Vec<u8> {
    let mut devices = Vec::new();
    (0..vcpus).for_each(|index| processor(index, &mut devices));
    for write in [pci_host_bridge, motherboard, clock, serial_port] {
        write(&mut devices);
    }
    let mut body = Vec::new();
    soft_off(&mut body);
    interrupt_mode(&mut body);
    body.extend(Scope::raw("\\_SB_".into(), devices));
    body
}

/// `\_S5`: SLP_TYP for the PM1a control block, none for the absent PM1b, two reserved [ACPI 6.5 7.4.2].
fn soft_off(sink: &mut Vec<u8>) {
    let types = Package::new(vec![&power::SLP_TYP_S5, &0u8, &0u8, &0u8]);
    Name::new("\\_S5_".into(), &types).to_aml_bytes(sink);
}

/// A device with its hardware identifier and further objects.
fn device(name: &str, hid: &dyn Aml, objects: &[(&str, &dyn Aml)], sink: &mut Vec<u8>) {
    let hid = [("_HID", hid)];
    let names: Vec<Name> =
        hid.iter().chain(objects).map(|(name, value)| Name::new((*name).into(), *value)).collect();
    let children = names.iter().map(|name| name as &dyn Aml).collect();
    Device::new(name.into(), children).to_aml_bytes(sink);
}

/// A processor device; `_UID` ties it to its local APIC in the MADT [ACPI 6.5 8.4].
fn processor(index: u8, sink: &mut Vec<u8>) {
    device(&format!("CP{index:02X}"), &"ACPI0007", &[("_UID", &index)], sink);
}

fn pci_host_bridge(sink: &mut Vec<u8>) {
    const FIRST: u32 = layout::below_4_gib(layout::PCI_MEMORY.start);
    const LAST: u32 = layout::below_4_gib(layout::PCI_MEMORY.end - 1);
    let resources: [&dyn Aml; 5] = [
        &AddressSpace::new_bus_number(0u16, 0),
        // The configuration mechanism's own ports, between the two ranges that the bridge forwards.
        &ports(0x0cf8, 8),
        &AddressSpace::new_io(0u16, 0x0cf7, None),
        &AddressSpace::new_io(0x0d00u16, 0xffff, None),
        &AddressSpace::new_memory(NotCacheable, true, FIRST, LAST, None),
    ];
    let objects: [(&str, &dyn Aml); 3] =
        [("_UID", &0u8), ("_BBN", &0u8), ("_CRS", &ResourceTemplate::new(resources.to_vec()))];
    let hid = EISAName::new("PNP0A03");
    let names = [("_HID", &hid as &dyn Aml)].into_iter().chain(objects);
    let names: Vec<Name> = names.map(|(name, value)| Name::new(name.into(), value)).collect();
    // Two routing tables; \_PIC has noted which of them is wanted.
    let (apic, pic) = (interrupt_routing(|gsi| gsi), interrupt_routing(layout::pci_irq));
    let tables = [Name::new("APRT".into(), &apic), Name::new("PPRT".into(), &pic)];
    let (apic, pic, mode) = (Path::new("APRT"), Path::new("PPRT"), Path::new(INTERRUPT_MODE));
    let (apic, pic) = (Return::new(&apic), Return::new(&pic));
    let by_mode = If::new(&mode, vec![&apic]);
    let choice = Method::new("_PRT".into(), 0, false, vec![&by_mode, &pic]);
    let mut children: Vec<&dyn Aml> = names.iter().chain(&tables).map(|name| name as &dyn Aml).collect();
    children.push(&choice);
    Device::new("PCI0".into(), children).to_aml_bytes(sink);
}

/// Zero while the guest uses the 8259As, as at its start; one when it uses the I/O APIC.
const INTERRUPT_MODE: &str = "\\PICM";

/// `\_PIC`: the guest tells which interrupt controllers it uses [ACPI 6.5 5.8.1].
fn interrupt_mode(sink: &mut Vec<u8>) {
    Name::new(INTERRUPT_MODE.into(), &0u8).to_aml_bytes(sink);
    let (mode, argument) = (Path::new(INTERRUPT_MODE), Arg(0));
    let note = Store::new(&mode, &argument);
    Method::new("\\_PIC".into(), 1, false, vec![&note]).to_aml_bytes(sink);
}

/// `length` fixed ports from `first` on.
fn ports(first: u16, length: u8) -> IO {
    IO::new(first, first, 1, length)
}

/// Each pin of each slot, hard-wired: there are no link devices to configure. `input` gives the number of its
/// interrupt from that at the I/O APIC [ACPI 6.5 6.2.13].
fn interrupt_routing(input: impl Fn(u8) -> u8) -> PackageBuilder {
    const ALL_FUNCTIONS: u32 = 0xffff;
    let mut routes = PackageBuilder::new();
    for (slot, pin) in (0..SLOTS).flat_map(|slot| (0..4u8).map(move |pin| (slot, pin))) {
        let address = u32::from(slot) << 16 | ALL_FUNCTIONS;
        routes.add_element(&Package::new(vec![&address, &pin, &0u8, &input(layout::pci_gsi(slot, pin))]));
    }
    routes
}

/// Resources that belong to no other device and must not be assigned: the ACPI registers and the
/// memory-mapped PCI configuration space [PCI Firmware 3.3 4.1.2].
fn motherboard(sink: &mut Vec<u8>) {
    const ECAM: u32 = layout::below_4_gib(layout::ECAM.start);
    const ECAM_BYTES: u32 = layout::below_4_gib(layout::ECAM.end) - ECAM;
    let registers = ports(layout::PM_BASE, super::tables::PM_BLOCK_BYTES);
    let configuration = Memory32Fixed::new(true, ECAM, ECAM_BYTES);
    let resources = ResourceTemplate::new(vec![&registers, &configuration]);
    device("MBRD", &EISAName::new("PNP0C02"), &[("_UID", &0u8), ("_CRS", &resources)], sink);
}

fn clock(sink: &mut Vec<u8>) {
    let (ports, irq) = (ports(rtc::INDEX_PORT, 2), IrqNoFlags(layout::RTC_IRQ));
    let resources = ResourceTemplate::new(vec![&ports, &irq]);
    device("RTC0", &EISAName::new("PNP0B00"), &[("_CRS", &resources)], sink);
}

fn serial_port(sink: &mut Vec<u8>) {
    let (ports, irq) = (ports(layout::COM1, 8), IrqNoFlags(layout::COM1_IRQ));
    let resources = ResourceTemplate::new(vec![&ports, &irq]);
    device("COM1", &EISAName::new("PNP0501"), &[("_UID", &0u8), ("_CRS", &resources)], sink);
}

#[cfg(test)]
mod tests;
