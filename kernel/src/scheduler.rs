//! The main loop of a processor: runs guests in turn, and looks after clock, wire and console in between.

use crate::hardware::{clock, cpu, interrupt_controllers, interrupts};
use crate::log::{output, serial};
use crate::net::Network;
use crate::usage;
use crate::virt::VirtualCpu;
use crate::virt::dispatch::{Action, dispatch};
use crate::virt::exit::Exit;
use crate::vm::{State, Vm};
use alloc::vec::Vec;
use base::{Duration, Effects, Instant};

/// How long a guest runs while others want to, too.
const SLICE: Duration = Duration::from_millis(2);
/// How often the serial port is fed while output waits: its FIFO of 16 bytes lasts 1.4 ms.
const FEED: Duration = Duration::from_millis(1);

/// Everything that runs.
pub struct Scheduler<V: VirtualCpu> {
    vms: Vec<Vm<V>>,
    network: Network,
    /// The guest whose state is in the processor.
    active: Option<usize>,
    /// The guest that typed bytes go to.
    focus: usize,
    next_feed: Instant,
    /// When [`housekeeping`](Self::housekeeping) has something to do, if nothing happens before.
    due: Instant,
}

impl<V: VirtualCpu> Scheduler<V> {
    /// A scheduler for these guests, all ready to start.
    pub fn new(vms: Vec<Vm<V>>, network: Network) -> Self {
        Self { vms, network, active: None, focus: 0, next_feed: Instant::ZERO, due: Instant::ZERO }
    }

    /// Runs until the last guest has stopped.
    pub fn run(&mut self) {
        // The first in the configuration goes first.
        let mut last = self.vms.len().saturating_sub(1);
        while self.vms.iter().any(|vm| vm.state() != State::Stopped) {
            let now = clock::now();
            self.housekeeping(now);
            match self.next_runnable(last) {
                Some(index) => {
                    last = index;
                    self.run_slice(index, now);
                }
                None => self.idle(),
            }
        }
        for vm in &self.vms {
            vm.log_statistics();
        }
        self.network.log_statistics();
        usage::log_statistics(self.vms.iter().map(Vm::ticks_inside).sum());
        log::info!("all guests stopped, powering off");
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
            output::pump();
            self.next_feed = now + FEED;
        }
        self.due = self.deadline(now);
    }

    fn take_input(&mut self, now: Instant) {
        while let Some(byte) = serial::receive() {
            if let Some(vm) = self.vms.get_mut(self.focus) {
                vm.give_console(byte, now);
            }
        }
    }

    /// Runs one guest until its slice is over, it has nothing to do, or it stops.
    fn run_slice(&mut self, index: usize, start: Instant) {
        self.activate(index);
        usage::note_turn();
        self.vms[index].note_turn(cpu::rdtsc());
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
            // It may have powered off, halted, or been woken again.
            if self.vms[index].state() != State::Running {
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
            usage::idle(cpu::wait_for_interrupt);
            interrupt_controllers::cancel_wake();
        }
    }
}
