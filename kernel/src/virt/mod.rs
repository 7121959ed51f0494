//! The first seam: one shape of virtual processor, one folder per vendor behind it.
//!
//! Nothing outside the vendor folders names a vendor. A virtual processor is entered and comes back with an
//! [`Exit`]; everything else asks it for registers by their architectural names.

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

/// What a virtual processor is entered with.
#[derive(Clone, Copy, Debug)]
pub struct VmEntry {
    /// Delivered before the first instruction. The caller has made sure that the guest can take it.
    pub inject: Option<InjectedEvent>,
    /// Come back as soon as the guest can take an interrupt.
    pub interrupt_window: bool,
    /// Come back as soon as the guest can take an NMI.
    pub nmi_window: bool,
    /// CR8, for processors on which reads of it do not exit.
    pub task_priority: u8,
    /// Come back after so many ticks of the time-stamp counter.
    pub ticks: u64,
}

/// The bytes of an instruction, as far as they are known.
pub type InstructionBytes = heapless::Vec<u8, 15>;

/// One virtual processor, whatever the vendor.
///
/// Between [`activate`](Self::activate) and [`deactivate`](Self::deactivate) the guest's state that no
/// entry or exit switches (extended registers, system-call MSRs, debug registers) lives in the processor.
pub trait VirtualCpu: Sized + 'static {
    /// How this vendor writes nested page tables.
    type Tables: nested_paging::Format;

    /// Switches the extension on for this core. On the boot core, which is the first, decides as well what guests
    /// are offered of it, and says in the log what it has. Comes before everything else here.
    ///
    /// # Errors
    /// When a feature is missing, and what to do about it.
    fn enter_operation(frames: &mut PageFrames) -> Result<(), VirtError>;

    /// Makes a virtual processor on these nested page tables, whose guest may set the bits `cr4` of CR4:
    /// those that its CPUID offers.
    ///
    /// # Errors
    /// When the machine's memory is used up.
    fn new(
        frames: &mut PageFrames,
        number: u16,
        nested: &NestedPages<Self::Tables>,
        cr4: u64,
    ) -> Result<Self, VirtError>;

    /// Brings it to where [`new`](Self::new) left it, on the same nested page tables. It must not be active.
    fn reset(&mut self);

    /// Takes it off this core, which made it or ran it until now. It must not be active.
    fn leave_core(&mut self);

    /// Puts it on this core, which runs it from now on. Comes before anything else here once it has left another
    /// core, or was made.
    fn enter_core(&mut self);

    /// The largest page that the processor's nested tables can map.
    fn largest_page() -> PageSize;

    /// Brings the state that only this virtual processor may see into the processor.
    fn activate(&mut self);

    /// Takes it out again.
    fn deactivate(&mut self);

    /// Runs the guest until something happens.
    fn enter(&mut self, entry: VmEntry) -> Exit;

    /// A general-purpose register by its number in instructions, RSP included.
    fn general(&self, number: usize) -> u64;

    /// Sets a general-purpose register.
    fn set_general(&mut self, number: usize, value: u64);

    /// Instruction pointer.
    fn rip(&self) -> u64;

    /// Sets the instruction pointer, and ends the shadow of STI and MOV SS: an instruction was completed.
    fn set_rip(&mut self, rip: u64);

    /// Flags.
    fn rflags(&self) -> u64;

    /// Sets the flags.
    fn set_rflags(&mut self, value: u64);

    /// The control registers that address translation depends on.
    fn paging(&self) -> Paging;

    /// How the processor reads the guest's code.
    fn code_mode(&self) -> CpuMode;

    /// True if the guest runs with user privilege: CPL 3, which is the DPL of SS [SDM3C 25.4.1] [APM2 4.7].
    fn is_user(&self) -> bool;

    /// A segment register.
    fn segment(&self, which: SegmentRegister) -> SegmentState;

    /// True when an external interrupt can be delivered: RFLAGS.IF, and no shadow.
    fn interruptible(&self) -> bool;

    /// True when an NMI can be delivered.
    fn nmi_ready(&self) -> bool;

    /// Puts the virtual processor where the boot protocol says.
    fn set_boot_state(&mut self, state: &EntryState);

    /// Reads an MSR that the virtual processor itself holds; `None` when it holds no such MSR.
    fn read_msr(&self, index: u32) -> Option<u64>;

    /// Writes an MSR that the virtual processor itself holds, with a value that the policy allows; false
    /// when it holds no such MSR or the processor's mode does not allow the value.
    fn write_msr(&mut self, index: u32, value: u64) -> bool;

    /// Sets CR2 of the active guest.
    fn set_cr2(&mut self, linear: u64);

    /// Moves the guest's time-stamp counter.
    fn move_tsc(&mut self, by: u64);

    /// Completes a write to a control register that exited; false when the value is not allowed: #GP.
    fn write_control(&mut self, register: u8, value: u64) -> bool;

    /// A control register as the guest reads it; `None` for those whose reads do not exit.
    fn read_control(&self, register: u8) -> Option<u64>;

    /// Completes XSETBV; false when the value is not allowed: #GP.
    fn write_xcr0(&mut self, value: u64) -> bool;

    /// XCR0 as the guest set it.
    fn xcr0(&self) -> u64;

    /// CR0 as the guest sees it.
    fn cr0(&self) -> u64;

    /// CR4 as the guest sees it.
    fn cr4(&self) -> u64;

    /// The bytes of the instruction that exited by touching memory; none when the processor does not tell.
    fn instruction_bytes(&self) -> InstructionBytes;

    /// Writes what helps to understand a stopped guest beyond its registers.
    fn report(&self, out: &mut dyn FnMut(fmt::Arguments));
}

/// Something to do with virtual processors of whatever vendor this machine's are.
pub trait Task {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run<V: VirtualCpu>(self) -> Self::Output;
}

/// Does a task with the virtual processors of this machine: the one place where the vendor is chosen.
///
/// # Errors
/// When it has none.
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
    /// Not there, or switched off.
    #[error("{feature} is missing: {remedy}")]
    Missing {
        /// The feature by its manual name.
        feature: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A control that must be on cannot be.
    #[error(
        "the processor cannot set {wanted:#x} in the {controls} controls (allowed: {allowed:#x}): it is too old for Weir"
    )]
    Control {
        /// Which set of controls.
        controls: &'static str,
        /// The bits that are needed.
        wanted: u32,
        /// What the capability MSR allows.
        allowed: u32,
    },
    /// The machine has no tag left for another virtual processor's translations.
    #[error("the processor tells only {0} guests apart: configure fewer")]
    TooManyGuests(u32),
    /// An instruction of the extension failed.
    #[error("{instruction} failed{}", Number(*error))]
    Instruction {
        /// Which one.
        instruction: &'static str,
        /// VM-instruction error, when there is one [SDM3C 31.4].
        error: u32,
    },
    /// No memory.
    #[error(transparent)]
    Memory(#[from] crate::memory::PageFrameError),
}

struct Number(u32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " with VM-instruction error {}", self.0) }
    }
}
