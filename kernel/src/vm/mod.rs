//! A guest's machine: memory, board, vNICs and virtual processor, put together and kept going.

mod console;
pub mod exits;
mod interrupts;
pub mod life;
mod nics;
mod statistics;
mod virtual_processor;

pub use life::VmError;

use crate::log::output;
use crate::meeting::directory::{self, Request};
use crate::meeting::state::VmState;
use crate::memory::guest::GuestRam;
use crate::virt::VirtualCpu;
use alloc::string::String;
use base::{Effects, Instant};
use console::Console;
use life::Life;
use nics::Nics;
use platform::pc::Pc;
use statistics::Statistics;
use virtual_processor::VirtualProcessor;

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
    life: Life,
    /// Its memory.
    pub memory: GuestRam,
    /// Its virtual processor.
    pub vcpu: VirtualProcessor<V>,
    /// Its vNICs.
    pub nics: Nics,
    pc: Pc,
    console: Console,
    /// What accesses and deadlines have set in motion and nobody has taken yet.
    effects: Effects,
    statistics: Statistics,
}

impl<V: VirtualCpu> Vm<V> {
    /// Its place among the VMs.
    pub fn number(&self) -> usize {
        self.identity.number
    }

    /// Takes the effects that accesses and deadlines have had since the last call.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// Handles requests, fires timers that are due, moves console output on, and wakes the guest for interrupts.
    pub fn advance(&mut self, now: Instant) {
        if directory::take_attention(self.identity.number) {
            self.attend(now);
        }
        if self.life.start_at.is_some_and(|due| due <= now) {
            self.begin_start();
        }
        self.advance_console(now);
        if matches!(self.state(), VmState::Running | VmState::Idle) {
            self.advance_machine(now);
        }
        self.show_console(now);
        self.effects = Effects::empty();
    }

    fn advance_machine(&mut self, now: Instant) {
        if self.next_deadline().is_some_and(|due| due <= now) {
            let effects = self.pc.advance(now);
            self.apply(effects);
            self.advance_nics(now);
        }
        self.refresh_nics(now);
        self.pass_typed(now);
        if let Some(event) = self.pc.power_event() {
            self.stop(&event.into(), now);
        }
        self.wake();
    }

    /// Handles what other cores have asked of this VM.
    pub fn attend(&mut self, now: Instant) {
        match directory::request(self.identity.number) {
            Some(Request::Change(action)) => self.act(action, now),
            Some(Request::Statistics) => self.for_each_statistic(output::shell_line),
            None => {}
        }
        directory::answered(self.identity.number);
        while let Some(byte) = directory::take_typed(self.identity.number) {
            self.give_console(byte, now);
        }
    }

    /// When [`advance`](Self::advance) must run at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let console = self.console.next_deadline(self.identity.number).into_iter().chain(self.life.start_at);
        if !matches!(self.state(), VmState::Running | VmState::Idle) {
            return console.min();
        }
        self.nics.next_deadline().into_iter().chain(self.pc.next_deadline()).chain(console).min()
    }

    /// Applies what frames have done to the vNICs, once they have been moved.
    pub fn after_frames(&mut self, now: Instant) {
        if matches!(self.state(), VmState::Running | VmState::Idle) {
            self.refresh_nics(now);
            self.wake();
        }
    }

    fn apply(&mut self, effects: Effects) {
        if effects.contains(Effects::CONSOLE) {
            self.console.note_output();
        }
        if effects.contains(Effects::MAP_CHANGED) {
            self.switch_nics();
        }
        self.effects |= effects;
    }
}
