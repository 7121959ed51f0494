//! The intercepts and controls that Weir sets, each with the reason, and the permission maps.

use super::msrs;
use crate::memory::{PageFrameError, PageFrames};
use crate::processor::cpu;
use crate::virt::intercept_maps;
use crate::virt::offer::Offer;
use crate::virt::state::held_msrs::held;
use base::HostPhysical;
use bitflags::bitflags;

bitflags! {
    /// Accesses to control registers: reads in bits 15:0, writes in bits 31:16 [APM2 B.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ControlRegisterIntercepts: u32 {
        /// Read of CR0: only while the guest's value differs from the processor's.
        const CR0_READ = 1 << 0;
        /// The processor's CR4 has MCE set even if the guest's has not.
        const CR4_READ = 1 << 4;
        /// Guests may set what their CPUID offers.
        const CR4_WRITE = 1 << 20;
        /// Only while an interrupt waits for a lower task priority: else V_TPR keeps what the guest writes.
        const CR8_WRITE = 1 << 24;
    }

    /// Instructions and events, first vector [APM2 B.1].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InstructionIntercepts: u32 {
        /// Hardware interrupts are for Weir.
        const INTR = 1 << 0;
        /// So are NMIs.
        const NMI = 1 << 1;
        /// INIT would reset the processor, and Weir with it.
        const INIT = 1 << 3;
        /// The guest can take an interrupt.
        const VINTR = 1 << 4;
        /// A write to CR0 that changes more than TS and MP: a guest must not switch the machine's caches off.
        const CR0_SELECTIVE_WRITE = 1 << 5;
        /// Performance counters are not offered.
        const RDPMC = 1 << 15;
        /// The policy decides what a guest sees.
        const CPUID = 1 << 18;
        /// The guest's NMI handler ends.
        const IRET = 1 << 20;
        /// A guest must not flush caches that it shares with others.
        const INVD = 1 << 22;
        /// An idle guest gives the processor up.
        const HLT = 1 << 24;
        /// Acts on address-space identifiers, which are Weir's.
        const INVLPGA = 1 << 26;
        /// All ports are emulated.
        const IO = 1 << 27;
        /// Most MSRs are emulated.
        const MSR = 1 << 28;
        /// A triple fault ends the guest, not the machine.
        const SHUTDOWN = 1 << 31;
    }

    /// Instructions, second vector [APM2 B.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ExtensionIntercepts: u32 {
        /// VMRUN, because an entry without this intercept is refused; there is no nesting, so with it VMMCALL,
        /// VMLOAD, VMSAVE, STGI, CLGI and SKINIT.
        const SVM = 0x7f;
        /// RDTSCP where CPUID does not offer it.
        const RDTSCP = 1 << 7;
        /// As for INVD.
        const WBINVD = 1 << 9;
        /// Not offered.
        const MONITOR = 1 << 10;
        /// Not offered.
        const MWAIT = 1 << 11;
        /// XCR0 is checked.
        const XSETBV = 1 << 13;
        /// Not offered.
        const RDPRU = 1 << 14;
    }

    /// Virtual interrupt control, bits 31:0 [APM2 15.21.1, B.1].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VirtualInterrupt: u32 {
        /// CR8, which the guest reads and writes without an exit.
        const V_TPR = 0xff;
        /// A virtual interrupt is pending.
        const V_IRQ = 1 << 8;
        /// Its priority.
        const V_INTR_PRIO = 0xf << 16;
        /// It is delivered whatever V_TPR says.
        const V_IGN_TPR = 1 << 20;
        /// The guest's RFLAGS.IF masks its virtual interrupts only, not hardware interrupts.
        const V_INTR_MASKING = 1 << 24;
    }

    /// Nested paging control [APM2 15.25.3, B.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NestedControl: u64 {
        /// Nested paging is on.
        const NP_ENABLE = 1 << 0;
    }

    /// VMCB clean bits, each for the fields that have not changed since the last exit [APM2 15.15.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CleanBits: u32 {
        /// Intercepts, TSC offset.
        const I = 1 << 0;
        /// Addresses of the permission maps.
        const IOPM = 1 << 1;
        /// Address-space identifier.
        const ASID = 1 << 2;
        /// Virtual interrupts.
        const TPR = 1 << 3;
        /// Nested paging, IA32_PAT.
        const NP = 1 << 4;
        /// Control registers and EFER.
        const CRX = 1 << 5;
        /// Debug registers.
        const DRX = 1 << 6;
        /// Descriptor tables.
        const DT = 1 << 7;
        /// Segments and CPL.
        const SEG = 1 << 8;
        /// CR2.
        const CR2 = 1 << 9;
        /// Last branches.
        const LBR = 1 << 10;
    }
}

impl CleanBits {
    /// All bits, including those without a name: of all fields [APM2 15.15.3].
    pub const EVERYTHING: Self = Self::from_bits_retain(u32::MAX);
}

/// The intercepts with no window open, for a guest whose CR0 equals the processor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Control registers.
    pub control_registers: ControlRegisterIntercepts,
    /// Instructions and events.
    pub instructions: InstructionIntercepts,
    /// Further instructions.
    pub extensions: ExtensionIntercepts,
}

impl Controls {
    /// The intercepts that Weir wants, which are those named here: every processor with SVM has them.
    pub fn new(offer: Offer) -> Self {
        let mut extensions = ExtensionIntercepts::all();
        extensions.set(ExtensionIntercepts::RDTSCP, !offer.rdtscp);
        let windows = InstructionIntercepts::VINTR | InstructionIntercepts::IRET;
        let at_times = ControlRegisterIntercepts::CR0_READ | ControlRegisterIntercepts::CR8_WRITE;
        Self {
            control_registers: ControlRegisterIntercepts::all() - at_times,
            instructions: InstructionIntercepts::all() - windows,
            extensions,
        }
    }
}

/// What guests can use: with SVM, whatever the processor has.
pub fn offer() -> Offer {
    let structured = cpu::cpuid(0, 0).eax >= 7;
    Offer {
        xsaves: cpu::cpuid(0, 0).eax >= 0xd && cpu::cpuid(0xd, 1).eax & 1 << 3 != 0,
        rdtscp: cpu::cpuid(0x8000_0001, 0).edx & 1 << 27 != 0,
        invpcid: structured && cpu::cpuid(7, 0).ebx & 1 << 10 != 0,
        system_configuration: true,
    }
}

/// I/O permissions map, three frames: every port exits [APM2 15.10.1].
pub fn io_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 3, |_| {})
}

/// MSR permissions map: every MSR exits except those that the guest accesses directly. Each MSR has two bits,
/// one for reads and one for writes; each range of MSRs has 2 KiB [APM2 15.11].
pub fn msr_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 2, |bits| {
        for msr in held().filter(|msr| msrs::direct(msr)) {
            let (start, index) =
                if msr.index >= 0xc000_0000 { (0x800, msr.index & 0x1fff) } else { (0, msr.index) };
            let (byte, bit) = (start + (index / 4) as usize, 2 * (index % 4));
            bits[byte] &= !(u8::from(msr.direct_read) << bit | u8::from(msr.direct_write) << (bit + 1));
        }
    })
}
