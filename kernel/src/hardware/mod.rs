//! The machine itself: processor, interrupts, ACPI, PCI, DMA memory, clock.

pub mod acpi;
pub mod clock;
pub mod cores;
pub mod cpu;
pub mod descriptors;
pub mod dma;
pub mod interrupt_controllers;
pub mod interrupts;
pub mod io_apic;
pub mod messages;
pub mod pci;
pub mod power;
pub mod rtc;
#[cfg(not(test))]
pub mod startup;
