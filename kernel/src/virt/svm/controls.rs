//! What Weir intercepts, and why; and the permission maps.

use super::msrs;
use crate::memory::{PAGE, PageFrameError, PageFrames};
use crate::processor::cpu;
use crate::virt::intercept_maps;
use crate::virt::offer::Offer;
use crate::virt::state::held_msrs::held;
use base::HostPhysical;

/// Accesses to control registers: reads in bits 15:0, writes in bits 31:16 [APM2 B.1].
pub mod control_register {
    /// Read of CR0: only while the guest's differs from the processor's.
    pub const CR0_READ: u32 = 1 << 0;
    /// The processor's has MCE on.
    pub const CR4_READ: u32 = 1 << 4;
    /// CR8 is the guest's local APIC's.
    pub const CR8_READ: u32 = 1 << 8;
    /// Guests set what their CPUID offers.
    pub const CR4_WRITE: u32 = 1 << 20;
    /// As for the read.
    pub const CR8_WRITE: u32 = 1 << 24;
}

/// Instructions and events, first vector [APM2 B.1].
pub mod instruction {
    /// Interrupts of the machine are Weir's.
    pub const INTR: u32 = 1 << 0;
    /// So are its NMIs.
    pub const NMI: u32 = 1 << 1;
    /// INIT would reset the processor, Weir included.
    pub const INIT: u32 = 1 << 3;
    /// The guest can take an interrupt.
    pub const VINTR: u32 = 1 << 4;
    /// CR0 changes more than TS and MP: a guest must not switch the machine's caches off.
    pub const CR0_SELECTIVE_WRITE: u32 = 1 << 5;
    /// Performance counters are not offered.
    pub const RDPMC: u32 = 1 << 15;
    /// CPUID says what a guest may see.
    pub const CPUID: u32 = 1 << 18;
    /// The guest's NMI handler ends.
    pub const IRET: u32 = 1 << 20;
    /// A guest must not flush caches that others share.
    pub const INVD: u32 = 1 << 22;
    /// An idle guest gives the processor up.
    pub const HLT: u32 = 1 << 24;
    /// Acts on address-space identifiers.
    pub const INVLPGA: u32 = 1 << 26;
    /// Every port is emulated.
    pub const IO: u32 = 1 << 27;
    /// Most MSRs are.
    pub const MSR: u32 = 1 << 28;
    /// A triple fault ends the guest, not the machine.
    pub const SHUTDOWN: u32 = 1 << 31;
}

/// Instructions, second vector [APM2 B.1].
pub mod extension {
    /// VMRUN: an entry without this intercept is refused. There is no nesting, so its kin go with it: VMMCALL,
    /// VMLOAD, VMSAVE, STGI, CLGI, SKINIT.
    pub const SVM: u32 = 0x7f;
    /// RDTSCP where CPUID does not offer it.
    pub const RDTSCP: u32 = 1 << 7;
    /// As for INVD.
    pub const WBINVD: u32 = 1 << 9;
    /// Not offered.
    pub const MONITOR: u32 = 1 << 10;
    /// Not offered.
    pub const MWAIT: u32 = 1 << 11;
    /// XCR0 is checked.
    pub const XSETBV: u32 = 1 << 13;
    /// Not offered.
    pub const RDPRU: u32 = 1 << 14;
}

/// Exceptions that exit: #DB and #AC, because a guest can have the processor deliver either without end
/// and never run an instruction [CVE-2015-8104, CVE-2015-5307], and the machine check, which is the machine's.
pub const EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

/// The intercepts with no window open, for a guest whose CR0 is the processor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Control registers.
    pub control_registers: u32,
    /// Instructions and events.
    pub instructions: u32,
    /// Further instructions.
    pub extensions: u32,
}

impl Controls {
    /// What Weir wants: every processor with SVM has these.
    pub fn new(offer: Offer) -> Self {
        use control_register::{CR4_READ, CR4_WRITE, CR8_READ, CR8_WRITE};
        Self {
            control_registers: CR4_READ | CR4_WRITE | CR8_READ | CR8_WRITE,
            instructions: instruction::INTR
                | instruction::NMI
                | instruction::INIT
                | instruction::CR0_SELECTIVE_WRITE
                | instruction::RDPMC
                | instruction::CPUID
                | instruction::INVD
                | instruction::HLT
                | instruction::INVLPGA
                | instruction::IO
                | instruction::MSR
                | instruction::SHUTDOWN,
            extensions: extension::SVM
                | if offer.rdtscp { 0 } else { extension::RDTSCP }
                | extension::WBINVD
                | extension::MONITOR
                | extension::MWAIT
                | extension::XSETBV
                | extension::RDPRU,
        }
    }
}

/// What guests can use: SVM lets through what the processor has.
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
    intercept_maps::allocate(frames, 3 * PAGE, |_| {})
}

/// MSR permissions map: every MSR exits, but those that the guest reaches itself. Two bits each, the read's and
/// the write's; 2 KiB for each range of MSRs [APM2 15.11].
pub fn msr_permissions(frames: &mut PageFrames) -> Result<HostPhysical, PageFrameError> {
    intercept_maps::allocate(frames, 2 * PAGE, |bits| {
        for msr in held().filter(|msr| msrs::direct(msr)) {
            let (start, index) =
                if msr.index >= 0xc000_0000 { (0x800, msr.index & 0x1fff) } else { (0, msr.index) };
            let (byte, bit) = (start + (index / 4) as usize, 2 * (index % 4));
            bits[byte] &= !(u8::from(msr.direct_read) << bit | u8::from(msr.direct_write) << (bit + 1));
        }
    })
}
