//! The machine's IO-APICs, which work like Intel's 82093AA.
//!
//! A level-triggered line stays asserted until the driver of its device has handled the cause, long after the
//! end of interrupt at the local APIC. The IO-APIC would send the interrupt again at once, and the processor
//! would take it again and again without executing anything else. So the line is masked when it interrupts,
//! until a driver has read the causes from its device, or for a while if no device on the line has any.

use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::local_apic;
use crate::memory::PageFrames;
use crate::memory::window::{self, RegisterWindow, WindowError};
use config::MAX_NICS;
use machine::Wire;
use spin::Mutex;

const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const LOW: u32 = 1 << 13;
const VERSION: u32 = 1;
/// Low and high halves of the redirection entry of input 0; each input has two registers.
const ENTRY: u32 = 0x10;
const DESTINATION: u32 = 0x11;
const MOST_INPUTS: u32 = 120;

/// All IO-APICs. Interrupt handlers take this lock as well: interrupts are off wherever it is held, as they are
/// everywhere in Weir except where it waits for them.
static IO_APICS: Mutex<IoApics> =
    Mutex::new(IoApics { apics: heapless::Vec::new(), lines: heapless::Vec::new() });

struct IoApics {
    apics: heapless::Vec<MappedIoApic, 8>,
    lines: heapless::Vec<RoutedLine, MAX_NICS>,
}

struct MappedIoApic {
    registers: RegisterWindow,
    first: u32,
    count: u32,
}

/// A level-triggered input in use.
struct RoutedLine {
    vector: u8,
    apic: RegisterWindow,
    input: u32,
    entry: u32,
    masked: bool,
}

/// Writes a register through the index and data registers [82093AA 3.1].
fn write(registers: &mut RegisterWindow, register: u32, value: u32) {
    registers.write(0x00, register);
    registers.write(0x10, value);
}

/// Maps the IO-APICs and masks every input.
///
/// # Errors
/// When their registers cannot be mapped.
pub fn init(machine: &MachineInfo, frames: &mut PageFrames) -> Result<(), WindowError> {
    let mut all = IO_APICS.lock();
    for apic in &machine.madt.io_apics {
        let mut registers = window::map(frames, apic.address, 0x20)?;
        registers.write(0x00, VERSION);
        let version = registers.read(0x10);
        // Each input has two registers of the 256 that can be selected.
        let count = ((version >> 16 & 0xff) + 1).min(MOST_INPUTS);
        if version == u32::MAX {
            log::warn!("no IO-APIC answers at {}, where the firmware's MADT names one", apic.address);
            continue;
        }
        for input in 0..count {
            write(&mut registers, ENTRY + 2 * input, MASKED);
        }
        // Has as much room as the list it comes from.
        let _ = all.apics.push(MappedIoApic { registers, first: apic.gsi_base, count });
    }
    Ok(())
}

/// Routes an interrupt to `vector` on this processor. Returns false if no IO-APIC has its input, no route is left, or
/// the processor's id does not fit into a route.
pub fn route(wire: Wire, vector: u8) -> bool {
    let Wire { gsi, level, low } = wire;
    let Some(id) = u8::try_from(local_apic::id()).ok().filter(|id| *id != u8::MAX) else { return false };
    let IoApics { apics, lines } = &mut *IO_APICS.lock();
    let Some(apic) = apics.iter_mut().find(|apic| gsi >= apic.first && gsi - apic.first < apic.count) else {
        return false;
    };
    let input = gsi - apic.first;
    let entry = u32::from(vector) | if low { LOW } else { 0 } | if level { LEVEL } else { 0 };
    let line = RoutedLine { vector, apic: apic.registers, input, entry, masked: false };
    if level && lines.push(line).is_err() {
        return false;
    }
    write(&mut apic.registers, DESTINATION + 2 * input, u32::from(id) << 24);
    write(&mut apic.registers, ENTRY + 2 * input, entry);
    true
}

/// Masks the line that has raised `vector`, if it is level-triggered. Call it before the end of interrupt.
pub fn mask(vector: u8) {
    set_masked(vector, true);
}

/// Unmasks the line of `vector`. If it is still asserted, it interrupts at once.
pub fn unmask(vector: u8) {
    set_masked(vector, false);
}

fn set_masked(vector: u8, masked: bool) {
    let mut all = IO_APICS.lock();
    if let Some(line) = all.lines.iter_mut().find(|line| line.vector == vector && line.masked != masked) {
        line.masked = masked;
        write(&mut line.apic, ENTRY + 2 * line.input, line.entry | if masked { MASKED } else { 0 });
    }
}
