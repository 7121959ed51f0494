//! Power-off and reset of the machine itself: the crate `machine` says which registers do it.

use super::acpi::MachineInfo;
use super::registers::MachineRegisters;
use crate::log::output;
use crate::memory::PageFrames;
use crate::processor::cpu;
use machine::power::{self, PowerSteps};
use spin::Once;

static OFF: Once<PowerSteps> = Once::new();
static RESET: Once<PowerSteps> = Once::new();

/// Saves how to switch this machine off, and how to reset it.
pub fn init(machine: &MachineInfo, frames: &mut PageFrames) {
    let off = OFF.call_once(|| power::off(&machine.fadt, machine.sleep_types));
    if off.is_empty() {
        log::warn!("the firmware describes no way to switch the machine off: it will only halt");
    }
    let reset = RESET.call_once(|| power::reset(&machine.fadt));
    for at in power::memory_registers(off).chain(power::memory_registers(reset)) {
        MachineRegisters(Some(frames)).page(at);
    }
}

/// Enters S5, soft off. Halts if the firmware describes no way to do so.
pub fn off() -> ! {
    output::flush();
    power::take(OFF.get().map_or(&[], |steps| steps), &mut MachineRegisters(None));
    cpu::halt_forever()
}

/// Resets the machine: as the firmware describes, else as chipsets do, else by the processor alone.
pub fn reset() -> ! {
    output::flush();
    power::take(RESET.get().map_or(&[], |steps| steps), &mut MachineRegisters(None));
    cpu::triple_fault()
}
