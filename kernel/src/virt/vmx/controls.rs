//! The execution, exit and entry controls and the bitmaps that Weir sets, each with the reason.

use super::capabilities::VirtCapabilities;
use crate::memory::{PageFrameError, PageFrames};
use crate::processor::cpu;
use crate::virt::offer::Offer;
use crate::virt::state::extended;
use crate::virt::state::held_msrs::held;
use crate::virt::{VirtError, intercept_maps};
use base::HostPhysical;
use bitflags::bitflags;

bitflags! {
    /// Pin-based controls [SDM3C 25.6.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PinControls: u32 {
        /// Hardware interrupts are for Weir.
        const EXTERNAL_INTERRUPT_EXITING = 1 << 0;
        /// So are NMIs.
        const NMI_EXITING = 1 << 3;
        /// The guest's own NMI blocking is tracked separately.
        const VIRTUAL_NMIS = 1 << 5;
        /// Ends the guest's run at the end of its time slice; without it, the local APIC's timer does.
        const PREEMPTION_TIMER = 1 << 6;
    }

    /// Primary processor-based controls [SDM3C 25.6.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PrimaryControls: u32 {
        /// Exit when the guest can take an interrupt.
        const INTERRUPT_WINDOW = 1 << 2;
        /// A guest's time-stamp counter starts with Weir's clock.
        const TSC_OFFSETTING = 1 << 3;
        /// An idle guest gives the processor up.
        const HLT_EXITING = 1 << 7;
        /// MWAIT is not offered.
        const MWAIT_EXITING = 1 << 10;
        /// Performance counters are not offered.
        const RDPMC_EXITING = 1 << 11;
        /// Without a TPR shadow the guest would write the processor's own CR8.
        const CR8_LOAD_EXITING = 1 << 19;
        /// And would read it.
        const CR8_STORE_EXITING = 1 << 20;
        /// Exit when the guest can take an NMI.
        const NMI_WINDOW = 1 << 22;
        /// All ports are emulated.
        const IO_BITMAPS = 1 << 25;
        /// Most MSRs are emulated.
        const MSR_BITMAPS = 1 << 28;
        /// MONITOR is not offered.
        const MONITOR_EXITING = 1 << 29;
        /// Activates the secondary controls.
        const SECONDARY = 1 << 31;
    }

    /// Secondary processor-based controls [SDM3C 25.6.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SecondaryControls: u32 {
        /// Nested paging.
        const EPT = 1 << 1;
        /// RDTSCP works where CPUID offers it.
        const RDTSCP = 1 << 3;
        /// Cached translations survive exits.
        const VPID = 1 << 5;
        /// A guest must not flush caches that it shares with others.
        const WBINVD_EXITING = 1 << 6;
        /// Guests may switch paging and protection off.
        const UNRESTRICTED_GUEST = 1 << 7;
        /// INVPCID works where CPUID offers it.
        const INVPCID = 1 << 12;
        /// ENCLS is not offered.
        const ENCLS_EXITING = 1 << 15;
        /// XSAVES works where CPUID offers it.
        const XSAVES = 1 << 20;
        /// Exit after an access that has locked the bus: it slows all cores.
        const BUS_LOCK_DETECTION = 1 << 30;
    }

    /// VM-exit controls [SDM3C 25.7.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ExitControls: u32 {
        /// DR7 and IA32_DEBUGCTL are saved to the VMCS.
        const SAVE_DEBUG = 1 << 2;
        /// Weir runs in 64-bit mode.
        const HOST_64 = 1 << 9;
        /// The exit provides the vector of the interrupt.
        const ACKNOWLEDGE_INTERRUPT = 1 << 15;
        /// The guest's IA32_PAT is saved.
        const SAVE_PAT = 1 << 18;
        /// Weir's is loaded.
        const LOAD_PAT = 1 << 19;
        /// The guest's IA32_EFER is saved.
        const SAVE_EFER = 1 << 20;
        /// Weir's is loaded.
        const LOAD_EFER = 1 << 21;
    }

    /// VM-entry controls [SDM3C 25.8.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EntryControls: u32 {
        /// DR7 and IA32_DEBUGCTL are loaded from the VMCS.
        const LOAD_DEBUG = 1 << 2;
        /// The guest is in IA-32e mode.
        const IA32E_GUEST = 1 << 9;
        /// IA32_PAT is loaded from the VMCS.
        const LOAD_PAT = 1 << 14;
        /// IA32_EFER is loaded from the VMCS.
        const LOAD_EFER = 1 << 15;
    }
}

/// The controls for this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Pin-based.
    pub pin: PinControls,
    /// Primary processor-based, with no window open.
    pub primary: PrimaryControls,
    /// Secondary processor-based.
    pub secondary: SecondaryControls,
    /// VM-exit.
    pub exit: ExitControls,
    /// VM-entry, for a guest outside IA-32e mode.
    pub entry: EntryControls,
}

impl Controls {
    /// The controls that Weir wants, which are those named here, adjusted to what the processor allows.
    ///
    /// # Errors
    /// [`VirtError::Control`] when the processor lacks a control that Weir needs.
    pub fn new(capabilities: &VirtCapabilities) -> Result<Self, VirtError> {
        let timer = PinControls::PREEMPTION_TIMER;
        let wanted = if preemption_timer_counts(cpu::cpuid(1, 0).eax) { timer } else { PinControls::empty() };
        let windows = PrimaryControls::INTERRUPT_WINDOW | PrimaryControls::NMI_WINDOW;
        let optional = SecondaryControls::RDTSCP
            | SecondaryControls::INVPCID
            | SecondaryControls::ENCLS_EXITING
            | SecondaryControls::XSAVES
            | SecondaryControls::BUS_LOCK_DETECTION;
        // Without it XSAVES is #UD, as on a processor that does not have it.
        let left_off =
            if extended::compacts() { SecondaryControls::empty() } else { SecondaryControls::XSAVES };
        Ok(Self {
            pin: capabilities.pin.adjust(PinControls::all() - timer, wanted)?,
            primary: capabilities
                .primary
                .adjust(PrimaryControls::all() - windows, PrimaryControls::empty())?,
            secondary: capabilities
                .secondary
                .adjust(SecondaryControls::all() - optional, optional - left_off)?,
            exit: capabilities.exit.adjust(ExitControls::all(), ExitControls::empty())?,
            entry: capabilities
                .entry
                .adjust(EntryControls::all() - EntryControls::IA32E_GUEST, EntryControls::empty())?,
        })
    }
}

/// Signatures (CPUID leaf 1, EAX) of processors whose preemption timer does not count as it should: Nehalem, Westmere and a
/// Xeon E3-1200 v2, by Intel's specification updates (errata AAJ124, AAK139, AAM126, AAN92, AAO95, AAP86, AAT59, AAU65, AAX65,
/// BA86).
const MISCOUNTING: [u32; 9] =
    [0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5, 0x2_0652, 0x2_0655, 0x2_06e6, 0x3_06a8];

/// True unless the processor with this signature is known for a preemption timer that miscounts.
fn preemption_timer_counts(signature: u32) -> bool {
    !MISCOUNTING.contains(&signature)
}

/// What guests can use with these secondary controls.
pub fn offer(controls: SecondaryControls) -> Offer {
    Offer {
        xsaves: controls.contains(SecondaryControls::XSAVES),
        rdtscp: controls.contains(SecondaryControls::RDTSCP),
        invpcid: controls.contains(SecondaryControls::INVPCID),
        system_configuration: false,
    }
}

/// I/O bitmaps A and B, two frames: every port exits.
pub fn io_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 2, |_| {})
}

/// MSR bitmaps [SDM3C 25.6.9]: every MSR exits except those that the processor holds for the guest.
pub fn msr_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 1, |bits| {
        for msr in held() {
            // Four bitmaps of 1 KiB each: reads of low MSRs, reads of high MSRs, then the writes of both.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_miscounts_is_not_used() {
        assert!(!preemption_timer_counts(0x2_0655), "Westmere");
        assert!(preemption_timer_counts(0x5_0654), "Skylake");
    }
}
