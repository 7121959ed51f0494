//! Interrupts of the machine: the IDT, the interrupt controllers, and the record of pending interrupts.

pub mod idt;
pub mod io_apic;
pub mod local_apic;
pub mod pending;
pub mod vectors;
