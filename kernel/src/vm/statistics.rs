//! Counters of a guest's costs: exits by kind, interrupts, and time in Weir and in the guest.

use super::Vm;
use crate::meeting::directory;
use crate::virt::VirtualCpu;
use crate::virt::exit::{Exit, KINDS};
use base::Duration;
use core::fmt;

/// The exits of one virtual processor, and the time between them.
pub struct ExitStatistics {
    /// Count and name of each kind.
    counts: [(u64, &'static str); KINDS],
    /// Exits of all kinds.
    total: u64,
    /// Interrupts injected.
    pub(super) injected: u64,
    /// Ticks of the time-stamp counter between an exit and the next entry, excluding other guests' turns and idle
    /// time.
    ticks_outside: u64,
    /// Ticks between an entry and the exit.
    ticks_inside: u64,
    /// The time-stamp counter at the last entry, exit or start of a turn.
    last_switch: u64,
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

impl ExitStatistics {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            counts: [(0, ""); KINDS],
            total: 0,
            injected: 0,
            ticks_outside: 0,
            ticks_inside: 0,
            last_switch: 0,
        }
    }

    /// Counts an exit.
    pub(super) fn count(&mut self, exit: &Exit) {
        let (kind, name) = exit.kind();
        let count = &mut self.counts[kind];
        *count = (count.0 + 1, name);
        self.total += 1;
    }

    /// Exits of all kinds.
    pub(super) fn exits(&self) -> u64 {
        self.total
    }

    /// Exits that the guest has caused itself, as far as their kind says.
    pub(super) fn caused(&self) -> u64 {
        let others = [Exit::HostInterrupt, Exit::Timer, Exit::InterruptWindow, Exit::NmiWindow];
        self.total - others.iter().map(|exit| self.counts[exit.kind().0].0).sum::<u64>()
    }

    /// Notes that a turn of the guest begins at this value of the time-stamp counter.
    pub fn note_turn(&mut self, tsc: u64) {
        self.last_switch = tsc;
    }

    /// Notes that the guest is entered.
    pub fn note_entry(&mut self, tsc: u64) {
        self.ticks_outside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// Notes that the guest has exited.
    pub fn note_return(&mut self, tsc: u64) {
        self.ticks_inside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// Takes the ticks of the time-stamp counter that the guest itself has used since the last call.
    pub fn take_ticks_inside(&mut self) -> u64 {
        core::mem::take(&mut self.ticks_inside)
    }

    fn ticks_per_exit(&self) -> u64 {
        self.ticks_outside / self.exits().max(1)
    }
}

/// Exits in all, and by kind.
impl fmt::Display for ExitStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total)?;
        let counts = self.counts.iter().filter(|(count, _)| *count > 0);
        counts.into_iter().try_for_each(|(count, name)| write!(f, " {name} {count}"))
    }
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
