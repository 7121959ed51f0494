//! Why a guest was stopped.

use crate::virt::exit::MemoryAccess;
use base::GuestPhysical;
use mmio::DecodeError;
use platform::boot::LoadError;
use platform::power::PowerEvent;
use schedule::restart::Ending;

/// Why a guest was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It asked for it.
    #[error("powered off")]
    PowerOff,
    /// Somebody cut its power.
    #[error("stopped by the operator")]
    Operator,
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
    /// Its images, sound at boot, cannot be loaded again.
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
    /// How this counts when it is decided whether the guest is started again.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self {
            Self::PowerOff => Ending::PowerOff,
            Self::Reset => Ending::Reset,
            Self::Operator => Ending::Operator,
            Self::TripleFault
            | Self::MachineCheck
            | Self::NotMemory { .. }
            | Self::Instruction { .. }
            | Self::InvalidState { .. }
            | Self::UnexpectedExit { .. }
            | Self::Images(_) => Ending::Crash,
        }
    }
}
