//! The devices on a guest's board. Each chip is a model of its data sheet alone; [`interrupts`] wires the
//! interrupt controllers together and [`pc`] the whole board.

pub mod interrupts;
pub mod io_apic;
pub mod local_apic;
pub mod message;
pub mod pc;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod power;
pub mod rtc;
mod ticks;
pub mod uart;
