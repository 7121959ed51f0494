//! Model-specific registers that the processor itself holds while the guest runs, and how each is kept apart
//! from the host's: the source of the MSR bitmap and of the switching code.

/// The place of a guest's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the guest-state area, loaded and stored by VM entry and VM exit [SDM3C 25.4; APM2 15.5].
    GuestState,
    /// Nowhere: the hypervisor saves and restores it around the guest.
    SaveRestore,
    /// The register has no value: a write is a command.
    Command,
    /// The processor's own counter plus the guest's offset.
    Offset,
}

/// When the register exists for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// On every processor with 64-bit mode.
    Always,
    /// When [`crate::cpuid::CpuidPolicy::rdtscp`] is set.
    Rdtscp,
    /// When [`crate::cpuid::CpuidPolicy::spec_ctrl`] is set.
    SpecCtrl,
    /// When [`crate::cpuid::CpuidPolicy::xsaves`] is set.
    Xsaves,
}

/// One register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorMsr {
    /// Its number.
    pub index: u32,
    /// Its name in the manual.
    pub name: &'static str,
    /// The place of its value.
    pub home: Home,
    /// The guest may read it without an exit.
    pub direct_read: bool,
    /// The guest may write it without an exit.
    pub direct_write: bool,
    /// When it exists.
    pub condition: Condition,
}

const fn direct(index: u32, name: &'static str, home: Home, condition: Condition) -> ProcessorMsr {
    ProcessorMsr { index, name, home, direct_read: true, direct_write: true, condition }
}

use Condition::{Always, Rdtscp, SpecCtrl, Xsaves};
use Home::{Command, GuestState, Offset, SaveRestore};

/// All registers that the processor holds. Accesses that are not direct exit, so that Weir can check or track
/// them.
pub const PROCESSOR_MSRS: &[ProcessorMsr] = &[
    // Writing the counter moves the offset: see `Msrs::write`.
    ProcessorMsr {
        index: super::IA32_TIME_STAMP_COUNTER,
        name: "IA32_TIME_STAMP_COUNTER",
        home: Offset,
        direct_read: true,
        direct_write: false,
        condition: Always,
    },
    ProcessorMsr {
        index: 0x49,
        name: "IA32_PRED_CMD",
        home: Command,
        direct_read: false,
        direct_write: true,
        condition: SpecCtrl,
    },
    direct(0x174, "IA32_SYSENTER_CS", GuestState, Always),
    direct(0x175, "IA32_SYSENTER_ESP", GuestState, Always),
    direct(0x176, "IA32_SYSENTER_EIP", GuestState, Always),
    // Checked: an invalid type would fail the next entry.
    ProcessorMsr {
        index: super::IA32_PAT,
        name: "IA32_PAT",
        home: GuestState,
        direct_read: true,
        direct_write: false,
        condition: Always,
    },
    // Supervisor state components: none is shown, so only zero can be written.
    ProcessorMsr {
        index: super::IA32_XSS,
        name: "IA32_XSS",
        home: SaveRestore,
        direct_read: true,
        direct_write: false,
        condition: Xsaves,
    },
    // LME and LMA must follow CR0.PG.
    ProcessorMsr {
        index: super::IA32_EFER,
        name: "IA32_EFER",
        home: GuestState,
        direct_read: true,
        direct_write: false,
        condition: Always,
    },
    direct(0xc000_0081, "IA32_STAR", SaveRestore, Always),
    direct(0xc000_0082, "IA32_LSTAR", SaveRestore, Always),
    direct(0xc000_0083, "IA32_CSTAR", SaveRestore, Always),
    direct(0xc000_0084, "IA32_FMASK", SaveRestore, Always),
    direct(0xc000_0100, "IA32_FS_BASE", GuestState, Always),
    direct(0xc000_0101, "IA32_GS_BASE", GuestState, Always),
    direct(0xc000_0102, "IA32_KERNEL_GS_BASE", SaveRestore, Always),
    direct(0xc000_0103, "IA32_TSC_AUX", SaveRestore, Rdtscp),
];

/// The register with this number.
#[must_use]
pub fn find(index: u32) -> Option<&'static ProcessorMsr> {
    PROCESSOR_MSRS.iter().find(|msr| msr.index == index)
}
