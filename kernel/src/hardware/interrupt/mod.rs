//! Interrupts of the machine: the gates they enter by, the controllers that raise them, and the note that each leaves.

pub mod idt;
pub mod io_apic;
pub mod local_apic;
pub mod messages;
pub mod pending;
pub mod vectors;
