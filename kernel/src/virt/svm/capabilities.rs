//! What this processor's SVM can do, and what is missing of what Weir needs [APM2 15.4; APM3 E.4.9].

use crate::processor::cpu;
use crate::virt::VirtError;
use core::fmt;

const VM_CR: u32 = 0xc001_0114;
/// VM_CR: EFER.SVME cannot be set [APM2 15.30.1].
const VM_CR_SVMDIS: u64 = 1 << 4;

const LARGEST_EXTENDED: u32 = 0x8000_0000;
const FEATURES: u32 = 0x8000_0001;
const SVM_FEATURES: u32 = 0x8000_000a;
/// CPUID 8000_0001h ECX: SVM.
const ECX_SVM: u32 = 1 << 2;
/// CPUID 8000_0001h EDX: 1 GiB pages.
const EDX_1G: u32 = 1 << 26;

/// CPUID 8000_000Ah EDX [APM3 E.4.9].
mod feature {
    pub const NESTED_PAGING: u32 = 1 << 0;
    pub const SVM_LOCK: u32 = 1 << 2;
    pub const NEXT_RIP: u32 = 1 << 3;
    pub const VMCB_CLEAN: u32 = 1 << 5;
    pub const FLUSH_BY_ASID: u32 = 1 << 6;
    pub const DECODE_ASSISTS: u32 = 1 << 7;
    pub const AVIC: u32 = 1 << 13;
}

/// The capabilities, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtCapabilities {
    /// Address-space identifiers, the host's 0 included.
    pub asids: u32,
    /// An exit tells where the next instruction begins.
    pub next_rip: bool,
    /// An exit tells operands and instruction bytes.
    pub decode_assists: bool,
    /// The processor keeps what the VMCB says is unchanged.
    pub clean_bits: bool,
    /// One guest's translations can be forgotten without the others'.
    pub flush_by_asid: bool,
    /// The processor can be the guest's local APIC: not used yet.
    pub avic: bool,
    /// Nested tables can map 1 GiB at once.
    pub one_gib: bool,
    /// An external interrupt of EVENTINJ may be delivered twice: QEMU's TCG, under `-icount`.
    pub repeats_injection: bool,
}

/// True when the processor has SVM, whether or not firmware has left it usable.
pub fn present() -> bool {
    cpu::cpuid(LARGEST_EXTENDED, 0).eax >= SVM_FEATURES && cpu::cpuid(FEATURES, 0).ecx & ECX_SVM != 0
}

/// True on the processor that QEMU emulates by itself: its signature where hypervisors have theirs.
fn is_tcg() -> bool {
    let leaf = cpu::cpuid(0x4000_0000, 0);
    let hypervisor = cpu::cpuid(1, 0).ecx & 1 << 31 != 0;
    hypervisor && [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).as_flattened() == b"TCGTCGTCGTCG"
}

impl VirtCapabilities {
    /// Reads what the processor offers.
    ///
    /// # Errors
    /// [`VirtError::Missing`], naming the feature and what to do about it.
    pub fn read() -> Result<Self, VirtError> {
        let leaf = cpu::cpuid(SVM_FEATURES, 0);
        if cpu::rdmsr(VM_CR) & VM_CR_SVMDIS != 0 {
            return Err(VirtError::Missing {
                feature: "SVM (switched off in VM_CR.SVMDIS)",
                remedy: if leaf.edx & feature::SVM_LOCK != 0 {
                    "switch \"SVM Mode\" (AMD-V) on in the firmware's set-up and power-cycle the machine"
                } else {
                    "the firmware has disabled it for good: look for an update of the firmware"
                },
            });
        }
        let capabilities = Self::from_leaf(leaf.ebx, leaf.edx, cpu::cpuid(FEATURES, 0).edx)?;
        Ok(Self { repeats_injection: is_tcg(), ..capabilities })
    }

    /// From EBX and EDX of leaf 8000_000Ah, and EDX of 8000_0001h.
    fn from_leaf(asids: u32, features: u32, extended: u32) -> Result<Self, VirtError> {
        let has = |bit| features & bit != 0;
        if !has(feature::NESTED_PAGING) {
            return Err(VirtError::Missing {
                feature: "nested paging (CPUID.8000000AH:EDX.NP)",
                remedy: "use a processor from AMD's Barcelona generation on, or, in an emulator, add its \"npt\" feature",
            });
        }
        Ok(Self {
            asids,
            next_rip: has(feature::NEXT_RIP),
            decode_assists: has(feature::DECODE_ASSISTS),
            clean_bits: has(feature::VMCB_CLEAN),
            flush_by_asid: has(feature::FLUSH_BY_ASID),
            avic: has(feature::AVIC),
            one_gib: extended & EDX_1G != 0,
            repeats_injection: false,
        })
    }
}

impl fmt::Display for VirtCapabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} address-space identifiers, NPT pages 4K 2M{}",
            self.asids,
            if self.one_gib { " 1G" } else { "" }
        )?;
        for (has, name) in [
            (self.next_rip, "next-RIP"),
            (self.decode_assists, "decode assists"),
            (self.clean_bits, "VMCB clean bits"),
            (self.flush_by_asid, "flush by ASID"),
            (self.avic, "AVIC (not used)"),
        ] {
            write!(f, ", {}{name}", if has { "" } else { "no " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_their_bits() {
        // QEMU's TCG, and Bochs' ryzen.
        let tcg = VirtCapabilities::from_leaf(16, 1, EDX_1G).unwrap();
        assert_eq!((tcg.asids, tcg.next_rip, tcg.flush_by_asid, tcg.one_gib), (16, false, false, true));
        let ryzen = VirtCapabilities::from_leaf(0x8000, 0x44f, EDX_1G).unwrap();
        assert!(ryzen.next_rip && ryzen.flush_by_asid && !ryzen.decode_assists && !ryzen.clean_bits);
    }

    #[test]
    fn without_nested_paging_the_remedy_is_named() {
        assert!(matches!(VirtCapabilities::from_leaf(16, 8, 0), Err(VirtError::Missing { .. })));
    }
}
