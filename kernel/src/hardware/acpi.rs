//! The firmware's tables in the direct map. What they say is read by the crate `machine`.

use crate::hardware::pci::PciFunction;
use crate::memory::physical;
use base::HostPhysical;
use machine::aml::{PciBridge, PciRoutes};
use machine::{FirmwareMemory, TableFault, Wire};
use spin::Once;

pub use machine::MachineInfo;

struct DirectMap;

impl FirmwareMemory<'static> for DirectMap {
    fn bytes(&self, at: HostPhysical, length: usize) -> Option<&'static [u8]> {
        // SAFETY: the direct map covers these bytes, and the firmware's tables are never written.
        physical::covers(at, length)
            .then(|| unsafe { core::slice::from_raw_parts(physical::pointer(at), length) })
    }
}

/// Reads the tables, and logs what is wrong with them. Without any, Weir runs with what it finds otherwise.
pub fn discover(rsdp: Option<u64>) -> MachineInfo<'static> {
    let machine = MachineInfo::discover(&DirectMap, rsdp.map(HostPhysical)).unwrap_or_else(|error| {
        log::error!("{error}: one processor is used, and NICs without MSI are polled");
        MachineInfo::default()
    });
    for fault in &machine.faults {
        match fault {
            // Frequent, and without consequence.
            TableFault::OddProcessors(_) => log::info!("{fault}"),
            _ => log::warn!("{fault}"),
        }
    }
    machine
}

/// What the firmware's AML says, once a NIC has needed it. Few machines have one that does.
static ROUTES: Once<PciRoutes> = Once::new();

/// The IO-APIC inputs that the interrupt pin of a function may lead to, the likely one first: as the firmware's AML says,
/// then as it recorded in the function's Interrupt Line register. `functions` are all of the machine's.
pub fn wires(
    machine: &MachineInfo,
    function: &PciFunction,
    functions: &[PciFunction],
) -> impl Iterator<Item = Wire> {
    let routes = ROUTES.call_once(|| {
        let bridges = functions.iter().filter(|function| function.is_bridge()).map(|bridge| PciBridge {
            bus: bridge.address.bus(),
            device: bridge.address.device(),
            function: bridge.address.function(),
            secondary: ::pci::bus_below(bridge),
        });
        let routes = PciRoutes::new(machine, bridges.collect());
        if let Some(limit) = routes.limit() {
            log::warn!("not all of the firmware's AML tells where PCI interrupts lead: {limit}");
        }
        routes
    });
    let (at, pin) = (function.address, function.interrupt_pin);
    let recorded = machine.interrupt_line_wire(function.interrupt_line);
    routes.wire(at.bus(), at.device(), pin).into_iter().chain(recorded).filter(move |_| pin != 0)
}
