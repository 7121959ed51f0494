//! What must be done on a processor so that nothing leaks from guest to guest, each measure with its reason: only
//! where that processor needs it.
//!
//! The tables follow Intel's list of affected processors ("Consolidated Product CPU Model") and AMD's security bulletins
//! [Intel affected CPUs] [AMD bulletins]. A processor that announces its own immunity is believed.

mod amd;
mod guards;
mod intel;

pub use guards::Guards;

use crate::{HostProcessor, LeafSevenEdx, Vendor};
use core::fmt;

/// IA32_EFER.
pub const IA32_EFER: u32 = 0xc000_0080;
/// IA32_SPEC_CTRL: branch predictions of guests do not direct Weir's.
pub const SPEC_CTRL_IBRS: u64 = 1 << 0;
/// IA32_SPEC_CTRL: nor do those of the core's other thread.
pub const SPEC_CTRL_STIBP: u64 = 1 << 1;
/// IA32_SPEC_CTRL: a load waits until the addresses of earlier stores are known.
pub const SPEC_CTRL_SSBD: u64 = 1 << 2;
/// IA32_SPEC_CTRL: the history of a guest's branches does not select Weir's predictions.
pub const SPEC_CTRL_BHI_DIS_S: u64 = 1 << 10;

/// A register that each core changes once, when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterChange {
    /// Its number.
    pub msr: u32,
    /// Bits to clear.
    pub clear: u64,
    /// Bits to set.
    pub set: u64,
}

/// What becomes of the predictor of return addresses after an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnStack {
    /// The processor keeps the guest's entries away from Weir.
    #[default]
    Leave,
    /// All but one: a call and an LFENCE precede the first return.
    OneCall,
    /// It is filled with harmless entries.
    Fill,
}

/// A flaw of the processor, and what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The usual name of the flaw.
    pub flaw: &'static str,
    /// True when the flaw is closed.
    pub closed: bool,
    /// What is done, or why nothing can be.
    pub what: &'static str,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flaw, self.what)
    }
}

/// The flaws that are closed on a processor, or those that are not, on one line.
pub struct NoteLine<'a> {
    measures: &'a Measures,
    closed: bool,
}

impl fmt::Display for NoteLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.closed { "flaws closed: " } else { "flaws left open: " })?;
        for (index, note) in self.measures.notes(self.closed).enumerate() {
            write!(f, "{}{note}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What guests may know of the speculation controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestControls {
    /// They are shown IA32_SPEC_CTRL and IA32_PRED_CMD.
    pub shown: bool,
    /// The bits of IA32_SPEC_CTRL that they may set.
    pub spec_ctrl: u64,
    /// IA32_ARCH_CAPABILITIES, where there is one.
    pub arch_capabilities: Option<u64>,
    /// Revision of the microcode.
    pub microcode: u32,
}

/// The measures of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Guest memory is mapped in pages of 4 KiB only.
    pub small_pages: bool,
    /// IA32_FLUSH_CMD before an entry, when Weir has handled data of other guests since the last one.
    pub flush_l1d: bool,
    /// VERW directly before an entry, when Weir has handled data of other guests since the last one.
    pub clear_buffers: bool,
    /// A division that leaves nothing in the divider directly before an entry, under the same condition.
    pub clear_divider: bool,
    /// IBPB when the core goes from one guest to another.
    pub barrier_at_switch: bool,
    /// IBPB after each exit, before the first return.
    pub barrier_at_exit: bool,
    /// What becomes of the predictor of return addresses after each exit.
    pub return_stack: ReturnStack,
    /// IA32_SPEC_CTRL is written after each exit with IBRS set, and before each entry without: IBRS as it first was
    /// takes effect with the write only.
    pub ibrs_at_exit: bool,
    /// IA32_SPEC_CTRL at all times, whatever a guest adds to it.
    pub spec_ctrl: u64,
    /// IA32_SPEC_CTRL exists.
    pub has_spec_ctrl: bool,
    /// Guests can be shown the speculation controls: IA32_SPEC_CTRL and IA32_PRED_CMD.
    pub guest_controls: bool,
    /// The bits of IA32_SPEC_CTRL that a guest may set.
    pub guest_spec_ctrl: u64,
    /// The addresses of the last guest's x87 instruction are overwritten when another guest's state is loaded.
    pub clear_error_pointers: bool,
    /// Registers to change when the core starts.
    pub changes: heapless::Vec<RegisterChange, 6>,
    /// What the processor suffers from, for the log.
    pub notes: heapless::Vec<Note, 12>,
}

impl Measures {
    /// The measures for this processor; `smt` says that guests share a core's threads.
    #[must_use]
    pub fn new(processor: &HostProcessor, smt: bool) -> Self {
        let mut measures = Self::default();
        match processor.vendor {
            Vendor::Intel => intel::decide(&mut measures, processor, smt),
            Vendor::Amd | Vendor::Hygon => amd::decide(&mut measures, processor, smt),
            Vendor::Other => measures.note("all", false, "nothing is known of this vendor's processors"),
        }
        measures
    }

    /// True when every exit costs more than on a processor without flaws.
    #[must_use]
    pub fn guards_exits(&self) -> bool {
        self.barrier_at_exit || self.ibrs_at_exit || self.return_stack != ReturnStack::Leave
    }

    /// The notes of flaws that are closed, or of those that are not.
    pub fn notes(&self, closed: bool) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(move |note| note.closed == closed)
    }

    /// The line of the log for one half of the notes; `None` if there is none.
    #[must_use]
    pub fn line(&self, closed: bool) -> Option<NoteLine<'_>> {
        self.notes(closed).next().map(|_| NoteLine { measures: self, closed })
    }

    /// What guests on this processor may know.
    #[must_use]
    pub fn guest_controls(&self, processor: &HostProcessor) -> GuestControls {
        let announced = processor.structured.contains(LeafSevenEdx::ARCH_CAPABILITIES);
        GuestControls {
            shown: self.guest_controls,
            spec_ctrl: self.guest_spec_ctrl,
            arch_capabilities: announced.then_some(processor.capabilities.bits()),
            microcode: processor.microcode,
        }
    }

    fn note(&mut self, flaw: &'static str, closed: bool, what: &'static str) {
        // There is a place for each flaw that the two vendors' functions know.
        let _ = self.notes.push(Note { flaw, closed, what });
    }

    fn change(&mut self, msr: u32, clear: u64, set: u64) {
        let _ = self.changes.push(RegisterChange { msr, clear, set });
    }
}

#[cfg(test)]
mod tests;
