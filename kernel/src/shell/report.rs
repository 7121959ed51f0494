//! The shell's reports about the machine, the VMs and the network.

use super::say::say;
use crate::log::{counts, output, serial};
use crate::meeting::directory;
use crate::memory::heap;
use crate::net::Network;
use crate::processor::cores;
use ::shell::VmState;
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
        let unusable = vm.state == VmState::Unusable;
        let reason = if unusable { directory::reason(number) } else { directory::Reason::new() };
        let row = VmRow {
            name: vm.name,
            state: &vm.state,
            cpu: vm.core,
            memory: vm.memory_bytes >> 20,
            vnics: vm.vnics,
            exits: vm.exits,
            keyboard: Some(number) == keyboard,
            reason: &reason,
        };
        say!("{row}");
    }
}

/// `vm status`.
pub(super) fn vm(number: usize) {
    let Some(vm) = directory::summary(number) else { return };
    let (memory, reason) = (vm.memory_bytes >> 20, directory::reason(number));
    say!(
        "{}: {}, core {}, {memory} MiB, vNICs {}, starts {}",
        vm.name,
        vm.state,
        vm.core,
        vm.vnics,
        vm.starts
    );
    if !reason.is_empty() {
        let why = if vm.state == VmState::Unusable { "why" } else { "last stop" };
        say!("{}: {why}: {reason}", vm.name);
    }
}

/// `net nics`.
pub(super) fn nics(network: &Network) {
    say!("{}", NicRow::HEADING);
    network.for_each_nic(|row| say!("{row}"));
}

/// `net vms`.
pub(super) fn vnics(network: &Network) {
    say!("{}", VnicRow::HEADING);
    for slot in network.vnics() {
        let Some(vm) = directory::summary(slot.guest) else { continue };
        let (link, drops) = (slot.has_link(), network.dropped_at(slot));
        let engine = slot.engine();
        let counters = engine.counters();
        let row = VnicRow {
            vm: vm.name,
            number: slot.number(),
            mac: &slot.mac,
            uplink: slot.uplink.as_deref(),
            link,
            transmitted: counters.transmitted,
            received: counters.received,
            drops: counters.dropped() + drops,
        };
        say!("{row}");
    }
}

/// `stats`.
pub(super) fn machine(machine: &MachineSummary, now: Instant) {
    let (used, size) = heap::usage();
    say!("up {now} s, processors {}, of which Weir uses {}", machine.processors, cores::count());
    let (memory, left) = (machine.memory >> 20, machine.memory_left >> 20);
    say!("memory {memory} MiB, not assigned {left} MiB, heap {} of {} KiB", used >> 10, size >> 10);
    let overruns = serial::overruns();
    say!("serial line: lines lost {}, overruns of typed bytes {overruns}", output::lost());
    for vm in directory::all() {
        let (seconds, millis) = (vm.run_nanos / 1_000_000_000, vm.run_nanos / 1_000_000 % 1000);
        say!("{}: starts {}, ran {seconds}.{millis:03} s, exits {}", vm.name, vm.starts, vm.exits);
    }
}

/// The part of `stats VM` that is known without the VM's core.
pub(super) fn vnic_statistics(network: &Network, vm: usize) {
    for slot in network.vnics().filter(|slot| slot.guest == vm) {
        say!("vnic {}:{}", slot.mac, counts(slot.engine().counters().named()));
        network.with_port_counters(slot, |port| {
            say!("switch port of {}:{}", slot.mac, counts(port.named()));
        });
    }
}
