//! The shell's commands. VMs, teams and NICs are identified by their places in [`crate::Names`], counted from zero.

use core::fmt;
use nic_manager::{AdminState, FrameDestination, TeamPolicy};

/// A parsed command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellCommand {
    /// List the commands.
    Help,
    /// List the VMs and their states.
    VmList,
    /// Show the state of a VM, and why it was stopped.
    VmStatus {
        /// The VM.
        vm: usize,
    },
    /// Start, pause, resume, shut down, stop or restart a VM.
    Vm {
        /// The action.
        action: VmAction,
        /// The VM.
        vm: usize,
    },
    /// Give a guest the keyboard.
    Console {
        /// The guest's VM; `None` for the guest that had the keyboard last.
        vm: Option<usize>,
        /// Whether the other guests' output is shown.
        others: Others,
    },
    /// List the physical NICs.
    NetNics,
    /// List the vNICs.
    NetVms,
    /// Show or change teams.
    Team(TeamCommand),
    /// Show what passes the NICs, again and again.
    NetTop {
        /// One picture after the other, without control of the terminal.
        plain: bool,
    },
    /// Show statistics.
    Stats {
        /// The VM; `None` for the machine, with a summary of every VM.
        vm: Option<usize>,
    },
    /// Show the end of the log.
    Log,
    /// Reset the machine.
    Reboot,
    /// Power the machine off.
    PowerOff,
}

/// A command for teams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamCommand {
    /// List them.
    List,
    /// Show all of one.
    Describe {
        /// The team.
        team: usize,
    },
    /// Explain which NIC carries the frames of a VM.
    Why {
        /// The VM.
        vm: usize,
        /// Where the frames go.
        destination: Option<FrameDestination>,
    },
    /// Show what was decided.
    Events,
    /// Show all that was known, for a machine to read.
    RawEvents {
        /// The team; `None` for all.
        team: Option<usize>,
    },
    /// Let a team divide frames in another way.
    Policy {
        /// The team.
        team: usize,
        /// How.
        policy: TeamPolicy,
    },
    /// Use a NIC, or do not.
    Nic {
        /// The NIC.
        nic: usize,
        /// What is wanted of it.
        state: AdminState,
    },
}

/// What happens to the other guests' output while one has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// No change.
    AsBefore,
    /// It is kept, and shown when that guest gets the keyboard.
    Kept,
    /// It is shown.
    Shown,
}

/// An action on a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmAction {
    /// Boot a stopped VM.
    Start,
    /// Suspend it until it is resumed.
    Pause,
    /// Resume a paused VM.
    Resume,
    /// Press its power button: a guest with ACPI shuts down by itself.
    Button,
    /// Power it off without a clean shutdown.
    Stop,
    /// Power it off without a clean shutdown and boot it again.
    Restart,
}

impl fmt::Display for VmAction {
    /// Its word in the shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Button => "button",
            Self::Stop => "stop",
            Self::Restart => "restart",
        })
    }
}
