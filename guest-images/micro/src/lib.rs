//! What the micro-guests share: the entry, the console, traps, timers, PCI, a small e1000 driver, power-off.
//!
//! A micro-guest is one program that shows one behaviour. It prints `PASS name`, or `FAIL` and the reason, on
//! COM1 and powers the machine off. Weir starts it by the 64-bit Linux boot protocol. The same file also starts
//! on a plain QEMU (`qemu-system-x86_64 -kernel`, by its PVH note): what passes there and fails under Weir
//! is Weir's fault.
//!
//! Register numbers stand here on purpose and are not taken from `intel-regs`: the guests are a witness that
//! must not share a mistake with the model that they test.
#![cfg_attr(target_os = "none", no_std)]

pub mod acpi;
pub mod apic;
pub mod boot;
pub mod command_line;
pub mod console;
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

/// A reason was printed as a `FAIL` line: there is nothing left to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// What a micro-guest's `main` returns.
pub type Verdict = Result<(), Failed>;

/// Names the guest and its main function, which runs once with interrupts off.
#[macro_export]
macro_rules! guest {
    ($name:literal, $main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn micro_start(protocol: u64, info: u64) -> ! {
            $crate::boot::run($name, protocol, info, $main)
        }
    };
}
