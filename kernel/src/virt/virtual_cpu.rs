//! The first seam: one virtual processor, of either vendor.

use super::exit::{Exit, InjectedEvent};
use super::state::control_registers::{Cr0Flags, Cr4Flags, RFlags};
use super::{Paging, SegmentRegister, SegmentState, VirtError};
use crate::memory::PageFrames;
use core::fmt;
use mmio::{CpuMode, Vector};
use nested_paging::{NestedPages, PageSize};
use platform::boot::EntryState;

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
    /// Exit when the guest writes CR8, on such a processor: an interrupt waits for a lower task priority.
    pub priority_window: bool,
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

    /// CR8 as the guest left it; `None` where each write of it exits.
    fn task_priority(&self) -> Option<u8> {
        None
    }

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
    /// MOV SS, and clears RFLAGS.RF [SDM3B 18.3.1.1].
    fn set_rip(&mut self, rip: u64);

    /// Flags.
    fn rflags(&self) -> RFlags;

    /// Sets the flags.
    fn set_rflags(&mut self, value: RFlags);

    /// True if the guest locked the bus on its way to the last exit, whatever the reason of that was.
    fn has_locked_bus(&self) -> bool {
        false
    }

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

    /// Sets the page-directory-pointer entries that the processor has read for a guest in PAE paging. Nothing where it
    /// reads them at each walk.
    fn set_pdptes(&mut self, entries: [u64; 4]);

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

    /// A vector register of the active guest, 0 to 15.
    fn vector(&mut self, number: u8) -> Vector;

    /// Sets a vector register of the active guest.
    fn set_vector(&mut self, number: u8, value: &Vector);

    /// The bytes of the instruction whose memory access exited; empty when the processor does not provide them.
    fn instruction_bytes(&self) -> InstructionBytes;

    /// Writes the vendor-specific state of a stopped guest.
    fn report(&self, out: &mut dyn FnMut(fmt::Arguments));
}
