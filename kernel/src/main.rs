//! Weir: a bare-metal type-1 microhypervisor whose subject is the network of its guests.
//!
//! Folders, each of which imports only those named before it: `processor` (the one that executes this), `log`,
//! `memory`, `hardware` (the machine around the processor), `virt` (the processor's extension for guests),
//! `meeting` (what cores and frames share), `vm` (a guest's machine and what is done about its exits) beside `net`
//! (the way between vNICs and physical NICs), and `shell`. The files of this folder put them together. Code that
//! touches no hardware is in `kernel/crates`.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), no_main)]
// On the host, tests call some of the code only; boot and launch, its callers, are not compiled.
#![cfg_attr(test, allow(dead_code, unused_imports))]

extern crate alloc;

mod processor;

mod log;

mod memory;

mod hardware;

mod virt;

mod meeting;

mod net;
mod vm;

mod shell;

mod boot_core;
mod panic;
mod scheduler;
mod self_test;
mod usage;

#[cfg(not(test))]
mod boot;
#[cfg(not(test))]
mod launch;
