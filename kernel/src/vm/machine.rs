//! One VM, and what keeps it going between the exits of its guest.

use super::life::Life;
use super::nics::Nics;
use super::statistics::Statistics;
use super::virtual_processor::VirtualProcessor;
use crate::log::output;
use crate::meeting::directory::{self, Request};
use crate::memory::guest::GuestRam;
use crate::virt::VirtualCpu;
use alloc::string::String;
use base::{Duration, Effects, Instant};
use platform::pc::Pc;
use shell::{Console, VmState};

/// Which VM this is.
pub struct Identity {
    /// Its place among the VMs.
    pub number: usize,
    /// Its name in the configuration.
    pub name: String,
    /// Its shares of its core.
    pub shares: u32,
}

/// One VM: a guest with the machine that it runs on.
pub struct Vm<V: VirtualCpu> {
    /// Which one it is.
    pub identity: Identity,
    /// Where it is in its life.
    pub(super) life: Life,
    /// Its memory.
    pub memory: GuestRam,
    /// Its virtual processor.
    pub vcpu: VirtualProcessor<V>,
    /// Its vNICs.
    pub nics: Nics,
    /// Its board.
    pub(super) pc: Pc,
    /// Its console.
    pub(super) console: Console,
    /// Effects of accesses and timers, until [`take_effects`](Self::take_effects) takes them.
    pub(super) effects: Effects,
    /// What it has used.
    pub(super) statistics: Statistics,
    /// It does not run before this instant: it has slowed all cores, or waits for frames.
    pub(super) held: Option<Instant>,
    /// Before this instant, no timer ends the turn of another guest: the last one did not wake this one.
    pub(super) unwoken_until: Instant,
}

/// See [`Vm::next_wake`]: as long as a guest that wakes may have to wait anyway.
const UNWOKEN: Duration = Duration::from_micros(250);

impl<V: VirtualCpu> Vm<V> {
    /// Its place among the VMs.
    pub fn number(&self) -> usize {
        self.identity.number
    }

    /// True when its board and its vNICs work.
    fn is_working(&self) -> bool {
        matches!(self.state(), VmState::Running | VmState::Idle)
    }

    /// True when its core has instructions of its guest to execute, or its start, and may.
    pub fn is_runnable(&self) -> bool {
        self.held.is_none() && self.state().is_runnable()
    }

    /// True when instructions of its guest may be executed.
    pub fn may_enter(&self) -> bool {
        self.held.is_none() && self.state() == VmState::Running
    }

    /// Takes the effects that accesses and timers have had since the last call.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// Handles requests, fires timers that are due, moves console output on, and wakes the guest for interrupts. True if
    /// another core has called it.
    pub fn advance(&mut self, now: Instant) -> bool {
        self.held = self.held.filter(|until| *until > now);
        self.hold_for_frames(now);
        let called = directory::take_attention(self.identity.number);
        if called {
            self.attend(now);
        }
        if self.life.start_at.is_some_and(|due| due <= now) {
            self.begin_start(now);
        }
        self.advance_console(now);
        if self.is_working() {
            self.advance_machine(now);
        }
        self.show_console(now);
        // Last, because the UART may interrupt when its output has been taken.
        self.wake();
        self.effects = Effects::empty();
        called
    }

    /// True if an exit that had these effects leaves work for [`advance`](Self::advance). Interrupts do not: the next
    /// entry finds them. Nor does a timer: the caller learns its deadline.
    pub fn needs_advance(&self, effects: Effects) -> bool {
        let own = Effects::IRQ_CHANGED | Effects::TIMER_CHANGED;
        // A guest that reads its UART makes room there.
        !own.contains(effects) || !effects.is_empty() && self.console.has_typed()
    }

    /// Advances the board and the vNICs; [`advance`](Self::advance) does the rest.
    fn advance_machine(&mut self, now: Instant) {
        if self.machine_deadline().is_some_and(|due| due <= now) {
            let effects = self.pc.advance(now);
            self.apply(effects);
            self.advance_nics(now);
            if self.state() == VmState::Idle {
                self.unwoken_until = now + UNWOKEN;
            }
        }
        self.refresh_nics(now);
        self.pass_typed(now);
        if let Some(event) = self.pc.power_event() {
            self.stop(&event.into(), now);
        }
    }

    /// Handles what other cores have asked of this VM.
    pub fn attend(&mut self, now: Instant) {
        if let Some(request) = directory::request(self.identity.number) {
            match request {
                Request::Change(action) => self.act(action, now),
                Request::Statistics => self.for_each_statistic(output::shell_line),
            }
            directory::answered(self.identity.number, request);
        }
        self.console.note_typed(true);
    }

    /// True while a vNIC has work that is to be done in the guest's turns, even if the guest has halted.
    pub fn has_work(&self) -> bool {
        self.is_working() && self.nics.slots().iter().any(|slot| slot.has_work())
    }

    /// When [`advance`](Self::advance) must run at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        Instant::earliest([self.other_deadline(), self.machine_deadline()])
    }

    /// The same without the timers of the board and the vNICs.
    fn other_deadline(&self) -> Option<Instant> {
        Instant::earliest([self.console.next_deadline(&self.identity), self.life.start_at, self.held])
    }

    /// The same while other guests run: a guest that waits for its turn is not made to wait less by its timers, and one
    /// whose timers have not woken it, since it has masked their interrupts, is looked at again after a while. Fast
    /// timers would take the others' time: each one costs them a trip through Weir.
    pub fn next_wake(&self) -> Option<Instant> {
        let timers = self.machine_deadline().filter(|_| self.state() == VmState::Idle);
        let timers = timers.map(|due| due.max(self.unwoken_until));
        Instant::earliest([self.other_deadline(), timers])
    }

    /// When a timer of the board or of a vNIC fires next.
    fn machine_deadline(&self) -> Option<Instant> {
        Instant::earliest([self.nics.next_deadline(), self.pc.next_deadline()]).filter(|_| self.is_working())
    }

    /// Applies the effects that moved frames have had on the vNICs.
    pub fn after_frames(&mut self, now: Instant) {
        if self.is_working() {
            self.refresh_nics(now);
            self.wake();
        }
    }

    /// Applies the effects of an access or a timer.
    pub(super) fn apply(&mut self, effects: Effects) {
        if effects.contains(Effects::CONSOLE) {
            self.console.note_output();
        }
        if effects.contains(Effects::MAP_CHANGED) {
            self.switch_nics();
        }
        self.effects |= effects;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::exits::tests::vm;
    use base::Width;

    #[test]
    fn fast_timers_take_only_the_time_of_their_own_guest() {
        let mut vm = vm();
        // The 8254 counts from 2 to 1, again and again: some 600,000 times a second. Its interrupt is masked.
        for (port, value) in [(0x43, 0x14), (0x40, 2)] {
            let effects = vm.pc.port_write(port, Width::Byte, value, Instant::ZERO);
            vm.apply(effects);
        }
        let soon = Instant::ZERO + Duration::from_micros(2);
        assert!(vm.next_deadline().is_some_and(|due| due <= soon));
        assert_eq!(vm.next_wake(), None, "while it waits for its turn");

        vm.halt();
        assert_eq!(vm.next_wake(), vm.next_deadline(), "its timer may wake it");
        vm.advance(soon);
        assert_eq!(vm.state(), VmState::Idle);
        assert_eq!(vm.next_wake(), Some(soon + UNWOKEN), "the timer has not woken it");

        let _ = vm.pc.interrupts().mmio_write(
            0,
            base::GuestPhysical(0xfee0_00f0),
            Width::Dword,
            0x1ff,
            Instant::ZERO,
        );
        let _ = vm.pc.interrupts().msi(0xfee0_0000, 4 << 8);
        vm.wake();
        assert_eq!(vm.state(), VmState::Running);
        vm.pc.interrupts().take_nmi(0);
        vm.halt();
        assert_eq!(vm.next_wake(), vm.next_deadline(), "it has been awake");
    }
}
