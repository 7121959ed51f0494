//! The operator's actions on a VM, and what happens when its guest ends.
//!
//! While a VM is paused, time continues, as for a processor whose clock is stopped: its time-stamp counter runs,
//! its timers fire late, and its vNICs keep their link and fill their rings.

use super::StopReason;
use crate::meeting::directory;
use crate::virt::{self, VirtualCpu};
use crate::vm::Vm;
use crate::vm::exits::context::ExitContext;
use crate::vm::exits::history;
use base::{Duration, Instant};
use schedule::restart::{BackOff, Ending};
use shell::VmAction;
use shell::VmState;

impl<V: VirtualCpu> Vm<V> {
    /// What the VM is doing.
    pub fn state(&self) -> VmState {
        self.life.state
    }

    pub(in crate::vm) fn set_state(&mut self, state: VmState) {
        if self.life.state != state {
            let before = self.life.state;
            self.life.state = state;
            if before.is_on() != state.is_on() {
                self.switch_nics();
            }
            directory::publish(self.identity.number, state);
        }
    }

    /// Carries out an action of the operator, if it still makes sense.
    pub(in crate::vm) fn act(&mut self, action: VmAction, now: Instant) {
        if let Err(refusal) = self.life.state.check(action) {
            log::warn!("{}: no {action}: {refusal}", self.identity.name);
            return;
        }
        match action {
            VmAction::Start => {
                self.life.back_off = BackOff::default();
                self.begin_start(now);
            }
            VmAction::Pause => {
                self.set_state(VmState::Paused);
                log::info!("{}: paused", self.identity.name);
            }
            VmAction::Resume => {
                self.set_state(if self.vcpu.halted { VmState::Idle } else { VmState::Running });
                log::info!("{}: resumed", self.identity.name);
            }
            VmAction::Button => self.effects |= self.pc.press_power_button(),
            VmAction::Stop => self.stop(&StopReason::Operator, now),
            VmAction::Restart => {
                self.stop(&StopReason::Operator, now);
                self.begin_start(now);
            }
        }
    }

    /// Stops the guest, with a report if it crashed, and decides whether it starts again.
    pub fn stop(&mut self, reason: &StopReason, now: Instant) {
        if matches!(self.life.state, VmState::Stopped | VmState::Ended) {
            return;
        }
        directory::note_reason(self.identity.number, reason);
        let ending = reason.ending();
        match ending {
            Ending::Crash => self.report(reason),
            // The report would read the guest's code, which may be what is wrong.
            Ending::MachineCheck => log::error!("{}: stopped: {reason}", self.identity.name),
            _ => log::info!("{}: {reason}", self.identity.name),
        }
        let wait = self.life.back_off.after(ending, self.life.policy, now - self.life.started);
        self.life.start_at = wait.map(|wait| now + wait);
        match wait {
            None if ending == Ending::Operator => self.set_state(VmState::Stopped),
            None => self.set_state(VmState::Ended),
            Some(wait) => {
                self.set_state(VmState::Waiting);
                if wait > Duration::ZERO {
                    let what = if ending == Ending::Crash { "crash" } else { "early reset" };
                    let (times, wait) = (self.life.back_off.crashes(), wait.as_secs());
                    log::warn!("{}: {what} {times} in a row, starts again in {wait} s", self.identity.name);
                }
            }
        }
    }

    fn report(&mut self, reason: &StopReason) {
        log::error!("{}: stopped: {reason}", self.identity.name);
        virt::report::describe(&self.vcpu.cpu, &mut |text| log::error!("{}:   {text}", self.identity.name));
        let mut context = ExitContext::default();
        log::error!("{}:   code at rip {:02x?}", self.identity.name, context.code(self));
        history::for_each_of(self.identity.number, |text| log::error!("{}:   {text}", self.identity.name));
    }
}
