//! What the shell can be told to do. VMs are given by their number in the configuration, from zero.

use core::fmt;

/// A command, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say which commands there are.
    Help,
    /// List the VMs and what they do.
    VmList,
    /// Change what a VM does.
    Vm {
        /// How.
        action: VmAction,
        /// Which one.
        vm: usize,
    },
    /// Give a guest the keyboard.
    Console {
        /// Which VM's; the last that had it if none is named.
        vm: Option<usize>,
        /// What becomes of the other guests' output.
        others: Others,
    },
    /// List the physical NICs.
    NetNics,
    /// List the vNICs.
    NetVms,
    /// Say what has been counted.
    Stats {
        /// Of this VM, or of all and of Weir.
        vm: Option<usize>,
    },
    /// Show the end of the log.
    Log,
    /// Start the machine anew.
    Reboot,
    /// Switch the machine off.
    PowerOff,
}

/// Other guests' output while one has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// As before.
    AsBefore,
    /// Kept, and shown when one of them gets the keyboard.
    Kept,
    /// Shown.
    Shown,
}

/// A step in the life of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmAction {
    /// Boot one that is stopped.
    Start,
    /// Let it execute nothing until it is resumed.
    Pause,
    /// Let a paused one go on.
    Resume,
    /// Cut its power.
    Stop,
    /// Cut its power and boot it.
    Restart,
}

impl fmt::Display for VmAction {
    /// The word for it in the shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Restart => "restart",
        })
    }
}
