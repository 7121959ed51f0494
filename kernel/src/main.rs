//! Weir: a bare-metal type-1 microhypervisor whose subject is the network of its guests.
//!
//! Folders in the order a frame travels: `virt` (the guest's exit), `vm` (the guest's machine), `net` (the
//! way between vNICs and physical NICs), `hardware` (the machine itself); `memory`, `log`, `shell` and
//! `panic` serve them all. What touches no hardware is in `kernel/crates`.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), no_main)]
// On the host only pure functions are tested: what calls them is not there.
#![cfg_attr(test, allow(dead_code, unused_imports))]

extern crate alloc;

mod hardware;
mod log;
mod memory;
mod net;
mod panic;
mod scheduler;
mod self_test;
mod shell;
mod usage;
mod virt;
mod vm;

#[cfg(not(test))]
mod boot;
#[cfg(not(test))]
mod launch;
