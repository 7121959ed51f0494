//! The machine around the processor: interrupts, ACPI, PCI, DMA memory, power, and the start of the other cores.

pub mod acpi;
#[cfg(not(test))]
mod counters;
pub mod interrupt;
pub mod iommu;
pub mod machine_check;
pub mod pci;
pub mod power;
mod registers;
pub mod rtc;
#[cfg(not(test))]
mod start_page;
#[cfg(not(test))]
pub mod startup;
pub mod timers;
