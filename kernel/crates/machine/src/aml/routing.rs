//! Which input of an IO-APIC each PCI interrupt pin is wired to: `_PRT` of host bridges and bridges
//! [ACPI 6.5 6.2.13], and the link devices that it names [ACPI 6.5 6.2.13.1].

use super::evaluate::{AmlValue, Evaluator};
use super::namespace::{Namespace, NodeId, NodeKind, ROOT};
use crate::bytes::{u8_at, u16_at, u32_at};
use crate::info::{MachineInfo, Wire};
use alloc::vec::Vec;

/// Host bridges of PCI and of PCI Express: `_HID` or `_CID` PNP0A03, PNP0A08, as EISA ids.
const HOST_BRIDGES: [u64; 2] = [0x030a_d041, 0x080a_d041];
/// Most routes that are kept.
const MAX_ROUTES: usize = 4096;
/// Bridges behind bridges.
const MAX_BRIDGES: u32 = 8;

/// A bridge from one bus to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciBridge {
    /// The bus that it is on.
    pub bus: u8,
    /// Its device number there.
    pub device: u8,
    /// Its function number.
    pub function: u8,
    /// The bus behind it.
    pub secondary: u8,
}

/// Where an interrupt pin of a device leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PciRoute {
    bus: u8,
    device: u8,
    /// 0 is INTA#.
    pin: u8,
    wire: Wire,
}

/// The wiring of all interrupt pins that the firmware's AML tells of.
#[derive(Clone, Debug, Default)]
pub struct PciRoutes {
    routes: Vec<PciRoute>,
    bridges: Vec<PciBridge>,
    /// Buses with a `_PRT` of their own, whether it could be evaluated or not.
    described: Vec<u8>,
}

impl PciRoutes {
    /// Evaluates the firmware's AML; `bridges` are those that are there.
    #[must_use]
    pub fn new(machine: &MachineInfo<'_>, bridges: Vec<PciBridge>) -> Self {
        let names = Namespace::new(&machine.aml);
        let mut evaluator = Evaluator::new(&names);
        // Tells the firmware that the IO-APICs are used [ACPI 6.5 5.8.1]. Methods without effects need no more than this.
        if let Some(method) = names.child(ROOT, *b"_PIC") {
            evaluator.value(method, &[AmlValue::Integer(1)]);
        }
        let mut found = Self { bridges, ..Self::default() };
        let mut roots: Vec<NodeId> = Vec::new();
        for id in names.all() {
            let Some(node) = names.node(id).filter(|node| matches!(&node.name, b"_HID" | b"_CID")) else {
                continue;
            };
            if node.kind == NodeKind::Name
                && !roots.contains(&node.parent)
                && evaluator.value(id, &[]).is_some_and(|value| is_host_bridge(&value))
            {
                roots.push(node.parent);
            }
        }
        for root in roots {
            let number = |value| match value {
                Some(AmlValue::Integer(value)) => u8::try_from(value).ok(),
                _ => None,
            };
            let has = |name: &[u8; 4]| names.child(root, *name).is_some();
            let segment = has(b"_SEG").then(|| evaluator.child(root, b"_SEG"));
            if segment.is_some_and(|segment| number(segment) != Some(0)) {
                continue;
            }
            let bus = if has(b"_BBN") { number(evaluator.child(root, b"_BBN")) } else { Some(0) };
            bus.into_iter().for_each(|bus| found.bus(machine, &names, &mut evaluator, (root, bus), 0));
        }
        found
    }

    /// Where pin 1 to 4 of a device leads. Behind a bridge without a `_PRT` the pins are rotated by the device number
    /// [PCI-to-PCI Bridge 1.2 9.1].
    #[must_use]
    pub fn wire(&self, bus: u8, device: u8, pin: u8) -> Option<Wire> {
        let (mut bus, mut device, mut pin) = (bus, device, pin.checked_sub(1).filter(|pin| *pin < 4)?);
        for _ in 0..MAX_BRIDGES {
            if self.described.contains(&bus) {
                let here = |route: &&PciRoute| (route.bus, route.device, route.pin) == (bus, device, pin);
                return self.routes.iter().find(here).map(|route| route.wire);
            }
            let bridge = self.bridges.iter().find(|bridge| bridge.secondary == bus)?;
            pin = (pin + device) % 4;
            (bus, device) = (bridge.bus, bridge.device);
        }
        None
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.routes.len()
    }

    /// Adds the routes of a bus and of the buses behind it.
    fn bus(
        &mut self,
        machine: &MachineInfo<'_>,
        names: &Namespace<'_>,
        evaluator: &mut Evaluator<'_, '_>,
        (node, bus): (NodeId, u8),
        depth: u32,
    ) {
        if let Some(table) = names.child(node, *b"_PRT").filter(|_| !self.described.contains(&bus)) {
            self.described.push(bus);
            if let Some(AmlValue::Package(entries)) = evaluator.value(table, &[]) {
                for entry in entries.iter() {
                    if self.routes.len() < MAX_ROUTES
                        && let Some(route) = route(machine, evaluator, bus, entry)
                    {
                        self.routes.push(route);
                    }
                }
            }
        }
        for child in names.children(node).filter(|_| depth < MAX_BRIDGES) {
            if names.node(child).is_none_or(|node| node.kind != NodeKind::Device) {
                continue;
            }
            let Some(AmlValue::Integer(address)) = evaluator.child(child, b"_ADR") else { continue };
            let at = |bridge: &&PciBridge| {
                let here = u64::from(bridge.device) << 16 | u64::from(bridge.function);
                bridge.bus == bus && here == address
            };
            if let Some(bridge) = self.bridges.iter().find(at).copied() {
                self.bus(machine, names, evaluator, (child, bridge.secondary), depth + 1);
            }
        }
    }
}

/// An entry of `_PRT`: address, pin, source, index into the source.
fn route(
    machine: &MachineInfo<'_>,
    evaluator: &mut Evaluator<'_, '_>,
    bus: u8,
    entry: &AmlValue,
) -> Option<PciRoute> {
    let AmlValue::Package(entry) = entry else { return None };
    let [AmlValue::Integer(address), AmlValue::Integer(pin), source, index, ..] = entry.as_slice() else {
        return None;
    };
    let wire = match (source, index) {
        (AmlValue::Integer(0), AmlValue::Integer(gsi)) => {
            machine.pci_wire(Wire { gsi: u32::try_from(*gsi).ok()?, level: true, low: true })
        }
        (AmlValue::Reference(link), _) => match evaluator.child(*link, b"_CRS")? {
            AmlValue::Bytes(resources) => first_interrupt(machine, &resources)?,
            _ => return None,
        },
        _ => return None,
    };
    let (device, pin) = (u8::try_from(address >> 16).ok()?, u8::try_from(*pin).ok()?);
    (device < 32 && pin < 4).then_some(PciRoute { bus, device, pin, wire })
}

fn is_host_bridge(value: &AmlValue) -> bool {
    match value {
        AmlValue::Integer(id) => HOST_BRIDGES.contains(id),
        AmlValue::Bytes(text) => matches!(&**text, b"PNP0A03" | b"PNP0A08"),
        _ => false,
    }
}

/// The first interrupt of a resource template [ACPI 6.5 6.4.2.1, 6.4.3.6].
fn first_interrupt(machine: &MachineInfo<'_>, resources: &[u8]) -> Option<Wire> {
    let mut rest = resources;
    loop {
        let tag = *rest.first()?;
        let length =
            if tag & 0x80 != 0 { usize::from(u16_at(rest, 1)?) + 3 } else { usize::from(tag & 7) + 1 };
        match (tag & 0x80 != 0, tag) {
            // Extended interrupt descriptor: flags, number of interrupts, interrupts.
            (true, 0x89) if u8_at(rest, 4)? > 0 => {
                let (flags, gsi) = (u8_at(rest, 3)?, u32_at(rest, 5)?);
                return Some(Wire { gsi, level: flags & 0b010 == 0, low: flags & 0b100 != 0 });
            }
            // IRQ descriptor: a mask of ISA interrupts, of which one is in use.
            (false, 0x22 | 0x23) => {
                let line = u16_at(rest, 1)?.trailing_zeros();
                let line = u8::try_from(line).ok().filter(|line| (1..16).contains(line))?;
                return machine.interrupt_line_wire(line);
            }
            // The end.
            (false, 0x78 | 0x79) => return None,
            _ => rest = rest.get(length..)?,
        }
    }
}
