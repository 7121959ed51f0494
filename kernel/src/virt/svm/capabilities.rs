//! The SVM capabilities of this processor, and the check that they include what Weir needs [APM2 15.4]
//! [APM3 E.4.9].

use crate::processor::cpu;
use crate::virt::VirtError;
use bitflags::bitflags;
use core::fmt;

const VM_CR: u32 = 0xc001_0114;
/// VM_CR: LOCK and SVMDIS cannot be written [APM2 15.30.1].
const VM_CR_LOCK: u64 = 1 << 3;
/// VM_CR: EFER.SVME cannot be set [APM2 15.30.1].
const VM_CR_SVMDIS: u64 = 1 << 4;

const LARGEST_EXTENDED: u32 = 0x8000_0000;
const FEATURES: u32 = 0x8000_0001;
const SVM_FEATURES: u32 = 0x8000_000a;
/// CPUID 8000_0001h ECX: SVM.
const ECX_SVM: u32 = 1 << 2;
/// CPUID 8000_0001h EDX: 1 GiB pages.
const EDX_1G: u32 = 1 << 26;

bitflags! {
    /// CPUID 8000_000Ah EDX [APM3 E.4.9].
    #[derive(Clone, Copy)]
    struct SvmFeatures: u32 {
        const NESTED_PAGING = 1 << 0;
        const SVM_LOCK = 1 << 2;
        const NEXT_RIP = 1 << 3;
        const VMCB_CLEAN = 1 << 5;
        const FLUSH_BY_ASID = 1 << 6;
        const DECODE_ASSISTS = 1 << 7;
        const AVIC = 1 << 13;
    }
}

/// The capabilities, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtCapabilities {
    /// Number of address-space identifiers, including 0, which is the host's.
    pub asids: u32,
    /// An exit provides the address of the next instruction.
    pub next_rip: bool,
    /// An exit provides operands and instruction bytes.
    pub decode_assists: bool,
    /// The processor caches the parts of the VMCB that are marked clean.
    pub clean_bits: bool,
    /// One guest's cached translations can be flushed alone.
    pub flush_by_asid: bool,
    /// The processor can virtualize the local APIC: not used yet.
    pub avic: bool,
    /// Nested tables support pages of 1 GiB.
    pub one_gib: bool,
    /// An external interrupt injected by EVENTINJ may be delivered twice: QEMU's TCG with `-icount`.
    pub repeats_injection: bool,
}

/// True when the processor has SVM, even if firmware has locked it off.
pub fn present() -> bool {
    cpu::cpuid(LARGEST_EXTENDED, 0).eax >= SVM_FEATURES && cpu::cpuid(FEATURES, 0).ecx & ECX_SVM != 0
}

/// True on a processor emulated by QEMU's TCG, whose signature is in the CPUID leaf for hypervisors.
fn is_tcg() -> bool {
    let leaf = cpu::cpuid(0x4000_0000, 0);
    let hypervisor = cpu::cpuid(1, 0).ecx & 1 << 31 != 0;
    hypervisor && [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).as_flattened() == b"TCGTCGTCGTCG"
}

impl VirtCapabilities {
    /// Reads the capabilities.
    ///
    /// # Errors
    /// [`VirtError::Missing`], naming the feature and what to do about it.
    pub fn read() -> Result<Self, VirtError> {
        let leaf = cpu::cpuid(SVM_FEATURES, 0);
        if let Some(enabled) = enable(cpu::rdmsr(VM_CR), leaf.edx)? {
            // SAFETY: the register is not locked, so it can be written; the write only permits SVM.
            unsafe { cpu::wrmsr(VM_CR, enabled) };
            // A write that the processor ignores [APM2 15.30.1] leaves SVM as firmware has it.
            enable(cpu::rdmsr(VM_CR) | VM_CR_LOCK, leaf.edx)?;
        }
        let capabilities = Self::from_leaf(leaf.ebx, leaf.edx, cpu::cpuid(FEATURES, 0).edx)?;
        Ok(Self { repeats_injection: is_tcg(), ..capabilities })
    }

    /// From EBX and EDX of leaf 8000_000Ah, and EDX of 8000_0001h.
    fn from_leaf(asids: u32, features: u32, extended: u32) -> Result<Self, VirtError> {
        let features = SvmFeatures::from_bits_retain(features);
        if !features.contains(SvmFeatures::NESTED_PAGING) {
            return Err(VirtError::Missing {
                feature: "nested paging (CPUID.8000000AH:EDX.NP)",
                remedy: "use a processor from AMD's Barcelona generation on, or, in an emulator, add its \"npt\" feature",
            });
        }
        Ok(Self {
            asids,
            next_rip: features.contains(SvmFeatures::NEXT_RIP),
            decode_assists: features.contains(SvmFeatures::DECODE_ASSISTS),
            clean_bits: features.contains(SvmFeatures::VMCB_CLEAN),
            flush_by_asid: features.contains(SvmFeatures::FLUSH_BY_ASID),
            avic: features.contains(SvmFeatures::AVIC),
            one_gib: extended & EDX_1G != 0,
            repeats_injection: false,
        })
    }
}

/// What VM_CR must be written with before EFER.SVME can be set; `None` when it permits that already. A locked SVMDIS is
/// cleared in the firmware setup, or, where CPUID shows SVML, with a key [APM2 15.4, 15.30].
fn enable(vm_cr: u64, features: u32) -> Result<Option<u64>, VirtError> {
    if vm_cr & VM_CR_SVMDIS == 0 {
        return Ok(None);
    }
    if vm_cr & VM_CR_LOCK == 0 {
        return Ok(Some(vm_cr & !VM_CR_SVMDIS));
    }
    Err(VirtError::Missing {
        feature: "SVM (switched off and locked in VM_CR)",
        remedy: if SvmFeatures::from_bits_retain(features).contains(SvmFeatures::SVM_LOCK) {
            "it is locked with a key: see the firmware setup or the machine's vendor for how to unlock it"
        } else {
            "enable \"SVM Mode\" (AMD-V) in the firmware setup and power-cycle the machine"
        },
    })
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
    fn svm_that_is_switched_off_is_switched_on_unless_it_is_locked() {
        assert_eq!(enable(0, 0), Ok(None));
        assert_eq!(enable(VM_CR_LOCK, 0), Ok(None), "locked in the state that Weir needs");
        assert_eq!(enable(VM_CR_SVMDIS | 2, 0), Ok(Some(2)), "the other bits stay");
        let remedy = |features| match enable(VM_CR_SVMDIS | VM_CR_LOCK, features) {
            Err(VirtError::Missing { remedy, .. }) => remedy,
            other => panic!("{other:?}"),
        };
        assert!(remedy(0).contains("firmware setup"));
        assert!(remedy(SvmFeatures::SVM_LOCK.bits()).contains("key"));
    }

    #[test]
    fn without_nested_paging_the_remedy_is_named() {
        assert!(matches!(VirtCapabilities::from_leaf(16, 8, 0), Err(VirtError::Missing { .. })));
    }
}
