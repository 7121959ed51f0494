//! The micro-guests' library: entry code, console, traps, timers, PCI, a small e1000 driver, power-off.
//!
//! A micro-guest is a program that tests one behaviour. It prints `PASS name`, or `FAIL` with the reason, on COM1
//! and powers the machine off. Weir starts it with the 64-bit Linux boot protocol. The same file also starts on
//! plain QEMU (`qemu-system-x86_64 -kernel`, through its PVH note): a guest that passes there and fails under Weir
//! has found an error of Weir.
//!
//! Register numbers are written down here on purpose and not taken from `intel-regs`: the guests are an
//! independent witness that must not share an error with the model that they test.
#![cfg_attr(target_os = "none", no_std)]

pub mod acpi;
pub mod apic;
pub mod boot;
pub mod command_line;
pub mod console;
pub mod descriptor;
pub mod e1000;
pub mod io_apic;
pub mod load;
pub mod mmio;
pub mod net;
pub mod numbered;
pub mod pci;
pub mod pic;
pub mod ports;
pub mod processor;
pub mod stack;
pub mod trap;

pub use boot::Boot;

/// The guest has failed, and the reason has been printed in a `FAIL` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// The return type of a micro-guest's `main`.
pub type Verdict = Result<(), Failed>;

/// Defines the guest's name and its main function, which runs once, with interrupts disabled.
#[macro_export]
macro_rules! guest {
    ($name:literal, $main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn micro_start(protocol: u64, info: u64) -> ! {
            $crate::boot::run($name, protocol, info, $main)
        }
    };
}
