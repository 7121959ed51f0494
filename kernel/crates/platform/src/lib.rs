//! The rest of a guest's PC as pure models, in three parts on common ground:
//!
//! - `chips`: the devices on the board. [`interrupts`] ([`local_apic`], [`io_apic`], [`pic`]), timers
//!   ([`pit`], [`rtc`]), [`uart`], [`pci`], [`power`], and [`pc`], which wires them together.
//! - `firmware`: what firmware and a boot loader leave in memory. [`acpi`] tables and [`boot`] structures.
//! - `policy`: what the guest sees of the processor. [`cpuid`], [`msr`], [`controls`], [`control_registers`],
//!   [`clock`] and [`guest_paging`].
//!
//! All three take addresses, ports and interrupt numbers from [`layout`].
//!
//! [`pc::Pc`] is one guest's board and the only type that the kernel drives at run time; [`boot`] prepares
//! the guest's memory before the first instruction. Models hold no clock, lock or callback: `now` is a
//! parameter, and the consequences of an access come back as [`base::Effects`]. Memory is allocated at
//! construction only.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests cast their own numbers, and a lost bit makes them fail"
    )
)]

extern crate alloc;

mod chips;
mod firmware;
pub mod layout;
mod policy;

pub use chips::{interrupts, io_apic, local_apic, message, pc, pci, pic, pit, power, rtc, uart};
pub use firmware::{acpi, boot};
pub use policy::{clock, control_registers, controls, cpuid, guest_paging, msr};
