//! The rest of a guest's PC, as pure models: interrupt controllers, timers, UART, RTC, PCI configuration
//! space, ACPI tables, power, boot, and what the guest sees of CPUID and model-specific registers.
//!
//! [`pc::Pc`] is one guest's board and the only type the kernel drives at run time; [`boot`] prepares the
//! guest's memory before the first instruction. Models hold no clock, lock or callback: `now` is a
//! parameter, and what an access sets in motion comes back as [`base::Effects`]. Memory is allocated at
//! construction only.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod boot;
pub mod cpuid;
pub mod interrupts;
pub mod io_apic;
pub mod layout;
pub mod local_apic;
pub mod message;
pub mod msr;
pub mod pc;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod power;
pub mod rtc;
pub mod uart;
