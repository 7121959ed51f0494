//! The main loop of a core: runs its guests by their shares, and serves timers, network and consoles between their
//! turns.
//!
//! Each core has its own loop, with guests of its own, and none waits for another. What else a core does is its
//! [`Duties`]; those of the boot core are in `boot_core.rs`.

use crate::hardware::interrupt::{local_apic, pending, vectors};
use crate::hardware::machine_check;
use crate::meeting::{directory, ending};
use crate::net::Network;
use crate::processor::{clock, cpu};
use crate::usage;
use crate::virt::VirtualCpu;
use crate::virt::exit::Exit;
use crate::virt::guards;
use crate::vm::Vm;
use crate::vm::exits::{Action, dispatch};
use alloc::vec::Vec;
use base::{Duration, Effects, Instant};
use schedule::{GuestTurn, RunQueue};
use shell::VmState;
use silicon::machine_check::Consequence;

/// Minimum run before the next timer exit. Without it, a guest whose timer fires faster than one trip through Weir
/// would never make progress.
const SHORTEST_RUN_NANOS: u64 = 20_000;
/// Maximum number of pieces of a guest's network work that are done at a time, and when it ends before that. What is
/// left is done in the guest's next turn.
const PIECES: usize = 4;
const WORK: Duration = Duration::from_micros(100);

/// What a core does besides running guests.
pub trait Duties<V: VirtualCpu> {
    /// Handles events. Returns how long that took: nobody is charged for it.
    fn attend(&mut self, vms: &mut [Vm<V>], now: Instant) -> Duration;

    /// When [`attend`](Self::attend) must be called even if nothing happens.
    fn next_deadline(&self) -> Option<Instant>;

    /// True when this core's main loop is to end.
    fn is_over(&self) -> bool;
}

/// The duties of every core but the boot core: none.
struct GuestsOnly;

impl<V: VirtualCpu> Duties<V> for GuestsOnly {
    fn attend(&mut self, _: &mut [Vm<V>], _: Instant) -> Duration {
        Duration::ZERO
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn is_over(&self) -> bool {
        ending::has_begun()
    }
}

/// Everything that runs on this core.
pub struct Scheduler<'a, V: VirtualCpu> {
    /// The VMs, under their indices in `queue`.
    vms: Vec<Vm<V>>,
    queue: RunQueue,
    network: &'static Network,
    duties: &'a mut dyn Duties<V>,
    /// The turn of the guest that runs, or the last one.
    turn: GuestTurn,
    /// The duties have said that the main loop is to end.
    over: bool,
    /// The VM whose guest's state is in the processor.
    active: Option<usize>,
    /// The VM whose guest ran last.
    last: Option<usize>,
    /// When [`housekeeping`](Self::housekeeping) must run, if nothing happens before.
    due: Instant,
    /// No guest has run since it did.
    kept: bool,
}

/// On a core other than the boot core: runs its guests until the boot core ends Weir.
pub fn run<V: VirtualCpu>(vms: Vec<Vm<V>>, network: &'static Network) {
    let mut duties = GuestsOnly;
    let mut scheduler = Scheduler::new(vms, network, &mut duties);
    scheduler.run();
    scheduler.log_statistics();
    ending::follow();
}

impl<'a, V: VirtualCpu> Scheduler<'a, V> {
    /// A scheduler for these VMs, which this core runs from now on.
    pub fn new(mut vms: Vec<Vm<V>>, network: &'static Network, duties: &'a mut dyn Duties<V>) -> Self {
        let mut queue = RunQueue::new();
        for vm in &mut vms {
            vm.vcpu.cpu.enter_core();
            // No more VMs than the configuration allows, which is less than the queue does.
            let _ = queue.add(vm.identity.shares);
        }
        let turn = GuestTurn::default();
        let due = Instant::ZERO;
        Self { vms, queue, network, duties, turn, over: false, active: None, last: None, due, kept: false }
    }

    /// Runs the guests until the duties say that the main loop is over.
    pub fn run(&mut self) {
        while !self.over {
            self.turn();
        }
    }

    /// Lets the guest that is first in the queue run for a while, or waits if none has anything to do.
    fn turn(&mut self) {
        let now = clock::now();
        if core::mem::take(&mut self.kept) && self.queue.next().is_some() {
            // The last turn ended with it. What has come since interrupts the guest that is entered next.
            self.due = self.deadline(now, self.queue.next(), self.turn.next(now));
        } else {
            self.housekeeping(now, None);
        }
        if self.over {
            return;
        }
        // That was at nobody's expense.
        let now = clock::now();
        let Some(index) = self.queue.next() else { return self.idle() };
        self.turn = self.turn.next(now);
        match self.vms[index].state() {
            VmState::Starting => self.start_step(index, now),
            VmState::Running if self.vms[index].may_enter() => self.run_slice(index, now),
            // It has halted, or is held, and its vNICs have work left.
            _ => {
                let nobodys = self.housekeeping(now, Some(index));
                self.charge(index, (clock::now() - now).saturating_sub(nobodys));
            }
        }
        self.turn = self.turn.ended(clock::now());
    }

    /// Logs what this core's guests have cost.
    pub fn log_statistics(&self) {
        self.vms.iter().for_each(Vm::log_statistics);
    }

    /// Handles what does not depend on a guest's exits: timers, network, consoles; and a piece of the work that the
    /// guest whose turn it is has given with its vNICs. Returns how long it worked at nobody's expense: for the
    /// wire, and for the core's other duties.
    fn housekeeping(&mut self, now: Instant, turn: Option<usize>) -> Duration {
        guards::note_foreign();
        // This core may have worked for long without a guest, or for one that is not interrupted (docs/emulators.md).
        cpu::take_interrupts();
        pending::take(vectors::WAKE_VECTOR);
        directory::quiet().look(now);
        let mut called = false;
        for vm in &mut self.vms {
            called |= vm.advance(now);
        }
        let worked = turn.is_some_and(|index| self.work(index));
        let wire = self.network.serve(self.queue.next().is_some(), if worked { clock::now() } else { now });
        if worked || !wire.is_zero() {
            self.vms.iter_mut().for_each(|vm| vm.after_frames(now));
        }
        let nobodys = wire + self.duties.attend(&mut self.vms, now);
        for (index, vm) in self.vms.iter().enumerate() {
            self.queue.set_runnable(index, vm.is_runnable() || vm.has_work());
        }
        if self.queue.next().is_none() {
            directory::quiet().stay_awake();
        } else if called {
            directory::quiet().rest(clock::now());
        }
        let nmis = pending::take_nmis();
        if nmis > 0 {
            log::warn!("{nmis} NMIs from the machine: unexpected, ignored");
        }
        if let Some(check) = machine_check::unreported() {
            // Only a processor that sleeps has not ended Weir itself.
            assert!(check.verdict != Consequence::StopMachine, "a processor that sleeps reports a {check}");
            log::error!("{check}");
        }
        self.over = self.duties.is_over();
        if let Some(active) = self.active {
            self.vms[active].publish_usage();
        }
        self.due = match turn {
            Some(_) => self.deadline(now, turn, self.turn),
            None => self.deadline(now, self.queue.next(), self.turn.next(now)),
        };
        self.kept = turn.is_some();
        nobodys
    }

    /// Does what a guest's vNICs have to do with the switches, a bounded piece of it. False if there was nothing.
    fn work(&mut self, index: usize) -> bool {
        let vm = &mut self.vms[index];
        let begin = clock::now();
        let mut worked = false;
        for _ in 0..PIECES {
            if !vm.has_work() || !vm.nics.next_with_work().is_some_and(|slot| self.network.work(slot)) {
                break;
            }
            worked = true;
            // What is left is noted as work again.
            let now = clock::now();
            vm.after_frames(now);
            if now - begin >= WORK {
                break;
            }
        }
        worked
    }

    /// Runs one guest until its slice is over or another must run, it has nothing to do, or it stops. Most exits change
    /// nothing that another part of Weir waits for: what they cost is charged with the next one that does.
    fn run_slice(&mut self, index: usize, start: Instant) {
        self.activate(index);
        usage::note_turn();
        self.vms[index].vcpu.statistics.note_turn(cpu::rdtsc());
        let (mut now, mut charged) = (start, start);
        let mut limit = self.limit(index, start);
        while limit.is_none_or(|limit| now < limit) {
            let due = if limit.is_some() { self.due.min(self.turn.exit_by(now)) } else { self.due };
            // The guest and its vNICs take turns.
            let due = if self.vms[index].has_work() { now } else { due };
            let (exit, effects, exited) = self.enter(index, nanos_until(due, now).max(SHORTEST_RUN_NANOS));
            now = exited;
            let vm = &self.vms[index];
            if effects.contains(Effects::TIMER_CHANGED) {
                now = clock::now();
                self.due = vm.next_deadline().map_or(self.due, |deadline| deadline.min(self.due));
            }
            let works = vm.needs_advance(effects) || vm.has_work();
            // What is left when its slice ends waits for the next one, but each has a piece of it.
            let ended = charged > start && limit.is_some_and(|limit| now >= limit);
            if !ended && (works || exit == Exit::HostInterrupt || now >= self.due) {
                now = clock::now();
                self.charge(index, now - charged);
                charged = now;
                // Work that a guest causes is charged to it, with its timers; work that other timers and the wire
                // cause is not.
                let works = works || self.vms[index].next_deadline().is_some_and(|due| due <= now);
                let nobodys = self.housekeeping(now, Some(index));
                now = clock::now();
                if works {
                    self.charge(index, (now - charged).saturating_sub(nobodys));
                }
                charged = now;
                limit = self.limit(index, now);
            }
            // It may have powered off, halted, been paused, started again, or held.
            if self.over || !self.vms[index].may_enter() {
                break;
            }
        }
        self.charge(index, clock::now() - charged);
        let vm = &self.vms[index];
        self.queue.set_runnable(index, vm.is_runnable() || vm.has_work());
        self.vms[index].publish_usage();
        usage::add_guests(self.vms[index].vcpu.statistics.take_ticks_inside());
    }

    /// When a guest that runs must leave the core to another: at the end of its slice, or when it is too far ahead. `None`
    /// while no other is runnable.
    fn limit(&self, index: usize, now: Instant) -> Option<Instant> {
        self.queue.lead(index).map(|lead| self.turn.limit(now, lead))
    }

    /// Enters a guest for at most this long and handles its exit. Returns the time of the exit, too.
    fn enter(&mut self, index: usize, nanos: u64) -> (Exit, Effects, Instant) {
        self.kept = false;
        let vm = &mut self.vms[index];
        let entry = vm.prepare_entry(clock::ticks(nanos));
        vm.vcpu.statistics.note_entry(cpu::rdtsc());
        let exit = vm.vcpu.cpu.enter(entry);
        let tsc = cpu::rdtsc();
        vm.vcpu.statistics.note_return(tsc);
        let now = clock::at(tsc);
        if let Action::Stop(reason) = dispatch(vm, exit, now) {
            vm.stop(&reason, now);
        }
        (exit, vm.take_effects(), now)
    }

    /// One step of a guest's start.
    fn start_step(&mut self, index: usize, now: Instant) {
        if self.active == Some(index) {
            self.vms[index].vcpu.cpu.deactivate();
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
            self.vms[previous].vcpu.cpu.deactivate();
        }
        if self.last.replace(index) != Some(index) {
            guards::another_guest();
        }
        self.vms[index].vcpu.activate();
    }

    /// When [`housekeeping`](Self::housekeeping) must run even if no guest exits, while the guest `running` has its turn.
    /// The timers of one that waits for its own are looked at when that comes.
    fn deadline(&self, now: Instant, running: Option<usize>, turn: GuestTurn) -> Instant {
        let called = self.vms.iter().any(|vm| directory::has_attention(vm.number()));
        let look = directory::quiet().rests_until().or(called.then_some(now));
        let vms = self.vms.iter().enumerate().filter_map(|(index, vm)| match running {
            Some(running) if running != index => vm.next_wake().map(|due| turn.wake(due)),
            _ => vm.next_deadline(),
        });
        let latest = now + Duration::from_secs(1);
        let wire = self.network.next_deadline(self.queue.next().is_some(), now);
        vms.chain(wire).chain(self.duties.next_deadline()).chain(look).min().unwrap_or(latest).min(latest)
    }

    /// Waits for an interrupt or the next deadline.
    fn idle(&mut self) {
        self.turn = GuestTurn::default();
        let now = clock::now();
        if self.due > now {
            local_apic::wake_in(nanos_until(self.due, now));
            usage::idle(cpu::wait_for_interrupt);
            local_apic::cancel_wake();
        }
    }
}

/// Nanoseconds from `now` to `due`; zero if `due` has passed.
fn nanos_until(due: Instant, now: Instant) -> u64 {
    due.as_nanos().saturating_sub(now.as_nanos())
}
