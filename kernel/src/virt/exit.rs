//! Why a guest stopped running, independent of the vendor.

use base::{GuestPhysical, Width};

/// An event to deliver to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedEvent {
    /// External interrupt.
    Interrupt(u8),
    /// Non-maskable interrupt.
    Nmi,
    /// Processor exception, with its error code where it has one.
    Exception {
        /// Vector.
        vector: u8,
        /// Error code.
        error: Option<u32>,
    },
    /// INT n, INT3, INTO or INT1, whose delivery was interrupted and must be repeated.
    Software {
        /// Vector.
        vector: u8,
        /// Kind as the vendor encodes it: 4 software interrupt, 5 privileged, 6 software exception.
        kind: u8,
        /// Length of the instruction in bytes.
        length: u8,
    },
}

impl InjectedEvent {
    /// True for a fault: the instruction pointer that the handler gets is that of an instruction which has not been
    /// executed. The others are traps, aborts and interrupts [SDM3A table 6-1]; #DB is either, and its exit tells which
    /// RFLAGS.RF belongs to it.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Exception { vector, .. } if !matches!(vector, 1..=4 | 8 | 18))
    }

    /// True for #DB, whichever way it is raised.
    #[must_use]
    pub fn is_debug_exception(self) -> bool {
        matches!(
            self,
            Self::Exception { vector: 1, .. } | Self::Software { vector: 1, kind: PRIVILEGED_SOFTWARE, .. }
        )
    }
}

/// Kind of a [`InjectedEvent::Software`] that is raised by INT1 [SDM3C 25.9.2].
pub const PRIVILEGED_SOFTWARE: u8 = 5;
/// #GP(0), which the processor raises for most invalid operations.
pub const GENERAL_PROTECTION: InjectedEvent = InjectedEvent::Exception { vector: 13, error: Some(0) };
/// #UD.
pub const INVALID_OPCODE: InjectedEvent = InjectedEvent::Exception { vector: 6, error: None };
/// #DE.
pub const DIVIDE_ERROR: InjectedEvent = InjectedEvent::Exception { vector: 0, error: None };

/// The kind of a guest's access to memory that nested paging does not map for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAccess {
    /// Load.
    Read,
    /// Store, or read-modify-write.
    Write,
    /// Instruction fetch.
    Fetch,
}

/// A port access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAccess {
    /// Port number.
    pub port: u16,
    /// Width of the data.
    pub width: Width,
    /// IN or INS.
    pub input: bool,
    /// The memory operand of INS or OUTS.
    pub string: Option<StringOperand>,
}

/// The memory operand of a string instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringOperand {
    /// Linear address of this element; `None` when the processor does not provide it and the instruction must be
    /// decoded.
    pub linear: Option<u64>,
    /// Address size: the part of RCX, RSI and RDI that is used.
    pub address: Width,
    /// The instruction has a REP prefix.
    pub repeated: bool,
}

/// Why the guest stopped running.
///
/// A variant with nothing but a number has the length of the instruction in bytes. The length of an instruction is zero when the processor does not provide it and the instruction must be
/// decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A hardware interrupt for Weir, which has been recorded.
    HostInterrupt,
    /// The ticks of the [`VmEntry`](super::VmEntry) have run out.
    Timer,
    /// The guest can take an interrupt now.
    InterruptWindow,
    /// The guest can take an NMI now.
    NmiWindow,
    /// Memory that nested paging does not map for this access.
    Memory {
        /// Address of the access.
        at: GuestPhysical,
        /// Kind of the access.
        access: MemoryAccess,
        /// False when the access was to the guest's own page tables, not by the instruction's operand.
        operand: bool,
    },
    /// IN, OUT, INS, OUTS.
    Port {
        /// The access.
        access: PortAccess,
        /// Length of the instruction in bytes.
        length: u8,
    },
    /// RDMSR of the register in ECX.
    ReadMsr(u8),
    /// WRMSR.
    WriteMsr(u8),
    /// CPUID.
    Cpuid(u8),
    /// HLT.
    Halt(u8),
    /// PAUSE in a loop.
    Pause(u8),
    /// An access to a control register, with what is needed to complete it.
    Control {
        /// Number of the control register.
        register: u8,
        /// The operation.
        operation: ControlOperation,
        /// Length of the instruction in bytes.
        length: u8,
    },
    /// XSETBV.
    SetXcr(u8),
    /// WBINVD or INVD: there is nothing to emulate.
    CacheFlush(u8),
    /// An instruction that the guest's CPUID does not offer: #UD.
    NotOffered,
    /// The guest has locked the bus: an atomic access across two cache lines, or to uncacheable memory.
    BusLock,
    /// An exception, which the guest receives: an intercepted one, or what an intercepted instruction raises on the
    /// processor that the guest sees.
    Exception(InjectedEvent),
    /// A task switch, which VT-x leaves to Weir.
    TaskSwitch,
    /// A machine check while the guest ran.
    MachineCheck,
    /// The guest's processor shut down: a fault during delivery of a double fault.
    TripleFault,
    /// The guest's state failed the checks of VM entry.
    InvalidState {
        /// The vendor's reason number.
        reason: u32,
    },
    /// An exit that should not happen with the controls that Weir sets.
    Unexpected {
        /// The vendor's reason number.
        reason: u32,
        /// The vendor's details.
        qualification: u64,
    },
}

/// What a guest did to a control register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlOperation {
    /// Write from this general-purpose register.
    Write(u8),
    /// Read into this general-purpose register.
    Read(u8),
    /// CLTS.
    ClearTaskSwitched,
    /// LMSW with this value.
    LoadMachineStatus(u16),
    /// SMSW into this general-purpose register, of which it writes this width.
    StoreMachineStatus(u8, Width),
    /// The processor does not provide it: the instruction must be decoded.
    Undecoded,
}

/// Number of kinds of exits, for the counters.
pub const KINDS: usize = 22;

impl Exit {
    /// The length of the instruction that exited, if dispatch steps over it.
    pub fn length_mut(&mut self) -> Option<&mut u8> {
        match self {
            Self::Port { length, .. }
            | Self::ReadMsr(length)
            | Self::WriteMsr(length)
            | Self::Cpuid(length)
            | Self::Halt(length)
            | Self::Pause(length)
            | Self::Control { length, .. }
            | Self::SetXcr(length)
            | Self::CacheFlush(length) => Some(length),
            _ => None,
        }
    }

    /// True when the processor has provided everything that dispatch needs.
    #[must_use]
    pub fn is_complete(mut self) -> bool {
        let decoded = match self {
            Self::Control { operation, .. } => operation != ControlOperation::Undecoded,
            Self::Port { access, .. } => access.string.is_none_or(|string| string.linear.is_some()),
            _ => true,
        };
        decoded && self.length_mut().is_none_or(|length| *length != 0)
    }

    /// The number of this kind of exit, for the counters, and its name.
    #[must_use]
    pub fn kind(&self) -> (usize, &'static str) {
        match self {
            Self::HostInterrupt => (0, "interrupt"),
            Self::Timer => (1, "timer"),
            Self::InterruptWindow => (2, "interrupt-window"),
            Self::NmiWindow => (3, "nmi-window"),
            Self::Memory { .. } => (4, "memory"),
            Self::Port { .. } => (5, "port"),
            Self::ReadMsr(_) => (6, "rdmsr"),
            Self::WriteMsr(_) => (7, "wrmsr"),
            Self::Cpuid(_) => (8, "cpuid"),
            Self::Halt(_) => (9, "hlt"),
            Self::Pause(_) => (10, "pause"),
            Self::Control { .. } => (11, "control-register"),
            Self::SetXcr(_) => (12, "xsetbv"),
            Self::CacheFlush(_) => (13, "cache-flush"),
            Self::NotOffered => (14, "not-offered"),
            Self::Exception(_) => (15, "exception"),
            Self::MachineCheck => (16, "machine-check"),
            Self::TripleFault => (17, "triple-fault"),
            Self::InvalidState { .. } => (18, "invalid-state"),
            Self::Unexpected { .. } => (19, "unexpected"),
            Self::BusLock => (20, "bus-lock"),
            Self::TaskSwitch => (21, "task-switch"),
        }
    }
}
