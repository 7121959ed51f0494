//! The shell's reports about the machine, the VMs and the network.

use super::say::say;
use crate::log::{counts, output, serial};
use crate::meeting::directory;
use crate::memory::heap;
use crate::net::Network;
use crate::processor::cores;
use ::shell::{NicRow, VmRow, VnicRow};
use base::Instant;

/// What does not change after boot.
#[derive(Clone, Copy, Debug)]
pub struct MachineSummary {
    /// Bytes of memory that were usable at the start.
    pub memory: u64,
    /// Bytes that were not handed out.
    pub memory_left: u64,
    /// Processors that the firmware lists.
    pub processors: usize,
}

/// `vm list`.
pub(super) fn vms(keyboard: Option<usize>) {
    say!("{}", VmRow::HEADING);
    for (number, vm) in directory::all().enumerate() {
        say!("{}", vm.row(Some(number) == keyboard, &directory::reason(number)));
    }
}

/// `vm status`.
pub(super) fn vm(number: usize) {
    let Some(vm) = directory::summary(number) else { return };
    vm.tell_status(&directory::reason(number), &mut output::shell_line);
}

/// `net nics`.
pub(super) fn nics(network: &Network) {
    say!("{}", NicRow::HEADING);
    network.for_each_nic(|row| say!("{row}"));
}

/// `net vms`.
pub(super) fn vnics(network: &Network) {
    say!("{}", VnicRow::HEADING);
    network.for_each_vnic(|row| say!("{row}"));
}

/// `stats`.
pub(super) fn machine(machine: &MachineSummary, now: Instant) {
    let (used, size) = heap::usage();
    say!("up {now} s, processors {}, of which Weir uses {}", machine.processors, cores::count());
    let (memory, left) = (machine.memory >> 20, machine.memory_left >> 20);
    say!("memory {memory} MiB, not assigned {left} MiB, heap {} of {} KiB", used >> 10, size >> 10);
    let overruns = serial::overruns();
    say!("serial line: lines lost {}, overruns of typed bytes {overruns}", output::lost());
    directory::all().for_each(|vm| vm.tell_usage(&mut output::shell_line));
}

/// The part of `stats VM` that is known without the VM's core.
pub(super) fn vnic_statistics(network: &Network, vm: usize) {
    for slot in network.vnics_of(vm) {
        say!("vnic {}:{}", slot.mac, counts(slot.engine().counters().named()));
        network.with_port_counters(slot, |port| {
            say!("switch port of {}:{}", slot.mac, counts(port.named()));
        });
    }
}
