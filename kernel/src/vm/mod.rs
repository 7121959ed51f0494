//! A guest's machine: memory, board, vNICs and virtual processor, put together and looked after.

pub mod console;
pub mod cpuid;
pub mod device_access;
pub mod history;
pub mod memory;
mod msr;
mod setup;
pub mod vnic_slot;
pub mod walk;

use crate::log::output;
use crate::virt::exit::{Event, Exit, KINDS, MemoryAccess};
use crate::virt::{Entry, VirtualCpu};
use alloc::string::String;
use alloc::vec::Vec;
use base::{Effects, GuestMemory, GuestPhysical, Instant, Port, Width};
use console::Console;
use core::fmt;
use memory::GuestRam;
use mmio::{DecodeError, Narrow, registers32};
use platform::pc::Pc;
use platform::power::PowerEvent;
pub use setup::VmError;
use vnic_slot::VnicSlot;

/// The only processor of a guest, as the board numbers them.
const BOOT_VCPU: u8 = 0;

/// What a guest is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has instructions to execute.
    Running,
    /// It waits for an interrupt.
    Idle,
    /// It has powered off, or was stopped.
    Stopped,
}

/// Why a guest was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It asked for it.
    #[error("powered off")]
    PowerOff,
    /// It asked for a restart.
    #[error("reset")]
    Reset,
    /// A fault while delivering a double fault.
    #[error("triple fault")]
    TripleFault,
    /// The machine reported a hardware error while this guest ran.
    #[error("machine check")]
    MachineCheck,
    /// It executed, or had its page tables in, what is not memory.
    #[error("{access:?} at {at}, which is not memory")]
    NotMemory {
        /// Where.
        at: GuestPhysical,
        /// How.
        access: MemoryAccess,
    },
    /// It accessed a device by an instruction that is not emulated.
    #[error("access to {at}: {error}; instruction bytes {bytes:02x?}")]
    Instruction {
        /// Where.
        at: GuestPhysical,
        /// What is wrong with the instruction.
        error: DecodeError,
        /// Its bytes.
        bytes: [u8; 15],
    },
    /// The processor refused to enter the guest.
    #[error("the processor refuses the guest's state, reason {reason:#x}")]
    InvalidState {
        /// The vendor's number.
        reason: u32,
    },
    /// An exit that Weir's controls should make impossible.
    #[error("unexpected exit {reason:#x}, qualification {qualification:#x}")]
    UnexpectedExit {
        /// The vendor's number.
        reason: u32,
        /// The vendor's details.
        qualification: u64,
    },
}

impl From<PowerEvent> for StopReason {
    fn from(event: PowerEvent) -> Self {
        match event {
            PowerEvent::Off => Self::PowerOff,
            PowerEvent::Reset => Self::Reset,
        }
    }
}

impl StopReason {
    /// True for what a guest does of its own will.
    fn is_orderly(&self) -> bool {
        matches!(self, Self::PowerOff | Self::Reset)
    }
}

/// Exits by kind.
#[derive(Clone, Debug)]
struct ExitCounts([(u64, &'static str); KINDS]);

/// One guest.
pub struct Vm<V: VirtualCpu> {
    /// Its place among the guests.
    number: usize,
    name: String,
    state: State,
    /// Its virtual processor.
    pub vcpu: V,
    /// Its memory.
    pub memory: GuestRam,
    /// Its vNICs, in the order of their slots.
    pub vnics: Vec<VnicSlot>,
    pc: Pc,
    msrs: platform::msr::Msrs,
    /// How far the guest has moved its time-stamp counter.
    tsc_moved: u64,
    console: Console,
    /// The guest has written to its console.
    console_due: bool,
    /// Typed, and not yet in the guest's UART.
    typed: heapless::Deque<u8, 256>,
    /// An exception to deliver before the next instruction.
    fault: Option<Event>,
    effects: Effects,
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
    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
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
        self.state = if self.has_interrupt() { State::Running } else { State::Idle };
    }

    /// Takes the effects that accesses and deadlines have had since the last call.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// What to enter the guest with: the next event it can take, or a window for one it cannot take yet.
    pub fn prepare_entry(&mut self, ticks: u64) -> Entry {
        let mut entry = Entry { inject: None, interrupt_window: false, nmi_window: false, ticks };
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

    /// Fires timers that are due, moves console output on, and wakes the guest for interrupts.
    pub fn advance(&mut self, now: Instant) -> Effects {
        if self.state == State::Stopped {
            self.show_console(now);
            return Effects::empty();
        }
        if self.next_deadline().is_some_and(|due| due <= now) {
            let effects = self.pc.advance(now);
            self.apply(effects);
            for index in 0..self.vnics.len() {
                let effects = self.vnics[index].model.advance(now);
                self.apply_nic(index, effects, now);
            }
            self.console.advance(self.number, &self.name, now);
        }
        self.refresh_nics(now);
        self.pass_typed(now);
        self.show_console(now);
        if let Some(event) = self.pc.power_event() {
            self.stop(&event.into());
        }
        self.wake();
        self.take_effects()
    }

    /// When [`advance`](Self::advance) has something to do at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.state == State::Stopped {
            return self.console.next_deadline();
        }
        let vnics = self.vnics.iter().filter_map(|slot| slot.model.next_deadline());
        vnics.chain(self.pc.next_deadline()).chain(self.console.next_deadline()).min()
    }

    /// Takes up what frames have done to the vNICs, once they have been moved.
    pub fn after_frames(&mut self, now: Instant) {
        if self.state != State::Stopped {
            self.refresh_nics(now);
            self.wake();
        }
    }

    fn wake(&mut self) {
        if self.state == State::Idle && self.has_interrupt() {
            self.state = State::Running;
        }
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

    /// Ticks of the time-stamp counter that the guest itself has used.
    pub fn ticks_inside(&self) -> u64 {
        self.ticks_inside
    }

    fn refresh_nics(&mut self, now: Instant) {
        for index in 0..self.vnics.len() {
            let effects = self.vnics[index].model.take_effects();
            if !effects.is_empty() {
                self.apply_nic(index, effects, now);
            }
        }
    }

    fn apply_nic(&mut self, index: usize, effects: Effects, now: Instant) {
        let slot = &mut self.vnics[index];
        let mut effects = effects;
        if effects.contains(Effects::RX_SPACE) {
            // Frames that waited in the card's FIFO move on; the switch only sends when it has new ones.
            slot.model.port(&self.memory).send(&[], now);
            effects |= slot.model.take_effects();
        }
        if effects.contains(Effects::IRQ_CHANGED) {
            let effects = self.pc.set_function_interrupt(slot.slot, slot.model.interrupt_line());
            self.effects |= effects;
        }
        self.effects |= effects;
        slot.report_faults(&self.name);
    }

    fn apply(&mut self, effects: Effects) {
        self.console_due |= effects.contains(Effects::CONSOLE);
        self.effects |= effects;
    }

    fn show_console(&mut self, now: Instant) {
        if !self.console_due {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        let shown = self.console.show_all(self.number, &self.name, now, |bytes| {
            let (count, effects) = pc.take_console(bytes);
            changed |= effects;
            count
        });
        self.console_due = !shown;
        self.effects |= changed;
    }

    /// A byte typed at the guest's console.
    pub fn give_console(&mut self, byte: u8, now: Instant) {
        // Who types 256 bytes ahead of the guest loses some, as on a line without flow control.
        let _ = self.typed.push_back(byte);
        self.pass_typed(now);
    }

    /// Passes typed bytes on as the guest's UART has room for them.
    fn pass_typed(&mut self, now: Instant) {
        while let Some(&byte) = self.typed.front() {
            let (taken, effects) = self.pc.give_console(byte, now);
            self.apply(effects);
            if !taken {
                return;
            }
            self.typed.pop_front();
        }
    }

    /// Ends the guest, with a report when it was not its own wish.
    pub fn stop(&mut self, reason: &StopReason) {
        if self.state == State::Stopped {
            return;
        }
        self.state = State::Stopped;
        if reason.is_orderly() {
            log::info!("{}: {reason}", self.name);
            return;
        }
        log::error!("{}: stopped: {reason}", self.name);
        self.vcpu.report(&mut |text| log::error!("{}:   {text}", self.name));
        let mut bytes = [0; 15];
        let code = device_access::fetch(self, &mut bytes);
        log::error!("{}:   code at rip {code:02x?}", self.name);
        history::for_each_of(self.number, |text| log::error!("{}:   {text}", self.name));
    }

    /// Reads memory or a device, not across a page.
    pub fn memory_read(&mut self, at: GuestPhysical, width: Width, now: Instant) -> u64 {
        let mut bytes = [0; 8];
        let part = &mut bytes[..width.bytes()];
        if self.memory.read(at, part).is_ok() {
            return u64::from_le_bytes(bytes);
        }
        if let Some((index, offset)) = self.find_nic_memory(at) {
            let mut window = self.vnics[index].memory_window(now);
            let value = registers32::read(&mut window, offset.into(), width);
            let effects = window.effects;
            self.apply_nic(index, effects, now);
            return value;
        }
        if let Some((value, effects)) = self.pc.mmio_read(BOOT_VCPU, at, width, now) {
            self.apply(effects);
            return value;
        }
        self.unmapped += 1;
        width.mask()
    }

    /// Writes memory or a device, not across a page.
    pub fn memory_write(&mut self, at: GuestPhysical, width: Width, value: u64, now: Instant) {
        if self.memory.write(at, &value.to_le_bytes()[..width.bytes()]).is_ok() {
            return;
        }
        if let Some((index, offset)) = self.find_nic_memory(at) {
            let mut window = self.vnics[index].memory_window(now);
            // Registers of the 8254x must be written whole [8254x 13.2]; parts are ignored.
            registers32::write(&mut window, offset.into(), width, value, Narrow::Ignore);
            let effects = window.effects;
            self.apply_nic(index, effects, now);
        } else if let Some(effects) = self.pc.mmio_write(BOOT_VCPU, at, width, value, now) {
            self.apply(effects);
        } else {
            self.unmapped += 1;
        }
    }

    /// IN.
    pub fn port_read(&mut self, port: u16, width: Width, now: Instant) -> u32 {
        if let Some((index, offset)) = self.find_nic_port(port) {
            let (value, effects) = self.vnics[index].port_read(offset, width, now);
            self.apply_nic(index, effects, now);
            return value;
        }
        let (value, effects) = self.pc.port_read(port, width, now);
        self.apply(effects);
        value
    }

    /// OUT.
    pub fn port_write(&mut self, port: u16, width: Width, value: u32, now: Instant) {
        let effects = if let Some((index, offset)) = self.find_nic_port(port) {
            let effects = self.vnics[index].port_write(offset, width, value, now);
            return self.apply_nic(index, effects, now);
        } else {
            self.pc.port_write(port, width, value, now)
        };
        self.apply(effects);
    }

    fn find_nic_memory(&self, at: GuestPhysical) -> Option<(usize, u32)> {
        let hit = self.pc.find_bar(at)?;
        self.vnics.iter().position(|slot| slot.slot == hit.slot).map(|index| (index, hit.offset))
    }

    fn find_nic_port(&self, port: u16) -> Option<(usize, u32)> {
        let hit = self.pc.find_port(port)?;
        self.vnics.iter().position(|slot| slot.slot == hit.slot).map(|index| (index, hit.offset))
    }

    /// True when the guest lets this vNIC reach its memory.
    pub fn bus_master(&self, index: usize) -> bool {
        self.vnics.get(index).is_some_and(|slot| self.pc.bus_master(slot.slot))
    }

    /// Says what the guest has cost.
    pub fn log_statistics(&self) {
        log::info!(
            "{}: exits{}, interrupts injected {}, accesses to nothing {}, TSC ticks per exit in Weir {}",
            self.name,
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
    fn total(&self) -> u64 {
        self.0.iter().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for ExitCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.total())?;
        self.0
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, name)| write!(f, " {name} {count}"))
    }
}
