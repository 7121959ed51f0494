//! Why a guest was stopped.

use crate::virt::exit::MemoryAccess;
use base::GuestPhysical;
use platform::boot::LoadError;
use platform::power::PowerEvent;
use schedule::restart::Ending;

/// Why a guest was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It powered itself off.
    #[error("powered off")]
    PowerOff,
    /// The operator cut its power.
    #[error("stopped by the operator")]
    Operator,
    /// It reset itself.
    #[error("reset")]
    Reset,
    /// A fault while delivering a double fault.
    #[error("triple fault")]
    TripleFault,
    /// It switched tasks, as a 32-bit kernel's double-fault handler does.
    #[error(
        "task switch by hardware, which is not emulated: a 32-bit guest's double fault, unless it uses task gates otherwise"
    )]
    TaskSwitch,
    /// The machine gave this guest wrong data.
    #[error("machine check: its memory may be wrong, so it is not started again by itself")]
    MachineCheck,
    /// It executed code, or had page tables, at an address that is not memory.
    #[error("{access:?} at {at}, which is not memory")]
    NotMemory {
        /// Where.
        at: GuestPhysical,
        /// How.
        access: MemoryAccess,
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
    /// Its images could be loaded at boot, but not again.
    #[error("its images cannot be loaded: {0}")]
    Images(#[from] LoadError),
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
    /// The kind of ending, which decides whether the guest is restarted.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self {
            Self::PowerOff => Ending::PowerOff,
            Self::Reset => Ending::Reset,
            Self::Operator => Ending::Operator,
            Self::MachineCheck => Ending::MachineCheck,
            Self::TripleFault
            | Self::TaskSwitch
            | Self::NotMemory { .. }
            | Self::InvalidState { .. }
            | Self::UnexpectedExit { .. }
            | Self::Images(_) => Ending::Crash,
        }
    }
}
