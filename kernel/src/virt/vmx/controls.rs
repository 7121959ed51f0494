//! Which controls Weir sets, and why: execution, exit and entry controls, and the bitmaps.

use super::capabilities::VirtCapabilities;
use crate::memory::{PAGE, PageFrameError, PageFrames};
use crate::virt::offer::Offer;
use crate::virt::state::held_msrs::held;
use crate::virt::{VirtError, intercept_maps};
use base::HostPhysical;

/// Pin-based [SDM3C 25.6.1].
pub mod pin {
    /// Interrupts of the machine are Weir's.
    pub const EXTERNAL_INTERRUPT_EXITING: u32 = 1 << 0;
    /// So are its NMIs.
    pub const NMI_EXITING: u32 = 1 << 3;
    /// The guest's own NMI blocking is tracked apart.
    pub const VIRTUAL_NMIS: u32 = 1 << 5;
    /// A guest runs no longer than its slice.
    pub const PREEMPTION_TIMER: u32 = 1 << 6;
}

/// Primary processor-based [SDM3C 25.6.2].
pub mod primary {
    /// Exit when the guest can take an interrupt.
    pub const INTERRUPT_WINDOW: u32 = 1 << 2;
    /// Guests' time-stamp counters begin with Weir's clock.
    pub const TSC_OFFSETTING: u32 = 1 << 3;
    /// An idle guest gives the processor up.
    pub const HLT_EXITING: u32 = 1 << 7;
    /// MWAIT is not offered.
    pub const MWAIT_EXITING: u32 = 1 << 10;
    /// Performance counters are not offered.
    pub const RDPMC_EXITING: u32 = 1 << 11;
    /// Without a TPR shadow CR8 would be the machine's own.
    pub const CR8_LOAD_EXITING: u32 = 1 << 19;
    /// As above.
    pub const CR8_STORE_EXITING: u32 = 1 << 20;
    /// Exit when the guest can take an NMI.
    pub const NMI_WINDOW: u32 = 1 << 22;
    /// Every port is emulated.
    pub const IO_BITMAPS: u32 = 1 << 25;
    /// Most MSRs are.
    pub const MSR_BITMAPS: u32 = 1 << 28;
    /// MONITOR is not offered.
    pub const MONITOR_EXITING: u32 = 1 << 29;
    /// There are more.
    pub const SECONDARY: u32 = 1 << 31;
}

/// Secondary processor-based [SDM3C 25.6.2].
pub mod secondary {
    /// Nested paging.
    pub const EPT: u32 = 1 << 1;
    /// RDTSCP works where CPUID offers it.
    pub const RDTSCP: u32 = 1 << 3;
    /// Translations survive exits.
    pub const VPID: u32 = 1 << 5;
    /// A guest must not flush caches that others share.
    pub const WBINVD_EXITING: u32 = 1 << 6;
    /// Guests may leave paging and protection.
    pub const UNRESTRICTED_GUEST: u32 = 1 << 7;
    /// INVPCID works where CPUID offers it.
    pub const INVPCID: u32 = 1 << 12;
    /// XSAVES works where CPUID offers it.
    pub const XSAVES: u32 = 1 << 20;
}

/// VM-exit [SDM3C 25.7.1].
pub mod exit {
    /// DR7 and IA32_DEBUGCTL go to the VMCS.
    pub const SAVE_DEBUG: u32 = 1 << 2;
    /// Weir is 64-bit.
    pub const HOST_64: u32 = 1 << 9;
    /// The exit tells which interrupt it was.
    pub const ACKNOWLEDGE_INTERRUPT: u32 = 1 << 15;
    /// IA32_PAT is the guest's.
    pub const SAVE_PAT: u32 = 1 << 18;
    /// And Weir's again.
    pub const LOAD_PAT: u32 = 1 << 19;
    /// IA32_EFER is the guest's.
    pub const SAVE_EFER: u32 = 1 << 20;
    /// And Weir's again.
    pub const LOAD_EFER: u32 = 1 << 21;
}

/// VM-entry [SDM3C 25.8.1].
pub mod entry {
    /// DR7 and IA32_DEBUGCTL come from the VMCS.
    pub const LOAD_DEBUG: u32 = 1 << 2;
    /// The guest is in IA-32e mode.
    pub const IA32E_GUEST: u32 = 1 << 9;
    /// IA32_PAT comes from the VMCS.
    pub const LOAD_PAT: u32 = 1 << 14;
    /// IA32_EFER comes from the VMCS.
    pub const LOAD_EFER: u32 = 1 << 15;
}

/// Exceptions that exit: #DB and #AC, because a guest can have the processor deliver either without end
/// and never run an instruction [SDM3C 26.2, "Other Causes of VM Exits"; CVE-2015-8104, CVE-2015-5307],
/// and the machine check, which is the machine's.
pub const EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

/// The controls for this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Pin-based.
    pub pin: u32,
    /// Primary processor-based, no windows open.
    pub primary: u32,
    /// Secondary processor-based.
    pub secondary: u32,
    /// VM-exit.
    pub exit: u32,
    /// VM-entry, for a guest outside IA-32e mode.
    pub entry: u32,
}

impl Controls {
    /// Adjusts what Weir wants to what the processor allows.
    ///
    /// # Errors
    /// [`VirtError::Control`] when something Weir cannot do without is missing.
    pub fn new(capabilities: &VirtCapabilities) -> Result<Self, VirtError> {
        let pin =
            pin::EXTERNAL_INTERRUPT_EXITING | pin::NMI_EXITING | pin::VIRTUAL_NMIS | pin::PREEMPTION_TIMER;
        let primary = primary::TSC_OFFSETTING
            | primary::HLT_EXITING
            | primary::MWAIT_EXITING
            | primary::RDPMC_EXITING
            | primary::CR8_LOAD_EXITING
            | primary::CR8_STORE_EXITING
            | primary::IO_BITMAPS
            | primary::MSR_BITMAPS
            | primary::MONITOR_EXITING
            | primary::SECONDARY;
        let secondary =
            secondary::EPT | secondary::VPID | secondary::UNRESTRICTED_GUEST | secondary::WBINVD_EXITING;
        let welcome = secondary::RDTSCP | secondary::INVPCID | secondary::XSAVES;
        let exit = exit::SAVE_DEBUG
            | exit::HOST_64
            | exit::ACKNOWLEDGE_INTERRUPT
            | exit::SAVE_PAT
            | exit::LOAD_PAT
            | exit::SAVE_EFER
            | exit::LOAD_EFER;
        let entry = entry::LOAD_DEBUG | entry::LOAD_PAT | entry::LOAD_EFER;
        Ok(Self {
            pin: capabilities.pin.adjust(pin, 0)?,
            primary: capabilities.primary.adjust(primary, 0)?,
            secondary: capabilities.secondary.adjust(secondary, welcome)?,
            exit: capabilities.exit.adjust(exit, 0)?,
            entry: capabilities.entry.adjust(entry, 0)?,
        })
    }
}

/// What guests can use with these secondary controls.
pub fn offer(controls: u32) -> Offer {
    Offer {
        xsaves: controls & secondary::XSAVES != 0,
        rdtscp: controls & secondary::RDTSCP != 0,
        invpcid: controls & secondary::INVPCID != 0,
        system_configuration: false,
    }
}

/// Bitmaps A and B, two frames: every port exits.
pub fn io_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 2 * PAGE, |_| {})
}

/// MSR bitmaps [SDM3C 25.6.9]: every MSR exits, but those that the processor holds for the guest.
pub fn msr_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, PAGE, |bits| {
        for msr in held() {
            // Reads of low MSRs, reads of high ones, then writes of both, 1 KiB each.
            let (half, index) =
                if msr.index >= 0xc000_0000 { (1024, msr.index & 0x1fff) } else { (0, msr.index) };
            let (byte, bit) = (half + (index / 8) as usize, 1 << (index % 8));
            if msr.direct_read {
                bits[byte] &= !bit;
            }
            if msr.direct_write {
                bits[2048 + byte] &= !bit;
            }
        }
    })
}
