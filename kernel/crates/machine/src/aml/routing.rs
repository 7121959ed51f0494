//! Which input of an IO-APIC each PCI interrupt pin is wired to: `_PRT` of host bridges and bridges
//! [ACPI 6.5 6.2.13], and the link devices that it names [ACPI 6.5 6.2.13.1].

use super::bounds::{AmlLimit, Bounds, MAX_ROUTES};
use super::evaluate::Evaluator;
use super::namespace::{Namespace, NodeId, NodeKind, ROOT};
use super::value::{AmlValue, data};
use crate::bytes::{u8_at, u16_at, u32_at};
use crate::info::{MachineInfo, Wire};
use alloc::vec::Vec;

/// Host bridges of PCI and of PCI Express: `_HID` or `_CID` PNP0A03, PNP0A08, as EISA ids.
const HOST_BRIDGES: [u64; 2] = [0x030a_d041, 0x080a_d041];
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
    described: heapless::Vec<u8, BUSES>,
    limit: Option<AmlLimit>,
    steps: u32,
}

const BUSES: usize = 256;

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
        for id in names.all().filter(|id| is_host_bridge(&names, *id)) {
            found.host_bridge(machine, &names, &mut evaluator, id);
        }
        let (limit, steps) = (names.bounds.reached(), names.bounds.steps());
        if limit == Some(AmlLimit::Steps) {
            // A bus whose own `_PRT` has not been reached would be taken for one that has none.
            found = Self::default();
        }
        Self { limit, steps, ..found }
    }

    /// Why not all of the AML was followed, if so.
    #[must_use]
    pub fn limit(&self) -> Option<AmlLimit> {
        self.limit
    }

    /// Steps that it took; [`AmlLimit::Steps`] says of how many.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
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

    /// Adds the routes of a host bridge's buses, if they are in segment 0.
    fn host_bridge<'a>(
        &mut self,
        machine: &MachineInfo<'_>,
        names: &Namespace<'a>,
        evaluator: &mut Evaluator<'_, 'a>,
        root: NodeId,
    ) {
        // A bridge without such a number has 0 [ACPI 6.5 6.5.5, 6.5.6].
        let mut number = |name: &[u8; 4]| match names.child(root, *name) {
            Some(_) => match evaluator.child(root, name)? {
                AmlValue::Integer(value) => u8::try_from(value).ok(),
                _ => None,
            },
            None => Some(0),
        };
        if let (Some(0), Some(bus)) = (number(b"_SEG"), number(b"_BBN")) {
            self.bus(machine, names, evaluator, (root, bus), 0);
        }
    }

    /// Adds the routes of a bus and of the buses behind it.
    fn bus<'a>(
        &mut self,
        machine: &MachineInfo<'_>,
        names: &Namespace<'a>,
        evaluator: &mut Evaluator<'_, 'a>,
        (node, bus): (NodeId, u8),
        depth: u32,
    ) {
        if let Some(table) = names.child(node, *b"_PRT")
            && self.is_new(&names.bounds, bus)
        {
            // There is room for all.
            let _ = self.described.push(bus);
            if let Some(AmlValue::Package(entries)) = evaluator.value(table, &[]) {
                for entry in entries.elements(names) {
                    if let Some(route) = route(machine, names, evaluator, bus, entry)
                        && self.keep(names, route).is_none()
                    {
                        break;
                    }
                }
            }
        }
        for child in names.children(node).filter(|_| depth < MAX_BRIDGES) {
            if names.node(child).is_none_or(|node| node.kind != NodeKind::Device) {
                continue;
            }
            let Some(AmlValue::Integer(address)) = evaluator.child(child, b"_ADR") else { continue };
            if let Some(bridge) = self.bridge(&names.bounds, bus, address) {
                self.bus(machine, names, evaluator, (child, bridge.secondary), depth + 1);
            }
        }
    }

    /// True if no `_PRT` of this bus has been found yet.
    fn is_new(&self, bounds: &Bounds, bus: u8) -> bool {
        bounds.spend_bytes(self.described.len()).is_some() && !self.described.contains(&bus)
    }

    /// The bridge on this bus with this `_ADR` [ACPI 6.5 6.1.1].
    fn bridge(&self, bounds: &Bounds, bus: u8, address: u64) -> Option<PciBridge> {
        bounds.spend_bytes(size_of_val(&self.bridges[..]))?;
        let at = |bridge: &&PciBridge| {
            let here = u64::from(bridge.device) << 16 | u64::from(bridge.function);
            bridge.bus == bus && here == address
        };
        self.bridges.iter().find(at).copied()
    }

    fn keep(&mut self, names: &Namespace<'_>, route: PciRoute) -> Option<()> {
        if self.routes.len() == MAX_ROUTES {
            return names.bounds.reach(AmlLimit::Routes);
        }
        if self.routes.try_reserve(1).is_err() {
            return names.bounds.reach(AmlLimit::Memory);
        }
        self.routes.push(route);
        Some(())
    }
}

/// An entry of `_PRT`: address, pin, source, index into the source.
fn route<'a>(
    machine: &MachineInfo<'_>,
    names: &Namespace<'a>,
    evaluator: &mut Evaluator<'_, 'a>,
    bus: u8,
    entry: AmlValue<'a>,
) -> Option<PciRoute> {
    let AmlValue::Package(entry) = entry else { return None };
    let mut elements = entry.elements(names);
    let AmlValue::Integer(address) = elements.next()? else { return None };
    let AmlValue::Integer(pin) = elements.next()? else { return None };
    let (source, index) = (elements.next()?, elements.next()?);
    let wire = match (source, index) {
        (AmlValue::Integer(0), AmlValue::Integer(gsi)) => {
            machine.pci_wire(Wire { gsi: u32::try_from(gsi).ok()?, level: true, low: true })
        }
        (AmlValue::Reference(link), _) => match evaluator.child(link, b"_CRS")? {
            AmlValue::Bytes(resources) => first_interrupt(machine, &names.bounds, resources)?,
            _ => return None,
        },
        _ => return None,
    };
    let (device, pin) = (u8::try_from(address >> 16).ok()?, u8::try_from(pin).ok()?);
    (device < 32 && pin < 4).then_some(PciRoute { bus, device, pin, wire })
}

/// True for a place with the `_HID` or a `_CID` of a host bridge. The former is an integer or a string, the latter may be a
/// package of them, as that of a host bridge of Compute Express Link is [ACPI 6.5 6.1.2, 6.1.5]. They are read and not
/// evaluated: a method that computes what kind of device it belongs to is none of a host bridge.
fn is_host_bridge(names: &Namespace<'_>, place: NodeId) -> bool {
    let written = |name: [u8; 4]| {
        let node = names.child(place, name).and_then(|id| names.node(id))?;
        Some(data(names, place, node.code).filter(|_| node.kind == NodeKind::Name)?.0)
    };
    let compatible = |id| match id {
        AmlValue::Package(ids) => ids.elements(names).any(|id| means_host_bridge(&id)),
        id => means_host_bridge(&id),
    };
    written(*b"_HID").is_some_and(|id| means_host_bridge(&id)) || written(*b"_CID").is_some_and(compatible)
}

fn means_host_bridge(value: &AmlValue<'_>) -> bool {
    match value {
        AmlValue::Integer(id) => HOST_BRIDGES.contains(id),
        AmlValue::Bytes(text) => matches!(*text, b"PNP0A03" | b"PNP0A08"),
        _ => false,
    }
}

/// The first interrupt of a resource template [ACPI 6.5 6.4.2.1, 6.4.3.6]. Each descriptor costs a step: the template may be a
/// value that was found once and is asked for again and again.
fn first_interrupt(machine: &MachineInfo<'_>, bounds: &Bounds, resources: &[u8]) -> Option<Wire> {
    let mut rest = resources;
    loop {
        bounds.spend(1)?;
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
