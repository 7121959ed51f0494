//! A guest's life: start, pause, resume, stop, restart, and what follows when it ends.
//!
//! While a guest is paused time goes on, as for a processor whose clock is stopped: its time-stamp counter runs,
//! its timers fire late, and its network cards keep their link and fill their rings.

use super::stop_reason::StopReason;
use super::{Vm, device_access, directory, history};
use crate::virt::{self, VirtualCpu};
use base::{Duration, Instant};
use core::fmt;
use schedule::restart::{BackOff, Ending};
use shell::VmAction;

/// What a guest is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Its memory is being cleared and loaded.
    Starting,
    /// It has instructions to execute.
    Running,
    /// It waits for an interrupt.
    Idle,
    /// An operator holds it.
    Paused,
    /// It has crashed or reset itself, and is started again in a while.
    Waiting,
    /// An operator has cut its power, or it was never started.
    Stopped,
    /// It has powered off, or crashed and does not come back.
    Ended,
}

/// Why an action on a guest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no guest of this number.
    #[error("there is no such VM")]
    NoSuchVm,
    /// It is on, or about to be.
    #[error("it is {0}")]
    NotOff(State),
    /// It does not execute.
    #[error("it is {0}")]
    NotOn(State),
    /// It is not paused.
    #[error("it is not paused")]
    NotPaused,
    /// It is off.
    #[error("it is {0}")]
    Off(State),
    /// It has not taken up the last request.
    #[error("its core has not taken up the last request yet")]
    Busy,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Starting, Self::Running, Self::Idle, Self::Paused, Self::Waiting, Self::Stopped, Self::Ended];

    /// The state with this number.
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Stopped)
    }

    /// True while the guest's machine has power: its devices work, whether or not it executes.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Running | Self::Idle | Self::Paused)
    }

    /// True when there is something to do for it on its core: instructions, or its start.
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Running | Self::Starting)
    }

    /// Whether an action makes sense in this state.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(self, action: VmAction) -> Result<(), Refusal> {
        match (action, self) {
            (VmAction::Start, Self::Waiting | Self::Stopped | Self::Ended)
            | (VmAction::Pause, Self::Running | Self::Idle)
            | (VmAction::Resume, Self::Paused)
            | (VmAction::Stop, Self::Starting | Self::Running | Self::Idle | Self::Paused | Self::Waiting)
            | (VmAction::Restart, _) => Ok(()),
            (VmAction::Start, Self::Starting | Self::Running | Self::Idle | Self::Paused) => {
                Err(Refusal::NotOff(self))
            }
            (VmAction::Pause, _) => Err(Refusal::NotOn(self)),
            (VmAction::Resume, _) => Err(Refusal::NotPaused),
            (VmAction::Stop, Self::Stopped | Self::Ended) => Err(Refusal::Off(self)),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        })
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    pub(super) fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.switch_nics();
            directory::publish(self.number, state);
        }
    }

    /// Does what somebody asked for, if it still makes sense.
    pub(super) fn act(&mut self, action: VmAction, now: Instant) {
        if let Err(refusal) = self.state.check(action) {
            log::warn!("{}: no {action}: {refusal}", self.name);
            return;
        }
        match action {
            VmAction::Start => {
                self.back_off = BackOff::default();
                self.begin_start();
            }
            VmAction::Pause => {
                self.set_state(State::Paused);
                log::info!("{}: paused", self.name);
            }
            VmAction::Resume => {
                self.set_state(if self.halted { State::Idle } else { State::Running });
                log::info!("{}: resumed", self.name);
            }
            VmAction::Stop => self.stop(&StopReason::Operator, now),
            VmAction::Restart => {
                self.stop(&StopReason::Operator, now);
                self.begin_start();
            }
        }
    }

    /// Ends the guest, with a report when it was nobody's wish, and decides what follows.
    pub fn stop(&mut self, reason: &StopReason, now: Instant) {
        if matches!(self.state, State::Stopped | State::Ended) {
            return;
        }
        let ending = reason.ending();
        if ending == Ending::Crash {
            self.report(reason);
        } else {
            log::info!("{}: {reason}", self.name);
        }
        let wait = self.back_off.after(ending, self.policy, now - self.started);
        self.start_at = wait.map(|wait| now + wait);
        match wait {
            None if ending == Ending::Operator => self.set_state(State::Stopped),
            None => self.set_state(State::Ended),
            Some(wait) => {
                self.set_state(State::Waiting);
                if wait > Duration::ZERO {
                    let (crashes, wait) = (self.back_off.crashes(), wait.as_secs());
                    log::warn!("{}: crash {crashes} in a row, starts again in {wait} s", self.name);
                }
            }
        }
    }

    fn report(&mut self, reason: &StopReason) {
        log::error!("{}: stopped: {reason}", self.name);
        virt::report::describe(&self.vcpu, &mut |text| log::error!("{}:   {text}", self.name));
        let mut bytes = [0; 15];
        let code = device_access::fetch(self, &mut bytes);
        log::error!("{}:   code at rip {code:02x?}", self.name);
        history::for_each_of(self.number, |text| log::error!("{}:   {text}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_their_states() {
        for state in State::ALL {
            assert_eq!(State::from_number(state as u8), state);
        }
    }

    #[test]
    fn each_action_is_taken_in_its_states_only() {
        use State::*;
        let takes = |action| State::ALL.into_iter().filter(move |state| state.check(action).is_ok());
        assert!(takes(VmAction::Start).eq([Waiting, Stopped, Ended]));
        assert!(takes(VmAction::Pause).eq([Running, Idle]));
        assert!(takes(VmAction::Resume).eq([Paused]));
        assert!(takes(VmAction::Stop).eq([Starting, Running, Idle, Paused, Waiting]));
        assert!(takes(VmAction::Restart).eq(State::ALL));
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |state: State, action| alloc::format!("{}", state.check(action).unwrap_err());
        assert_eq!(refusal(State::Running, VmAction::Resume), "it is not paused");
        assert_eq!(refusal(State::Idle, VmAction::Start), "it is idle");
        assert_eq!(refusal(State::Waiting, VmAction::Pause), "it is waiting");
        assert_eq!(refusal(State::Ended, VmAction::Stop), "it is ended");
    }
}
