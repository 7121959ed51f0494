//! The machine around the processor: interrupts, ACPI, PCI, DMA memory, power, and the start of the other cores.

pub mod acpi;
pub mod dma;
pub mod interrupt;
pub mod machine_check;
pub mod pci;
pub mod power;
pub mod rtc;
#[cfg(not(test))]
pub mod startup;
