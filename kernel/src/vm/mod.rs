//! A guest's machine: memory, board, vNICs and virtual processor, put together and looked after.

mod bus;
pub mod console;
pub mod cpuid;
pub mod device_access;
pub mod directory;
pub mod history;
mod inspect;
pub mod lifecycle;
pub mod memory;
mod msr;
mod setup;
mod start;
mod stop_reason;
pub mod vnic_slot;
pub mod walk;

use crate::log::output;
use crate::virt::exit::{Event, Exit, KINDS};
use crate::virt::{Entry, VirtualCpu};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Duration, Effects, Instant};
use console::Console;
use core::fmt;
use directory::Request;
pub use lifecycle::State;
use memory::GuestRam;
use platform::pc::Pc;
use schedule::restart::{BackOff, RestartPolicy};
pub use setup::VmError;
use start::Images;
pub use stop_reason::StopReason;
use vnic_slot::VnicSlot;

/// The only processor of a guest, as the board numbers them.
const BOOT_VCPU: u8 = 0;

/// Exits by kind.
#[derive(Clone, Debug)]
pub struct ExitCounts([(u64, &'static str); KINDS]);

/// One guest.
pub struct Vm<V: VirtualCpu> {
    /// Its place among the guests.
    number: usize,
    name: String,
    state: State,
    /// It has executed HLT, and no interrupt has come since.
    halted: bool,
    images: Images,
    policy: RestartPolicy,
    back_off: BackOff,
    /// When it was last started.
    started: Instant,
    /// When it is to be started again.
    start_at: Option<Instant>,
    /// Bytes of its memory that are cleared for the start under way.
    cleared: u64,
    /// Its shares of its core.
    pub shares: u32,
    /// Processor time it has used.
    run_time: Duration,
    /// Its virtual processor.
    pub vcpu: V,
    /// Its memory.
    pub memory: GuestRam,
    /// Its vNICs, in the order of their slots.
    pub vnics: Vec<Arc<VnicSlot>>,
    pc: Pc,
    msrs: platform::msr::Msrs,
    /// How far the guest has moved its time-stamp counter.
    tsc_moved: u64,
    console: Console,
    /// The guest has written to its console.
    console_due: bool,
    /// An exception to deliver before the next instruction.
    fault: Option<Event>,
    effects: Effects,
    /// Switches for which the guest has frames, or room for frames: a bit each.
    kicks: u32,
    exits: ExitCounts,
    /// Accesses to addresses with neither memory nor device behind them.
    unmapped: u64,
    injected: u64,
    /// Ticks of the time-stamp counter between an exit and the next entry, other guests' turns and idle time
    /// left out.
    ticks_outside: u64,
    /// Ticks between an entry and the exit.
    ticks_inside: u64,
    /// The time-stamp counter at the last entry, exit or beginning of a turn.
    last_switch: u64,
}

impl<V: VirtualCpu> Vm<V> {
    /// Its place among the guests.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Bytes of its memory.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.pieces().iter().map(|piece| piece.bytes).sum()
    }

    /// Counts an exit and remembers it for reports.
    pub fn note_exit(&mut self, exit: &Exit, now: Instant) {
        let (kind, name) = exit.kind();
        let count = &mut self.exits.0[kind];
        *count = (count.0 + 1, name);
        history::record(self.number, now, self.vcpu.rip(), *exit);
    }

    /// Has an exception delivered before the next instruction.
    pub fn raise(&mut self, event: Event) {
        self.fault = Some(event);
    }

    /// Has #PF delivered for an address that the guest's own tables do not allow.
    pub fn raise_page_fault(&mut self, linear: u64, code: u32) {
        self.vcpu.set_cr2(linear);
        self.raise(Event::Exception { vector: 14, error: Some(code) });
    }

    /// The guest has executed HLT.
    pub fn halt(&mut self) {
        if !self.has_interrupt() {
            self.halted = true;
            self.set_state(State::Idle);
        }
    }

    /// Takes the effects that accesses and deadlines have had since the last call.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// What to enter the guest with: the next event it can take, or a window for one it cannot take yet.
    pub fn prepare_entry(&mut self, ticks: u64) -> Entry {
        let task_priority = self.pc.interrupts().task_priority(BOOT_VCPU);
        let mut entry =
            Entry { inject: None, interrupt_window: false, nmi_window: false, task_priority, ticks };
        if let Some(fault) = self.fault.take() {
            entry.inject = Some(fault);
        } else if self.pc.interrupts().nmi_pending(BOOT_VCPU) {
            if self.vcpu.nmi_ready() {
                self.pc.interrupts().take_nmi(BOOT_VCPU);
                entry.inject = Some(Event::Nmi);
            } else {
                entry.nmi_window = true;
            }
        } else if self.pc.interrupts().pending(BOOT_VCPU) && self.vcpu.interruptible() {
            entry.inject = self.pc.interrupts().acknowledge(BOOT_VCPU).map(Event::Interrupt);
            self.injected += 1;
        }
        entry.interrupt_window = self.pc.interrupts().pending(BOOT_VCPU);
        entry
    }

    fn has_interrupt(&mut self) -> bool {
        self.pc.interrupts().pending(BOOT_VCPU) || self.pc.interrupts().nmi_pending(BOOT_VCPU)
    }

    /// Does what was asked for, fires timers that are due, moves console output on, and wakes the guest for
    /// interrupts.
    pub fn advance(&mut self, now: Instant) {
        if directory::take_attention(self.number) {
            self.attend(now);
        }
        if self.start_at.is_some_and(|due| due <= now) {
            self.begin_start();
        }
        if self.console.next_deadline(self.number).is_some_and(|due| due <= now) {
            let exits = (self.state == State::Running).then(|| self.exits.total());
            self.console.advance(self.number, &self.name, now, exits);
        }
        if matches!(self.state, State::Running | State::Idle) {
            self.advance_machine(now);
        }
        self.show_console(now);
        self.effects = Effects::empty();
    }

    fn advance_machine(&mut self, now: Instant) {
        if self.next_deadline().is_some_and(|due| due <= now) {
            let effects = self.pc.advance(now);
            self.apply(effects);
            for index in 0..self.vnics.len() {
                let effects = self.vnics[index].model().advance(now);
                self.apply_nic(index, effects, now);
            }
        }
        self.refresh_nics(now);
        self.pass_typed(now);
        if let Some(event) = self.pc.power_event() {
            self.stop(&event.into(), now);
        }
        self.wake();
    }

    /// Takes up what other cores have left.
    pub fn attend(&mut self, now: Instant) {
        match directory::request(self.number) {
            Some(Request::Change(action)) => self.act(action, now),
            Some(Request::Figures) => self.for_each_figure(output::shell_line),
            None => {}
        }
        directory::answered(self.number);
        while let Some(byte) = directory::take_typed(self.number) {
            self.give_console(byte, now);
        }
    }

    /// When [`advance`](Self::advance) has something to do at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let console = self.console.next_deadline(self.number).into_iter().chain(self.start_at);
        if !matches!(self.state, State::Running | State::Idle) {
            return console.min();
        }
        let vnics = self.vnics.iter().filter_map(|slot| slot.model().next_deadline());
        vnics.chain(self.pc.next_deadline()).chain(console).min()
    }

    /// Takes up what frames have done to the vNICs, once they have been moved.
    pub fn after_frames(&mut self, now: Instant) {
        if matches!(self.state, State::Running | State::Idle) {
            self.refresh_nics(now);
            self.wake();
        }
    }

    fn wake(&mut self) {
        if self.state == State::Idle && self.has_interrupt() {
            self.halted = false;
            self.set_state(State::Running);
        }
    }

    /// Processor time that it, or Weir on its behalf, has used.
    pub fn note_run(&mut self, ran: Duration) {
        self.run_time += ran;
    }

    /// Lets other cores see what it has used.
    pub fn publish_usage(&self) {
        directory::publish_usage(self.number, self.exits.total(), self.run_time.as_nanos() as u64);
    }

    /// The guest's turn begins at this value of the time-stamp counter.
    pub fn note_turn(&mut self, tsc: u64) {
        self.last_switch = tsc;
    }

    /// The guest is entered.
    pub fn note_entry(&mut self, tsc: u64) {
        self.ticks_outside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// The guest has come back.
    pub fn note_return(&mut self, tsc: u64) {
        self.ticks_inside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// Takes the ticks of the time-stamp counter that the guest itself has used since the last call.
    pub fn take_ticks_inside(&mut self) -> u64 {
        core::mem::take(&mut self.ticks_inside)
    }

    fn refresh_nics(&mut self, now: Instant) {
        for index in 0..self.vnics.len() {
            let effects = self.vnics[index].model().take_effects();
            if !effects.is_empty() {
                self.apply_nic(index, effects, now);
            }
        }
    }

    fn apply_nic(&mut self, index: usize, effects: Effects, now: Instant) {
        let slot = &self.vnics[index];
        let (effects, line) = slot.settle(effects, &self.name, now);
        if effects.contains(Effects::IRQ_CHANGED) {
            self.effects |= self.pc.set_function_interrupt(slot.slot, line);
        }
        if effects.intersects(Effects::TX_KICK | Effects::RX_SPACE) {
            self.kicks |= 1 << slot.segment();
        }
        self.effects |= effects;
    }

    /// Takes the switches that the guest has something for since the last call.
    pub fn take_kicks(&mut self) -> u32 {
        core::mem::take(&mut self.kicks)
    }

    /// True when [`take_kicks`](Self::take_kicks) has some.
    pub fn has_kicks(&self) -> bool {
        self.kicks != 0
    }

    /// Lets the vNICs reach memory, or not, as the guest's state and its configuration registers say.
    fn switch_nics(&self) {
        for slot in &self.vnics {
            slot.set_on(self.state.is_on() && self.pc.bus_master(slot.slot));
        }
    }

    fn apply(&mut self, effects: Effects) {
        self.console_due |= effects.contains(Effects::CONSOLE);
        if effects.contains(Effects::MAP_CHANGED) {
            self.switch_nics();
        }
        self.effects |= effects;
    }

    fn show_console(&mut self, now: Instant) {
        if !self.console_due && !self.console.view_changed() {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        let time = (now, self.exits.total());
        let shown = self.console.show_all(self.number, &self.name, time, |bytes| {
            let (count, effects) = pc.take_console(bytes);
            changed |= effects;
            count
        });
        self.console_due = !shown;
        self.effects |= changed;
    }

    /// A byte typed at the guest's console.
    pub fn give_console(&mut self, byte: u8, now: Instant) {
        self.console.type_byte(byte);
        self.pass_typed(now);
    }

    /// Passes typed bytes on as the guest's UART has room for them.
    fn pass_typed(&mut self, now: Instant) {
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        self.console.pass_typed(|byte| {
            let (taken, effects) = pc.give_console(byte, now);
            changed |= effects;
            taken
        });
        self.apply(changed);
    }

    /// Says what the guest has cost.
    pub fn log_statistics(&self) {
        log::info!(
            "{}: ran {}.{:03} s, exits {}, interrupts injected {}, accesses to nothing {}, TSC ticks per exit in Weir {}",
            self.name,
            self.run_time.as_secs(),
            self.run_time.subsec_millis(),
            self.exits,
            self.injected,
            self.unmapped,
            self.ticks_outside / self.exits.total().max(1)
        );
        for slot in &self.vnics {
            slot.log_statistics(&self.name);
        }
        output::pump();
    }
}

impl ExitCounts {
    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for ExitCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total())?;
        self.0
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, name)| write!(f, " {name} {count}"))
    }
}
