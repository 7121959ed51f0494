//! IOMMUs that firmware left on: the crate `machine` says how they are switched off.

use super::acpi::MachineInfo;
use super::registers::MachineRegisters;
use crate::memory::PageFrames;
use machine::iommu::{self, IommuError, IommuState};

/// Switches off every IOMMU of the machine. Returns false if one may still stand between memory and the NICs.
pub fn switch_off(machine: &MachineInfo, frames: &mut PageFrames) -> bool {
    let mut passes = true;
    for unit in &machine.remapping.units {
        let at = unit.at;
        match iommu::switch_off(*unit, &mut MachineRegisters(Some(frames))) {
            Ok(IommuState::Off) => log::info!("IOMMU at {at} is off"),
            Ok(IommuState::SwitchedOff) => log::info!("IOMMU at {at}: firmware left it on, switched off"),
            Err(error @ IommuError::Absent) => log::warn!("IOMMU at {at}: {error}: taken to be off"),
            Err(error) => {
                log::error!("IOMMU at {at}: {error}: switch it off in the firmware's settings");
                passes = false;
            }
        }
    }
    passes
}
