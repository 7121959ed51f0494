//! Counters of a guest's costs: exits by kind, interrupts, and time in Weir and in the guest.

use super::Vm;
use crate::meeting::directory;
use crate::virt::VirtualCpu;
use crate::virt::exit::{Exit, KINDS};
use base::Duration;
use core::fmt;
use schedule::ExitStatistics;

/// The exits of one virtual processor, and the time between them.
pub(super) type ExitCounts = ExitStatistics<KINDS>;

/// Exits that the guest has caused itself, as far as their kind says.
pub(super) fn caused(exits: &ExitCounts) -> u64 {
    let others = [Exit::HostInterrupt, Exit::Timer, Exit::InterruptWindow, Exit::NmiWindow];
    exits.beside(&others.map(|exit| exit.kind().0))
}

/// What one guest has used and done, besides its exits.
#[derive(Default)]
pub(super) struct Statistics {
    /// Processor time that it, or Weir on its behalf, has used.
    pub(super) run_time: Duration,
    /// Accesses to addresses that are neither memory nor a device.
    pub(super) unmapped: u64,
    /// Instructions on devices that Weir does not emulate: the guest got an exception.
    pub(super) refused: u64,
}

impl<V: VirtualCpu> Vm<V> {
    /// Adds processor time that the guest, or Weir on its behalf, has used.
    pub fn note_run(&mut self, ran: Duration) {
        self.statistics.run_time += ran;
    }

    /// Publishes what the guest has used for the other cores.
    pub fn publish_usage(&self) {
        let nanos = u64::try_from(self.statistics.run_time.as_nanos()).unwrap_or(u64::MAX);
        directory::publish_usage(self.identity.number, self.vcpu.statistics.exits(), nanos);
    }

    /// Passes every statistic to `say`, a line at a time.
    pub(super) fn for_each_statistic(&self, mut say: impl FnMut(fmt::Arguments)) {
        let exits = &self.vcpu.statistics;
        say(format_args!("exits {}", exits));
        say(format_args!(
            "interrupts injected {}, unmapped accesses {}, refused instructions {}, TSC ticks per exit in Weir {}",
            exits.injected,
            self.statistics.unmapped,
            self.statistics.refused,
            exits.ticks_per_exit()
        ));
        say(format_args!(
            "console: bytes lost before they were shown {}, typed bytes lost {}",
            self.console.lost(),
            directory::typed_lost(self.identity.number)
        ));
    }

    /// Logs what the guest has cost.
    pub fn log_statistics(&self) {
        let (exits, run_time) = (&self.vcpu.statistics, self.statistics.run_time);
        log::info!(
            "{}: ran {}.{:03} s, exits {}, interrupts injected {}, unmapped accesses {}, refused instructions {}, TSC ticks per exit in Weir {}",
            self.identity.name,
            run_time.as_secs(),
            run_time.subsec_millis(),
            exits,
            exits.injected,
            self.statistics.unmapped,
            self.statistics.refused,
            exits.ticks_per_exit()
        );
        for slot in self.nics.slots() {
            slot.log_statistics(&self.identity.name);
        }
    }
}
