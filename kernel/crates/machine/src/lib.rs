//! What the machine is made of, as far as it can be known without touching it: the firmware's tables, and the decisions
//! that they and a few registers lead to.
//!
//! * [`MachineInfo`]: what the ACPI tables say of processors, interrupt controllers, timers, IOMMUs, power.
//! * [`aml`]: the part of AML that says how PCI interrupt pins are wired, evaluated within bounds.
//! * [`calibration`], [`timers`]: the frequency of the time-stamp counter, by a timer and by what the processor says.
//! * [`counters`]: how far the time-stamp counters of two cores are apart.
//! * [`apic_mode`]: which mode the local APICs run in.
//! * [`iommu`]: switching an IOMMU off that firmware left on.
//! * [`power`]: the register writes that switch the machine off or reset it.
//!
//! Every byte of a table may be wrong. Nothing here panics on one, and all work is bounded by the tables' length or by a
//! constant. Nothing here touches hardware: registers, ports and counters are parameters.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod aml;
pub mod apic_mode;
mod bytes;
pub mod calibration;
pub mod counters;
mod fadt;
mod info;
mod io;
pub mod iommu;
mod madt;
mod other_tables;
pub mod power;
mod tables;
pub mod timers;

pub use fadt::{Fadt, Register};
pub use info::{MachineInfo, Wire};
pub use io::MachineIo;
pub use madt::{IoApicInfo, MAX_PROCESSORS, Madt, SourceOverride};
pub use other_tables::{IommuKind, IommuUnit, IommuUnits, Remapping};
pub use tables::{FirmwareMemory, RootError, Signature, TableFault, TableFaults, Tables};
