//! The machine's IO-APICs [82093AA].
//!
//! A level-triggered line stays asserted until the driver of its device has worked on the cause, long after the
//! local APIC was told of the interrupt's end: the IO-APIC would send the interrupt again at once, and the processor
//! take it again and again without executing anything in between. So the line is held, masked, from its interrupt
//! until a driver has found its device's causes, or for a while where none has any.

use super::acpi::Machine;
use super::interrupt_controllers;
use crate::memory::Frames;
use crate::memory::window::{self, Window, WindowError};
use config::MAX_NICS;
use spin::Mutex;

const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const LOW: u32 = 1 << 13;
const VERSION: u32 = 1;
/// Low and high half of the redirection entry of input 0; each input has two registers.
const ENTRY: u32 = 0x10;
const DESTINATION: u32 = 0x11;

/// All of them. Interrupt handlers take this lock as well: interrupts are off wherever it is held, as everywhere in
/// Weir but where it waits for them.
static IO_APICS: Mutex<IoApics> =
    Mutex::new(IoApics { apics: heapless::Vec::new(), lines: heapless::Vec::new() });

struct IoApics {
    apics: heapless::Vec<IoApic, 8>,
    lines: heapless::Vec<Line, MAX_NICS>,
}

struct IoApic {
    registers: Window,
    first: u32,
    count: u32,
}

/// A level-triggered input in use.
struct Line {
    vector: u8,
    apic: Window,
    input: u32,
    entry: u32,
    held: bool,
}

/// Index and data registers [82093AA 3.1].
fn write(registers: &mut Window, register: u32, value: u32) {
    registers.write(0x00, register);
    registers.write(0x10, value);
}

/// Maps the IO-APICs and masks every input.
///
/// # Errors
/// When their registers cannot be mapped.
pub fn init(machine: &Machine, frames: &mut Frames) -> Result<(), WindowError> {
    let mut all = IO_APICS.lock();
    for apic in &machine.io_apics {
        let mut registers = window::map(frames, apic.address, 0x20)?;
        registers.write(0x00, VERSION);
        let count = (registers.read(0x10) >> 16 & 0xff) + 1;
        for input in 0..count {
            write(&mut registers, ENTRY + 2 * input, MASKED);
        }
        // As many as the list it comes from.
        let _ = all.apics.push(IoApic { registers, first: apic.gsi_base, count });
    }
    Ok(())
}

/// Has `vector` raised on this processor by an ISA interrupt, with the MADT's overrides.
pub fn route_isa(machine: &Machine, isa: u8, vector: u8) -> bool {
    let wired = machine.overrides.iter().find(|o| o.isa == isa);
    let (gsi, flags) = wired.map_or((isa.into(), 0), |o| (o.gsi, o.flags));
    route(gsi, vector, flags & 0b1100 == 0b1100, flags & 0b11 == 0b11)
}

/// Has `vector` raised by the PCI interrupt that firmware wired to `line`: level and active low, unless
/// the MADT says otherwise of the ISA interrupt of that number.
pub fn route_pci(machine: &Machine, line: u8, vector: u8) -> bool {
    let wired = machine.overrides.iter().find(|o| u32::from(o.isa) == u32::from(line));
    let (gsi, flags) = wired.map_or((line.into(), 0b1111), |o| (o.gsi, o.flags));
    route(gsi, vector, flags & 0b1100 != 0b0100, flags & 0b11 != 0b01)
}

fn route(gsi: u32, vector: u8, level: bool, low: bool) -> bool {
    let IoApics { apics, lines } = &mut *IO_APICS.lock();
    let Some(apic) = apics.iter_mut().find(|apic| gsi >= apic.first && gsi - apic.first < apic.count) else {
        return false;
    };
    let input = gsi - apic.first;
    let entry = u32::from(vector) | if low { LOW } else { 0 } | if level { LEVEL } else { 0 };
    let line = Line { vector, apic: apic.registers, input, entry, held: false };
    if level && lines.push(line).is_err() {
        return false;
    }
    write(&mut apic.registers, DESTINATION + 2 * input, interrupt_controllers::id() << 24);
    write(&mut apic.registers, ENTRY + 2 * input, entry);
    true
}

/// Holds the line that has raised `vector`, if it is level-triggered. Comes before the end of the interrupt.
pub fn hold(vector: u8) {
    set_held(vector, true);
}

/// Lets the line of `vector` through again: at once, if it is asserted.
pub fn release(vector: u8) {
    set_held(vector, false);
}

fn set_held(vector: u8, held: bool) {
    let mut all = IO_APICS.lock();
    if let Some(line) = all.lines.iter_mut().find(|line| line.vector == vector && line.held != held) {
        line.held = held;
        write(&mut line.apic, ENTRY + 2 * line.input, line.entry | if held { MASKED } else { 0 });
    }
}
