//! The state of a VM, and which actions make sense in it.

use crate::command::VmAction;
use core::fmt;

/// What a VM is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VmState {
    /// The operator has cut its power, or it was never started.
    Stopped,
    /// Its memory is being cleared and loaded.
    Starting,
    /// Its guest has instructions to execute.
    Running,
    /// Its guest waits for an interrupt.
    Idle,
    /// The operator has paused it.
    Paused,
    /// Its guest has crashed or reset itself, and starts again after a delay.
    Waiting,
    /// Its guest has powered off, or has crashed and is not restarted.
    Ended,
    /// It could not be built: it has neither memory nor a processor.
    Unusable,
}

/// Why an action on a VM is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionRefusal {
    /// There is no VM of this number.
    #[error("there is no such VM")]
    NoSuchVm,
    /// It is on already, or starting.
    #[error("it is {0}")]
    NotOff(VmState),
    /// It does not execute.
    #[error("it is {0}")]
    NotOn(VmState),
    /// It is not paused.
    #[error("it is not paused")]
    NotPaused,
    /// It is off.
    #[error("it is {0}")]
    Off(VmState),
    /// It could not be built.
    #[error("it is unusable")]
    Unusable,
    /// Its core has not handled the last request.
    #[error("its core has not handled the last request yet")]
    Busy,
}

impl VmState {
    const ALL: [Self; 8] = {
        use VmState::*;
        [Stopped, Starting, Running, Idle, Paused, Waiting, Ended, Unusable]
    };

    /// The state with this number.
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Stopped)
    }

    /// True while the guest's machine has power: its devices work, whether or not it executes.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Running | Self::Idle | Self::Paused)
    }

    /// True while its core has work for it: instructions to execute, or its start.
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Running | Self::Starting)
    }

    /// Whether an action makes sense in this state.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(self, action: VmAction) -> Result<(), ActionRefusal> {
        match (action, self) {
            (_, Self::Unusable) => Err(ActionRefusal::Unusable),
            (VmAction::Start, Self::Waiting | Self::Stopped | Self::Ended)
            | (VmAction::Pause | VmAction::Button, Self::Running | Self::Idle)
            | (VmAction::Resume, Self::Paused)
            | (VmAction::Stop, Self::Starting | Self::Running | Self::Idle | Self::Paused | Self::Waiting)
            | (VmAction::Restart, _) => Ok(()),
            (VmAction::Start, Self::Starting | Self::Running | Self::Idle | Self::Paused) => {
                Err(ActionRefusal::NotOff(self))
            }
            (VmAction::Pause | VmAction::Button, _) => Err(ActionRefusal::NotOn(self)),
            (VmAction::Resume, _) => Err(ActionRefusal::NotPaused),
            (VmAction::Stop, Self::Stopped | Self::Ended) => Err(ActionRefusal::Off(self)),
        }
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
            Self::Unusable => "unusable",
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn numbers_name_their_states() {
        for state in VmState::ALL {
            assert_eq!(VmState::from_number(state as u8), state);
        }
    }

    #[test]
    fn each_action_is_taken_in_its_states_only() {
        use VmState::*;
        let takes = |action| VmState::ALL.into_iter().filter(move |state| state.check(action).is_ok());
        assert!(takes(VmAction::Start).eq([Stopped, Waiting, Ended]));
        assert!(takes(VmAction::Pause).eq([Running, Idle]));
        assert!(takes(VmAction::Button).eq([Running, Idle]));
        assert!(takes(VmAction::Resume).eq([Paused]));
        assert!(takes(VmAction::Stop).eq([Starting, Running, Idle, Paused, Waiting]));
        assert!(takes(VmAction::Restart).eq([Stopped, Starting, Running, Idle, Paused, Waiting, Ended]));
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |state: VmState, action| std::format!("{}", state.check(action).unwrap_err());
        assert_eq!(refusal(VmState::Running, VmAction::Resume), "it is not paused");
        assert_eq!(refusal(VmState::Idle, VmAction::Start), "it is idle");
        assert_eq!(refusal(VmState::Waiting, VmAction::Pause), "it is waiting");
        assert_eq!(refusal(VmState::Ended, VmAction::Stop), "it is ended");
        assert_eq!(refusal(VmState::Unusable, VmAction::Start), "it is unusable");
    }
}
