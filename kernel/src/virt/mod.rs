//! Virtual processors: one trait, with one folder per vendor behind it.
//!
//! Nothing outside the vendor folders names a vendor. Entering a virtual processor returns an [`Exit`]; all other
//! functions read and write registers by their architectural names.

mod control_field;
pub mod exit;
#[cfg(test)]
pub mod fake;
mod intercept_maps;
pub mod offer;
pub mod report;
pub mod state;
mod svm;
mod vmx;

pub use exit::{Exit, InjectedEvent};
pub use state::registers::{GeneralRegisters, Paging, SegmentRegister, SegmentState};

use crate::memory::PageFrames;
use core::fmt;
use mmio::CpuMode;
use nested_paging::{NestedPages, PageSize};
use platform::boot::EntryState;
use state::control_registers::{Cr0Flags, Cr4Flags, RFlags};

/// The parameters of one VM entry.
#[derive(Clone, Copy, Debug)]
pub struct VmEntry {
    /// Event to deliver before the first instruction. The caller has checked that the guest can take it.
    pub inject: Option<InjectedEvent>,
    /// Exit as soon as the guest can take an interrupt.
    pub interrupt_window: bool,
    /// Exit as soon as the guest can take an NMI.
    pub nmi_window: bool,
    /// CR8, for processors on which reading it does not exit.
    pub task_priority: u8,
    /// Exit after this many ticks of the time-stamp counter.
    pub ticks: u64,
}

/// Longest instruction [SDM2A 2.3.11].
pub const LONGEST_INSTRUCTION: usize = 15;

/// The known bytes of an instruction.
pub type InstructionBytes = heapless::Vec<u8, LONGEST_INSTRUCTION>;

/// One virtual processor of either vendor.
///
/// Between [`activate`](Self::activate) and [`deactivate`](Self::deactivate) the processor holds the guest
/// state that VM entries and exits do not switch: extended registers, system-call MSRs, debug registers.
pub trait VirtualCpu: Sized + 'static {
    /// This vendor's format of nested page tables.
    type Tables: nested_paging::Format;

    /// Switches the virtualization extension on for this core. The boot core, which comes first, also decides what
    /// guests are offered and logs the capabilities. Must be called before any other function of this trait.
    ///
    /// # Errors
    /// The missing feature, and what to do about it.
    fn enter_operation(frames: &mut PageFrames) -> Result<(), VirtError>;

    /// Makes a virtual processor on these nested page tables. Its guest may set the bits `cr4` of CR4: those whose
    /// features its CPUID offers.
    ///
    /// # Errors
    /// When the machine is out of memory, or the processor has no identifier left for this guest's translations.
    fn new(
        frames: &mut PageFrames,
        number: u16,
        nested: &NestedPages<Self::Tables>,
        cr4: Cr4Flags,
    ) -> Result<Self, VirtError>;

    /// Resets it to the state that [`new`](Self::new) returns, on the same nested page tables. It must not be
    /// active.
    fn reset(&mut self);

    /// Detaches it from this core, which made it or ran it until now. It must not be active.
    fn leave_core(&mut self);

    /// Attaches it to this core, which runs it from now on. Must be the first call after [`new`](Self::new) or
    /// after it has left another core.
    fn enter_core(&mut self);

    /// The largest page that the processor's nested tables can map.
    fn largest_page() -> PageSize;

    /// Loads the guest state that entries and exits do not switch into the processor.
    fn activate(&mut self);

    /// Saves that state from the processor.
    fn deactivate(&mut self);

    /// Runs the guest until its next exit.
    fn enter(&mut self, entry: VmEntry) -> Exit;

    /// A general-purpose register by its number in instructions, RSP included.
    fn general(&self, number: usize) -> u64;

    /// Sets a general-purpose register.
    fn set_general(&mut self, number: usize, value: u64);

    /// Instruction pointer.
    fn rip(&self) -> u64;

    /// Sets the instruction pointer after an emulated instruction. This ends the interrupt shadow of STI and
    /// MOV SS.
    fn set_rip(&mut self, rip: u64);

    /// Flags.
    fn rflags(&self) -> RFlags;

    /// Sets the flags.
    fn set_rflags(&mut self, value: RFlags);

    /// The control registers that address translation depends on.
    fn paging(&self) -> Paging;

    /// The mode in which the processor decodes the guest's code.
    fn code_mode(&self) -> CpuMode;

    /// True if the guest runs with user privilege: CPL 3, which is the DPL of SS [SDM3C 25.4.1] [APM2 4.7].
    fn is_user(&self) -> bool;

    /// The base of a segment: all of it that most exits need.
    fn segment_base(&self, which: SegmentRegister) -> u64;

    /// A segment register.
    fn segment(&self, which: SegmentRegister) -> SegmentState;

    /// True when an external interrupt can be delivered: RFLAGS.IF is set and there is no interrupt shadow.
    fn interruptible(&self) -> bool;

    /// True when an NMI can be delivered.
    fn nmi_ready(&self) -> bool;

    /// Sets the registers to the entry state of the boot protocol.
    fn set_boot_state(&mut self, state: &EntryState);

    /// Reads an MSR that the virtual processor itself holds; `None` for any other MSR.
    fn read_msr(&self, index: u32) -> Option<u64>;

    /// Writes an MSR that the virtual processor itself holds, with a value that the policy allows; false for any
    /// other MSR, or when the guest's mode does not allow the value.
    fn write_msr(&mut self, index: u32, value: u64) -> bool;

    /// Sets CR2. The virtual processor must be active.
    fn set_cr2(&mut self, linear: u64);

    /// Adds `by` to the guest's time-stamp counter.
    fn move_tsc(&mut self, by: u64);

    /// Completes a write to a control register that exited; false when the value is not allowed (#GP).
    fn write_control(&mut self, register: u8, value: u64) -> bool;

    /// A control register as the guest reads it; `None` for registers whose reads do not exit.
    fn read_control(&self, register: u8) -> Option<u64>;

    /// Completes XSETBV; false when the value is not allowed (#GP).
    fn write_xcr0(&mut self, value: u64) -> bool;

    /// XCR0 as the guest set it.
    fn xcr0(&self) -> u64;

    /// CR0 as the guest sees it.
    fn cr0(&self) -> Cr0Flags;

    /// CR4 as the guest sees it.
    fn cr4(&self) -> Cr4Flags;

    /// The bytes of the instruction whose memory access exited; empty when the processor does not provide them.
    fn instruction_bytes(&self) -> InstructionBytes;

    /// Writes the vendor-specific state of a stopped guest.
    fn report(&self, out: &mut dyn FnMut(fmt::Arguments));
}

/// Work that is generic over the vendor of the virtual processors.
pub trait Task {
    /// Result of the work.
    type Output;

    /// Does the work with virtual processors of type `V`.
    fn run<V: VirtualCpu>(self) -> Self::Output;
}

/// Runs a task with this machine's kind of virtual processor: the only place that chooses the vendor.
///
/// # Errors
/// When the machine has neither VT-x nor SVM.
pub fn with_this_machine<T: Task>(task: T) -> Result<T::Output, VirtError> {
    if vmx::present() {
        Ok(task.run::<vmx::Vcpu>())
    } else if svm::present() {
        Ok(task.run::<svm::Vcpu>())
    } else {
        Err(VirtError::Missing {
            feature: "hardware virtualization (VT-x, CPUID.1:ECX.VMX, or SVM, CPUID.80000001H:ECX.SVM)",
            remedy: "use a processor that has it, or, under another hypervisor, switch nested virtualization on",
        })
    }
}

/// Why the processor cannot host guests, or not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VirtError {
    /// A feature is absent or switched off.
    #[error("{feature} is missing: {remedy}")]
    Missing {
        /// The feature by its manual name.
        feature: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A control that Weir needs cannot be set.
    #[error(
        "the processor cannot set {wanted:#x} in the {controls} controls (allowed: {allowed:#x}): it is too old for Weir"
    )]
    Control {
        /// Which set of controls.
        controls: &'static str,
        /// The needed bits that cannot be set.
        wanted: u32,
        /// The bits that the capability MSR allows.
        allowed: u32,
    },
    /// The processor has no identifier (ASID) left for another virtual processor's translations.
    #[error("the processor supports at most {0} guests: configure fewer")]
    TooManyGuests(u32),
    /// A virtualization instruction failed.
    #[error("{instruction} failed{}", ErrorNumber(*error))]
    Instruction {
        /// Name of the instruction.
        instruction: &'static str,
        /// VM-instruction error [SDM3C 31.4]; zero when there is none.
        error: u32,
    },
    /// The machine is out of memory.
    #[error(transparent)]
    Memory(#[from] crate::memory::PageFrameError),
}

/// The suffix of the message that names the VM-instruction error.
struct ErrorNumber(u32);

impl fmt::Display for ErrorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " with VM-instruction error {}", self.0) }
    }
}
