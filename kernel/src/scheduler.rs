//! The main loop of a processor: runs guests in turn, and looks after clock, wire and console in between.

use crate::hardware::{clock, cpu, interrupt_controllers, interrupts};
use crate::log::{output, serial};
use crate::net::Network;
use crate::shell::{Input, Machine, Shell};
use crate::virt::VirtualCpu;
use crate::virt::dispatch::{Action, dispatch};
use crate::virt::exit::Exit;
use crate::vm::{State, StopReason, Vm};
use ::shell::VmAction;
use alloc::vec::Vec;
use base::{Duration, Effects, Instant};

/// How long a guest runs while others want to, too.
const SLICE: Duration = Duration::from_millis(2);
/// How often the serial port is fed while output waits: its FIFO of 16 bytes lasts 1.4 ms.
const FEED: Duration = Duration::from_millis(1);

/// How the main loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The last guest has stopped by itself.
    AllStopped,
    /// The operator wants the machine off.
    PowerOff,
    /// The operator wants the machine to start anew.
    Reboot,
}

/// Why a VM cannot be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has stopped.
    #[error("it is stopped")]
    Stopped,
    /// It is not paused.
    #[error("it is not paused")]
    NotPaused,
    /// It is paused already.
    #[error("it is paused already")]
    Paused,
    /// It has not stopped.
    #[error("it is not stopped")]
    NotStopped,
    /// A VM that has stopped cannot be booted again.
    #[error("a VM boots once, with the machine")]
    BootsOnce,
}

/// Everything that runs.
pub struct Scheduler<V: VirtualCpu> {
    pub(crate) vms: Vec<Vm<V>>,
    pub(crate) network: Network,
    pub(crate) shell: Shell,
    /// How the operator wants the main loop to end.
    pub(crate) end: Option<End>,
    /// The guest whose state is in the processor.
    active: Option<usize>,
    next_feed: Instant,
    /// When [`housekeeping`](Self::housekeeping) has something to do, if nothing happens before.
    due: Instant,
}

impl<V: VirtualCpu> Scheduler<V> {
    /// A scheduler for these guests, all ready to start.
    pub fn new(vms: Vec<Vm<V>>, network: Network, machine: Machine) -> Self {
        let shell = Shell::new(vms.iter().map(|vm| vm.name().into()).collect(), machine);
        let (next_feed, due) = (Instant::ZERO, Instant::ZERO);
        Self { vms, network, shell, end: None, active: None, next_feed, due }
    }

    /// Runs until the last guest has stopped, or the operator wants an end.
    pub fn run(&mut self) -> End {
        // The first in the configuration goes first.
        let mut last = self.vms.len().saturating_sub(1);
        let end = loop {
            if let Some(end) = self.end {
                break end;
            }
            if self.vms.iter().all(|vm| vm.state() == State::Stopped) {
                break End::AllStopped;
            }
            let now = clock::now();
            self.housekeeping(now);
            match self.next_runnable(last) {
                Some(index) => {
                    last = index;
                    self.run_slice(index, now);
                }
                None => self.idle(),
            }
        };
        // What follows must find room.
        output::flush();
        for vm in &self.vms {
            vm.log_statistics();
        }
        self.network.log_statistics();
        match end {
            End::AllStopped => log::info!("all guests stopped, powering off"),
            End::PowerOff => log::info!("powering off, as the operator wants"),
            End::Reboot => log::info!("resetting the machine, as the operator wants"),
        }
        end
    }

    /// Changes what a VM does.
    ///
    /// # Errors
    /// [`Refusal`], with the reason.
    pub fn control(&mut self, vm: usize, action: VmAction) -> Result<(), Refusal> {
        let vm = &mut self.vms[vm];
        match (action, vm.state()) {
            (VmAction::Pause | VmAction::Resume | VmAction::Stop, State::Stopped) => Err(Refusal::Stopped),
            (VmAction::Pause, State::Paused) => Err(Refusal::Paused),
            (VmAction::Pause, State::Running | State::Idle) => {
                vm.set_paused(true);
                Ok(())
            }
            (VmAction::Resume, State::Running | State::Idle) => Err(Refusal::NotPaused),
            (VmAction::Resume, State::Paused) => {
                vm.set_paused(false);
                Ok(())
            }
            (VmAction::Stop, State::Running | State::Idle | State::Paused) => {
                vm.stop(&StopReason::Operator);
                Ok(())
            }
            (VmAction::Start, State::Running | State::Idle | State::Paused) => Err(Refusal::NotStopped),
            (VmAction::Start, State::Stopped) | (VmAction::Restart, _) => Err(Refusal::BootsOnce),
        }
    }

    /// The next guest in turn that has something to do.
    fn next_runnable(&self, last: usize) -> Option<usize> {
        let count = self.vms.len();
        (1..=count).map(|step| (last + step) % count).find(|&index| self.vms[index].state() == State::Running)
    }

    /// What does not depend on a guest's exits: time, wire, console.
    fn housekeeping(&mut self, now: Instant) {
        let mut work = false;
        for vm in &mut self.vms {
            work |= vm.advance(now).intersects(Effects::TX_KICK | Effects::RX_SPACE);
        }
        if work | self.network.wants_service(now) {
            self.network.service(&mut self.vms, now);
            self.vms.iter_mut().for_each(|vm| vm.after_frames(now));
        }
        if interrupts::take(interrupts::SERIAL_VECTOR) {
            self.take_input(now);
        }
        interrupts::take(interrupts::TIMER_VECTOR);
        let nmis = interrupts::take_nmis();
        if nmis > 0 {
            log::warn!("{nmis} NMIs from the machine: nothing here asks for any");
        }
        if now >= self.next_feed {
            self.shell.refresh();
            output::pump();
            self.next_feed = now + FEED;
        }
        self.due = self.deadline(now);
    }

    fn take_input(&mut self, now: Instant) {
        while let Some(byte) = serial::receive() {
            match self.shell.typed(byte) {
                Input::Guest(guest, byte) => {
                    if let Some(vm) = self.vms.get_mut(guest) {
                        vm.give_console(byte, now);
                    }
                }
                Input::Command(command) => self.execute(command, now),
                Input::Done => {}
            }
        }
    }

    /// Runs one guest until its slice is over, it has nothing to do, or it stops.
    fn run_slice(&mut self, index: usize, start: Instant) {
        self.activate(index);
        self.vms[index].note_return(cpu::rdtsc());
        let end = start + SLICE;
        let mut now = start;
        loop {
            let others =
                self.vms.iter().enumerate().any(|(i, vm)| i != index && vm.state() == State::Running);
            if now >= end && others {
                return;
            }
            let due = if others { self.due.min(end) } else { self.due };
            let ticks = clock::ticks((due - now).as_nanos() as u64);
            let vm = &mut self.vms[index];
            let entry = vm.prepare_entry(ticks);
            vm.note_entry(cpu::rdtsc());
            let exit = vm.vcpu.enter(entry);
            vm.note_return(cpu::rdtsc());
            now = clock::now();
            let action = dispatch(vm, exit, now);
            let effects = vm.take_effects();
            if effects.intersects(Effects::TX_KICK | Effects::RX_SPACE) {
                self.network.kick();
            }
            if let Action::Stop(reason) = action {
                self.vms[index].stop(&reason);
            }
            // Most exits change nothing that anybody waits for.
            if !effects.is_empty() || exit == Exit::HostInterrupt || now >= self.due {
                self.housekeeping(now);
            }
            // It may have powered off, halted, been woken again, or paused.
            if self.end.is_some() || self.vms[index].state() != State::Running {
                return;
            }
        }
    }

    fn activate(&mut self, index: usize) {
        if self.active == Some(index) {
            return;
        }
        if let Some(previous) = self.active.replace(index) {
            self.vms[previous].vcpu.deactivate();
        }
        self.vms[index].vcpu.activate();
    }

    /// When something must be done even if no guest exits.
    fn deadline(&self, now: Instant) -> Instant {
        let feed = output::waiting().then_some(self.next_feed);
        let vms = self.vms.iter().filter_map(Vm::next_deadline);
        let latest = now + Duration::from_secs(1);
        vms.chain(self.network.next_deadline(now)).chain(feed).min().unwrap_or(latest).min(latest)
    }

    /// Waits for an interrupt or the next deadline.
    fn idle(&mut self) {
        let now = clock::now();
        if self.due > now {
            interrupt_controllers::wake_in((self.due - now).as_nanos() as u64);
            cpu::wait_for_interrupt();
            interrupt_controllers::cancel_wake();
        }
    }
}
