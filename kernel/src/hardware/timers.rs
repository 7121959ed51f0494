//! How fast the time-stamp counter is: by the machine's timers, and by what CPUID says.

use super::acpi::MachineInfo;
use super::registers::MachineRegisters;
use crate::memory::PageFrames;
use crate::processor::cpu;
use machine::calibration::{Chosen, FrequencyLeaves};
use machine::timers;

/// There is nothing to tell the time with.
#[derive(Debug, thiserror::Error)]
#[error(
    "no timer counts (ACPI PM timer, HPET, PIT), and CPUID does not tell the TSC's frequency: Weir has no clock"
)]
pub struct NoClock;

/// Finds the frequency of the time-stamp counter.
///
/// # Errors
/// When nothing tells it.
pub fn tsc_frequency(machine: &MachineInfo, frames: &mut PageFrames) -> Result<Chosen, NoClock> {
    let registers = &mut MachineRegisters(Some(frames));
    let leaves = FrequencyLeaves::read(|leaf| {
        let leaf = cpu::cpuid(leaf, 0);
        [leaf.eax, leaf.ebx, leaf.ecx]
    });
    let failed = &mut |name, error| log::info!("the {name} does not serve as a clock: {error}");
    let chosen = timers::tsc_frequency(machine, leaves, registers, failed).ok_or(NoClock)?;
    if chosen.is_doubtful() {
        log::warn!("no two measurements of the TSC agree: the clock may be wrong");
    }
    Ok(chosen)
}
