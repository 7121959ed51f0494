//! The firmware's tables: a root that is right, and tables of any contents behind it.

use crate::Input;
use base::HostPhysical;
use machine::aml::{PciBridge, PciRoutes};
use machine::{FirmwareMemory, MachineInfo, power};

/// Where the memory begins that can be read.
const START: u64 = 0x1000;
/// Most tables of an input.
const TABLES: usize = 12;
const NAMES: [&[u8; 4]; 8] = [b"APIC", b"FACP", b"SSDT", b"DSDT", b"DMAR", b"IVRS", b"MCFG", b"HPET"];

struct Memory(Vec<u8>);

impl<'a> FirmwareMemory<'a> for &'a Memory {
    fn bytes(&self, at: HostPhysical, length: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(at.0.checked_sub(START)?).ok()?;
        self.0.get(start..start.checked_add(length)?)
    }
}

/// For each table a byte that chooses its name, a byte for its length in units of two bytes, and its body after the
/// header. If the first byte is odd, the rest is memory as it is, with the root at its start.
///
/// # Panics
/// When a processor is listed twice, or a wire leads from a pin that does not exist.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = if input.u8() & 1 == 1 { Memory(input.rest().to_vec()) } else { memory(&mut input) };
    let Ok(machine) = MachineInfo::discover(&&memory, Some(HostPhysical(START))) else { return };
    let processors = &machine.madt.processors;
    for (index, id) in processors.iter().enumerate() {
        assert!(!processors[..index].contains(id), "processor {id} twice");
    }
    for fault in &machine.faults {
        assert!(!fault.to_string().is_empty());
    }
    let bridges = vec![
        PciBridge { bus: 0, device: 1, function: 0, secondary: 1 },
        PciBridge { bus: 1, device: 0, function: 0, secondary: 1 },
    ];
    let routes = PciRoutes::new(&machine, bridges);
    assert!(routes.wire(0, 3, 0).is_none() && routes.wire(0, 3, 5).is_none());
    let _ =
        (routes.wire(0, 3, 1), routes.wire(1, 0, 4), machine.interrupt_line_wire(11), machine.isa_wire(0));
    let _ = (power::off(&machine.fadt, machine.sleep_types), power::reset(&machine.fadt));
}

fn memory(input: &mut Input<'_>) -> Memory {
    let mut tables: Vec<Vec<u8>> = Vec::new();
    while !input.is_empty() && tables.len() < TABLES {
        let name = input.choose(&NAMES);
        let length = 2 * usize::from(input.u8());
        let body = input.bytes(length);
        tables.push(table(name, body));
    }
    let mut at = START + 36 + 36 + 8 * tables.len() as u64;
    let mut entries = Vec::new();
    for table in &mut tables {
        if table.starts_with(b"FACP") && table.len() >= 148 {
            // The last table may be a DSDT.
            let next = at + table.len() as u64;
            table[140..148].copy_from_slice(&next.to_le_bytes());
        }
        entries.extend(at.to_le_bytes());
        at += table.len() as u64;
    }
    let xsdt = START + 36;
    let mut rsdp = [&b"RSD PTR "[..], &[0], b"FUZZER", &[2], &[0; 4], &36u32.to_le_bytes()].concat();
    rsdp.extend(xsdt.to_le_bytes());
    rsdp.extend([0; 4]);
    rsdp[8] = rsdp[..20].iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    Memory([rsdp, table(b"XSDT", &entries), tables.concat()].concat())
}

fn table(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&name[..], &(36 + body.len() as u32).to_le_bytes(), &[0; 28], body].concat()
}
