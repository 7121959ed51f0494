//! What a processor says of itself.

use base::bits::{high_u32, low_u8, low_u32};
use bitflags::bitflags;
use core::fmt;

/// IA32_BIOS_SIGN_ID: the revision of the microcode.
const IA32_BIOS_SIGN_ID: u32 = 0x8b;
/// IA32_ARCH_CAPABILITIES.
const IA32_ARCH_CAPABILITIES: u32 = 0x10a;

/// Leaf 1, ECX: runs under a hypervisor.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 7, EBX: restricted transactional memory.
const RTM: u32 = 1 << 11;
/// Leaf 7, subleaf 2, EDX: BHI_DIS_S exists in IA32_SPEC_CTRL.
const BHI_CTRL: u32 = 1 << 4;

bitflags! {
    /// Leaf 7, subleaf 0, EDX [SDM2A CPUID].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LeafSevenEdx: u32 {
        /// IA32_MCU_OPT_CTRL has RNGDS_MITG_DIS.
        const SRBDS_CTRL = 1 << 9;
        /// VERW clears the buffers of the core.
        const MD_CLEAR = 1 << 10;
        /// IBRS and IBPB: IA32_SPEC_CTRL and IA32_PRED_CMD exist.
        const SPEC_CTRL = 1 << 26;
        /// IA32_SPEC_CTRL.STIBP exists.
        const STIBP = 1 << 27;
        /// IA32_FLUSH_CMD exists.
        const L1D_FLUSH = 1 << 28;
        /// IA32_ARCH_CAPABILITIES exists.
        const ARCH_CAPABILITIES = 1 << 29;
        /// IA32_SPEC_CTRL.SSBD exists.
        const SSBD = 1 << 31;
    }

    /// IA32_ARCH_CAPABILITIES [SDM4 table 2-2].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ArchCapabilities: u64 {
        /// Neither Meltdown nor L1TF.
        const RDCL_NO = 1 << 0;
        /// Enhanced IBRS: one write of IA32_SPEC_CTRL at boot is enough.
        const IBRS_ALL = 1 << 1;
        /// A hypervisor need not flush the L1D: the one below does.
        const SKIP_L1DFL_VMENTRY = 1 << 3;
        /// No MDS.
        const MDS_NO = 1 << 5;
        /// No machine check when the page size of code changes.
        const PSCHANGE_MC_NO = 1 << 6;
        /// IA32_TSX_CTRL exists.
        const TSX_CTRL = 1 << 7;
        /// No TAA.
        const TAA_NO = 1 << 8;
        /// Returns beyond the last call that the processor remembers are predicted like indirect branches.
        const RRSBA = 1 << 19;
        /// No branch history injection.
        const BHI_NO = 1 << 20;
        /// No post-barrier return-stack prediction.
        const PBRSB_NO = 1 << 24;
        /// IA32_MCU_OPT_CTRL has GDS_MITG_DIS.
        const GDS_CTRL = 1 << 25;
        /// No gather data sampling, or the microcode has mended it for good.
        const GDS_NO = 1 << 26;
        /// No register file data sampling.
        const RFDS_NO = 1 << 27;
        /// VERW clears the register file.
        const RFDS_CLEAR = 1 << 28;
    }

    /// Leaf 8000_0008h, EBX [APM3 E.4.7].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AmdSpeculation: u32 {
        /// FXRSTOR and XRSTOR always restore the error pointers of the x87.
        const ERROR_POINTERS = 1 << 2;
        /// IBPB: PRED_CMD exists.
        const IBPB = 1 << 12;
        /// SPEC_CTRL.IBRS exists.
        const IBRS = 1 << 14;
        /// SPEC_CTRL.STIBP exists.
        const STIBP = 1 << 15;
        /// SPEC_CTRL.SSBD exists.
        const SSBD = 1 << 24;
        /// No branch type confusion.
        const BTC_NO = 1 << 29;
        /// IBPB clears the return-address predictor, too.
        const IBPB_RET = 1 << 30;
    }

    /// Leaf 8000_0021h, EAX [APM3 E.4.17].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AmdExtensions: u32 {
        /// LFENCE waits for all earlier instructions, without a bit that says so.
        const LFENCE_SERIALIZES = 1 << 2;
        /// VERW clears what TSA reads.
        const VERW_CLEAR = 1 << 5;
        /// EFER.AUTOIBRS exists.
        const AUTOMATIC_IBRS = 1 << 8;
        /// IBPB clears the types of branches, too.
        const IBPB_BRTYPE = 1 << 28;
        /// No Inception (SRSO).
        const SRSO_NO = 1 << 29;
        /// BP_CFG has BP_SPEC_REDUCE.
        const BP_SPEC_REDUCE = 1 << 31;
    }

    /// Leaf 8000_0021h, ECX.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AmdImmunity: u32 {
        /// No transient scheduler attack through the store queue.
        const TSA_SQ_NO = 1 << 1;
        /// None through the L1D.
        const TSA_L1_NO = 1 << 2;
    }
}

/// A processor that can be asked.
pub trait ProcessorAccess {
    /// EAX, EBX, ECX and EDX of a leaf and subleaf of CPUID.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];

    /// RDMSR. It is called for registers only that are announced, or that every processor with virtualization has.
    fn rdmsr(&self, msr: u32) -> u64;

    /// WRMSR of zero, to IA32_BIOS_SIGN_ID and to status registers of machine checks only.
    fn wrmsr(&self, msr: u32, value: u64);
}

/// Who made the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
    /// Hygon: Zen 1 under licence.
    Hygon,
    /// Somebody else.
    #[default]
    Other,
}

/// A processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostProcessor {
    /// Who made it.
    pub vendor: Vendor,
    /// Family, with its extension.
    pub family: u16,
    /// Model, with its extension.
    pub model: u8,
    /// Stepping.
    pub stepping: u8,
    /// It is a hypervisor's: what that does not announce is its own affair.
    pub hypervisor: bool,
    /// Transactional memory.
    pub rtm: bool,
    /// Leaf 7.
    pub structured: LeafSevenEdx,
    /// IA32_ARCH_CAPABILITIES, empty where there is none.
    pub capabilities: ArchCapabilities,
    /// IA32_SPEC_CTRL.BHI_DIS_S exists.
    pub bhi_ctrl: bool,
    /// Leaf 8000_0008h.
    pub speculation: AmdSpeculation,
    /// Leaf 8000_0021h, EAX.
    pub extensions: AmdExtensions,
    /// Leaf 8000_0021h, ECX.
    pub immunity: AmdImmunity,
    /// Revision of the microcode.
    pub microcode: u32,
}

impl HostProcessor {
    /// Asks the processor.
    #[must_use]
    pub fn read(processor: &impl ProcessorAccess) -> Self {
        let cpuid = |leaf, subleaf| processor.cpuid(leaf, subleaf);
        let [last, b, c, d] = cpuid(0, 0);
        let vendor = match [b, d, c].map(u32::to_le_bytes).as_flattened() {
            b"GenuineIntel" => Vendor::Intel,
            b"AuthenticAMD" => Vendor::Amd,
            b"HygonGenuine" => Vendor::Hygon,
            _ => Vendor::Other,
        };
        let amd = matches!(vendor, Vendor::Amd | Vendor::Hygon);
        let leaf = |leaf, subleaf| if leaf <= last { cpuid(leaf, subleaf) } else { [0; 4] };
        let last_extended = cpuid(0x8000_0000, 0)[0];
        let extended = |leaf| if amd && leaf <= last_extended { cpuid(leaf, 0) } else { [0; 4] };
        let [signature, _, features, _] = leaf(1, 0);
        let (family, model, stepping) = split(signature);
        let [subleaves, ebx, _, edx] = leaf(7, 0);
        // AMD has bits of its own for what bits 26 to 31 mean.
        let structured =
            if vendor == Vendor::Intel { LeafSevenEdx::from_bits_retain(edx) } else { LeafSevenEdx::empty() };
        let [.., second] = if subleaves >= 2 { leaf(7, 2) } else { [0; 4] };
        let announced = structured.contains(LeafSevenEdx::ARCH_CAPABILITIES);
        let [_, speculation, ..] = extended(0x8000_0008);
        let [extensions, _, immunity, _] = extended(0x8000_0021);
        let microcode = match vendor {
            Vendor::Intel => {
                // CPUID fills the register [SDM3A 10.11.7.1].
                processor.wrmsr(IA32_BIOS_SIGN_ID, 0);
                cpuid(1, 0);
                high_u32(processor.rdmsr(IA32_BIOS_SIGN_ID))
            }
            Vendor::Amd | Vendor::Hygon => low_u32(processor.rdmsr(IA32_BIOS_SIGN_ID)),
            Vendor::Other => 0,
        };
        Self {
            vendor,
            family,
            model,
            stepping,
            hypervisor: features & HYPERVISOR != 0,
            rtm: ebx & RTM != 0,
            structured,
            capabilities: ArchCapabilities::from_bits_retain(if announced {
                processor.rdmsr(IA32_ARCH_CAPABILITIES)
            } else {
                0
            }),
            bhi_ctrl: structured.contains(LeafSevenEdx::SPEC_CTRL) && second & BHI_CTRL != 0,
            speculation: AmdSpeculation::from_bits_retain(speculation),
            extensions: AmdExtensions::from_bits_retain(extensions),
            immunity: AmdImmunity::from_bits_retain(immunity),
            microcode,
        }
    }
}

impl fmt::Display for HostProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, model, stepping, microcode, .. } = self;
        write!(f, "family {family:#x} model {model:#x} stepping {stepping}, microcode {microcode:#x}")
    }
}

/// Family, model and stepping of a signature [SDM2A CPUID, "Version Information"] [APM3 E.3.2].
fn split(signature: u32) -> (u16, u8, u8) {
    let field = |shift: u32, mask: u32| low_u8((signature >> shift & mask).into());
    let (base_family, base_model) = (field(8, 0xf), field(4, 0xf));
    let family = if base_family == 0xf { 0xf + u16::from(field(20, 0xff)) } else { base_family.into() };
    let model = if matches!(base_family, 6 | 0xf) { base_model | field(16, 0xf) << 4 } else { base_model };
    (family, model, field(0, 0xf))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Described {
        vendor: &'static [u8; 12],
        /// Leaf 7, EDX.
        edx: u32,
    }

    impl ProcessorAccess for Described {
        fn cpuid(&self, leaf: u32, _: u32) -> [u32; 4] {
            let word = |at: usize| u32::from_le_bytes(core::array::from_fn(|i| self.vendor[at + i]));
            match leaf {
                0 => [7, word(0), word(8), word(4)],
                1 => [0x0005_0654, 0, 0, 0],
                7 => [0, 0, 0, self.edx],
                0x8000_0000 => [0x8000_0008, 0, 0, 0],
                _ => [u32::MAX; 4],
            }
        }

        fn rdmsr(&self, msr: u32) -> u64 {
            match msr {
                IA32_BIOS_SIGN_ID => 0x42 << 32,
                IA32_ARCH_CAPABILITIES if self.edx != 0 => 1,
                _ => panic!("{msr:#x} is not announced"),
            }
        }

        fn wrmsr(&self, msr: u32, value: u64) {
            assert_eq!((self.vendor, msr, value), (b"GenuineIntel", IA32_BIOS_SIGN_ID, 0));
        }
    }

    #[test]
    fn a_signature_is_split_into_family_model_and_stepping() {
        for (signature, expected) in [
            (0x0005_0654, (6, 0x55, 4)),    // Skylake-SP
            (0x0001_06a5, (6, 0x1a, 5)),    // Nehalem
            (0x00a2_0f12, (0x19, 0x21, 2)), // Zen 3
            (0x0080_0f82, (0x17, 0x08, 2)), // Zen+
            (0x0060_0f12, (0x15, 0x01, 2)), // Bulldozer
            (0x00b4_0f40, (0x1a, 0x44, 0)), // Zen 5
        ] {
            assert_eq!(split(signature), expected, "{signature:#x}");
        }
    }

    #[test]
    fn only_announced_registers_are_read() {
        let read = |vendor, edx| HostProcessor::read(&Described { vendor, edx });
        let old = read(b"GenuineIntel", 0);
        assert_eq!((old.capabilities, old.microcode, old.bhi_ctrl), (ArchCapabilities::empty(), 0x42, false));
        assert_eq!(old.speculation, AmdSpeculation::empty());
        let new = read(b"GenuineIntel", 1 << 29);
        assert_eq!(new.capabilities, ArchCapabilities::RDCL_NO);
        // AMD announces by leaves of its own, and those beyond the last one do not exist.
        let amd = read(b"AuthenticAMD", 0);
        assert_eq!((amd.structured, amd.extensions), (LeafSevenEdx::empty(), AmdExtensions::empty()));
        assert!(amd.speculation.contains(AmdSpeculation::IBPB));
    }
}
