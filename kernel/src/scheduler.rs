//! The main loop of a core: runs its guests by their shares, and looks after clock, wire and console in between.
//!
//! Each core has its own, with guests of its own, and none waits for another. The boot core looks after the serial
//! line, the shell and the physical NICs as well, and ends Weir.

use crate::hardware::{clock, cores, cpu, interrupt_controllers, interrupts};
use crate::log::{output, serial, view};
use crate::net::Network;
use crate::shell::{Input, Shell};
use crate::usage;
use crate::virt::VirtualCpu;
use crate::virt::dispatch::{Action, dispatch};
use crate::virt::exit::Exit;
use crate::vm::{State, Vm, directory};
use alloc::vec::Vec;
use base::{Duration, Effects, Instant};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use schedule::{RunQueue, SLICE};

/// How often the serial port is fed while output waits: its FIFO of 16 bytes lasts 1.4 ms.
const FEED: Duration = Duration::from_millis(1);
/// How long a guest runs at least before its next exit for time: one that sets a timer to go off faster than Weir
/// gets round would otherwise never execute an instruction again.
const SHORTEST_RUN: Duration = Duration::from_micros(20);
/// How often frames are moved in one go, when moving them makes room for more.
const ROUNDS: usize = 2;
/// How long the other cores are given to end.
const PARTING: Duration = Duration::from_secs(1);

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

/// The boot core has ended, and the others are to.
static ENDING: AtomicBool = AtomicBool::new(false);
/// Other cores that have ended.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Everything that runs on this core.
pub struct Scheduler<V: VirtualCpu> {
    /// The guests, under their numbers in `queue`.
    vms: Vec<Vm<V>>,
    queue: RunQueue,
    network: &'static Network,
    /// On the boot core.
    shell: Option<Shell>,
    /// How the operator wants the main loop to end.
    end: Option<End>,
    /// The guest whose state is in the processor.
    active: Option<usize>,
    next_feed: Instant,
    /// When [`housekeeping`](Self::housekeeping) has something to do, if nothing happens before.
    due: Instant,
}

impl<V: VirtualCpu> Scheduler<V> {
    /// A scheduler for these guests, which this core runs from now on: those that are on run, the others wait to be
    /// started.
    pub fn new(mut vms: Vec<Vm<V>>, network: &'static Network, shell: Option<Shell>) -> Self {
        let mut queue = RunQueue::new();
        for vm in &mut vms {
            vm.vcpu.enter_core();
            // No more guests than the configuration allows, which is less than the queue does.
            let _ = queue.add(vm.shares);
        }
        let (next_feed, due) = (Instant::ZERO, Instant::ZERO);
        Self { vms, queue, network, shell, end: None, active: None, next_feed, due }
    }

    /// The network.
    pub fn network(&self) -> &'static Network {
        self.network
    }

    /// On the boot core: runs until every guest has ended for good, or the operator wants an end.
    pub fn run(&mut self) -> End {
        let end = loop {
            if let Some(end) = self.end {
                break end;
            }
            if directory::all_ended() {
                break End::AllStopped;
            }
            self.turn();
        };
        // What follows must find room.
        output::flush();
        self.log_statistics();
        end_others();
        self.network.log_statistics();
        usage::log_statistics();
        match end {
            End::AllStopped => log::info!("all guests stopped, powering off"),
            End::PowerOff => log::info!("powering off, as the operator wants"),
            End::Reboot => log::info!("resetting the machine, as the operator wants"),
        }
        end
    }

    /// On another core: runs until the boot core ends.
    pub fn run_until_ended(&mut self) {
        while !ENDING.load(Ordering::Acquire) {
            self.turn();
        }
        self.log_statistics();
        ENDED.fetch_add(1, Ordering::Release);
    }

    fn turn(&mut self) {
        let now = clock::now();
        self.housekeeping(now);
        match self.queue.next() {
            Some(index) if self.vms[index].state() == State::Starting => self.start_step(index, now),
            Some(index) => self.run_slice(index, now),
            None => self.idle(),
        }
    }

    fn log_statistics(&self) {
        self.vms.iter().for_each(Vm::log_statistics);
    }

    /// What does not depend on a guest's exits: time, wire, console.
    fn housekeeping(&mut self, now: Instant) {
        interrupts::take(interrupts::WAKE_VECTOR);
        for vm in &mut self.vms {
            vm.advance(now);
        }
        self.move_frames(now);
        for (index, vm) in self.vms.iter().enumerate() {
            self.queue.set_runnable(index, vm.state().is_runnable());
        }
        // The port is asked as well: its interrupt is an edge, and one that is lost would not come again. In Bochs 2.7
        // with several processors the boot core's stays pending while a guest on it spins.
        let asked = self.shell.is_some() && now >= self.next_feed && serial::waiting();
        if interrupts::take(interrupts::SERIAL_VECTOR) || asked {
            self.take_input(now);
        }
        let nmis = interrupts::take_nmis();
        if nmis > 0 {
            log::warn!("{nmis} NMIs from the machine: nothing here asks for any");
        }
        if now >= self.next_feed {
            // Not before: while others speak without end, the prompt would be drawn without end.
            if !output::pump() {
                self.shell.iter().for_each(Shell::refresh);
            }
            self.next_feed = now + FEED;
        }
        if let Some(active) = self.active {
            self.vms[active].publish_usage();
        }
        self.due = self.deadline(now);
    }

    /// Has frames moved, and moved again when that gives a guest room for more.
    fn move_frames(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            let kicks = self.vms.iter_mut().fold(0, |kicks, vm| kicks | vm.take_kicks());
            self.network.service(kicks, now);
            self.vms.iter_mut().for_each(|vm| vm.after_frames(now));
            if !self.vms.iter().any(Vm::has_kicks) {
                return;
            }
        }
    }

    fn take_input(&mut self, now: Instant) {
        let Some(mut shell) = self.shell.take() else { return };
        let before = view::current();
        while let Some(byte) = serial::receive() {
            match shell.typed(byte) {
                Input::Guest(guest, byte) => directory::type_byte(guest, byte),
                Input::Command(command) => self.end = shell.execute(command, self, now).or(self.end),
                Input::Done => {}
            }
        }
        self.shell = Some(shell);
        if view::current() != before {
            // Their guests' consoles are shown, or not any more.
            (cores::BOOT_CORE + 1..cores::count()).for_each(interrupt_controllers::wake);
        }
    }

    /// Has done what was asked of a guest: by this core, if the guest is here, else by its own.
    pub fn await_answer(&mut self, vm: usize, now: Instant) {
        match self.vms.iter_mut().find(|here| here.number() == vm) {
            Some(here) => here.attend(now),
            None => directory::await_answer(vm, now),
        }
    }

    /// Runs one guest until its slice is over or another must run, it has nothing to do, or it stops.
    fn run_slice(&mut self, index: usize, start: Instant) {
        self.activate(index);
        usage::note_turn();
        self.vms[index].note_turn(cpu::rdtsc());
        let end = start + SLICE;
        let (mut now, mut charged) = (start, start);
        loop {
            let contended = self.queue.contended(index);
            if contended && (now >= end || self.queue.preempts(index)) {
                break;
            }
            let due = if contended { self.due.min(end) } else { self.due };
            let (exit, effects) = self.enter(index, (due - now).max(SHORTEST_RUN));
            now = clock::now();
            self.charge(index, now - charged);
            charged = now;
            // Most exits change nothing that anybody waits for.
            if !effects.is_empty() || exit == Exit::HostInterrupt || now >= self.due {
                self.housekeeping(now);
                now = clock::now();
                // What a guest sets in motion is its own expense; what the clock and the wire bring is not.
                if !effects.is_empty() {
                    self.charge(index, now - charged);
                }
                charged = now;
            }
            // It may have powered off, halted, been woken again, or paused.
            let over = self.end.is_some() || ENDING.load(Ordering::Relaxed);
            if over || self.vms[index].state() != State::Running {
                break;
            }
        }
        self.queue.set_runnable(index, self.vms[index].state().is_runnable());
        self.vms[index].publish_usage();
        usage::add_guests(self.vms[index].take_ticks_inside());
    }

    /// Enters a guest for at most `length` and works on its exit.
    fn enter(&mut self, index: usize, length: Duration) -> (Exit, Effects) {
        let vm = &mut self.vms[index];
        let entry = vm.prepare_entry(clock::ticks(length.as_nanos() as u64));
        vm.note_entry(cpu::rdtsc());
        let exit = vm.vcpu.enter(entry);
        vm.note_return(cpu::rdtsc());
        let now = clock::now();
        if let Action::Stop(reason) = dispatch(vm, exit, now) {
            vm.stop(&reason, now);
        }
        (exit, vm.take_effects())
    }

    /// One piece of a guest's start.
    fn start_step(&mut self, index: usize, now: Instant) {
        if self.active == Some(index) {
            self.vms[index].vcpu.deactivate();
            self.active = None;
        }
        self.vms[index].start_step(now);
        self.charge(index, clock::now() - now);
    }

    fn charge(&mut self, index: usize, ran: Duration) {
        self.queue.charge(index, ran);
        self.vms[index].note_run(ran);
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
        if self.vms.iter().any(|vm| vm.has_kicks() || directory::has_attention(vm.number())) {
            return now;
        }
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

/// Has the other cores end, and say what their guests have cost.
fn end_others() {
    ENDING.store(true, Ordering::Release);
    let others = cores::count() - 1;
    (1..=others).for_each(interrupt_controllers::wake);
    let until = clock::now() + PARTING;
    while ENDED.load(Ordering::Acquire) < others && clock::now() < until {
        output::pump();
    }
}
