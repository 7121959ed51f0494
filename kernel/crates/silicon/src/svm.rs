//! SVM as CPUID and VM_CR show it [APM2 15.4, 15.30.1] [APM3 E.4.9].

use bitflags::bitflags;
use core::fmt;

/// VM_CR: LOCK and SVMDIS cannot be written.
const VM_CR_LOCK: u64 = 1 << 3;
/// VM_CR: EFER.SVME cannot be set.
const VM_CR_SVMDIS: u64 = 1 << 4;
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
pub struct SvmCapabilities {
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

impl SvmCapabilities {
    /// From EBX and EDX of leaf 8000_000Ah, and EDX of 8000_0001h; `None` without nested paging.
    #[must_use]
    pub fn from_leaf(asids: u32, features: u32, extended: u32) -> Option<Self> {
        let features = SvmFeatures::from_bits_retain(features);
        features.contains(SvmFeatures::NESTED_PAGING).then(|| Self {
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

/// Whether EFER.SVME can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvmSwitch {
    /// Yes.
    On,
    /// Once VM_CR has this value.
    Write(u64),
    /// Not before the firmware's setup permits it.
    Locked,
    /// Not without a key: CPUID shows SVML.
    LockedByKey,
}

impl SvmSwitch {
    /// From VM_CR, and EDX of leaf 8000_000Ah.
    #[must_use]
    pub fn new(vm_cr: u64, features: u32) -> Self {
        if vm_cr & VM_CR_SVMDIS == 0 {
            Self::On
        } else if vm_cr & VM_CR_LOCK == 0 {
            Self::Write(vm_cr & !VM_CR_SVMDIS)
        } else if SvmFeatures::from_bits_retain(features).contains(SvmFeatures::SVM_LOCK) {
            Self::LockedByKey
        } else {
            Self::Locked
        }
    }
}

impl fmt::Display for SvmCapabilities {
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
        let tcg = SvmCapabilities::from_leaf(16, 1, EDX_1G).unwrap();
        assert_eq!((tcg.asids, tcg.next_rip, tcg.flush_by_asid, tcg.one_gib), (16, false, false, true));
        let ryzen = SvmCapabilities::from_leaf(0x8000, 0x44f, EDX_1G).unwrap();
        assert!(ryzen.next_rip && ryzen.flush_by_asid && !ryzen.decode_assists && !ryzen.clean_bits);
        assert_eq!(SvmCapabilities::from_leaf(16, 8, 0), None, "no nested paging");
    }

    #[test]
    fn svm_that_is_switched_off_is_switched_on_unless_it_is_locked() {
        assert_eq!(SvmSwitch::new(0, 0), SvmSwitch::On);
        assert_eq!(SvmSwitch::new(VM_CR_LOCK, 0), SvmSwitch::On, "locked in the state that is needed");
        assert_eq!(SvmSwitch::new(VM_CR_SVMDIS | 2, 0), SvmSwitch::Write(2), "the other bits stay");
        let locked = VM_CR_SVMDIS | VM_CR_LOCK;
        assert_eq!(SvmSwitch::new(locked, 0), SvmSwitch::Locked);
        assert_eq!(SvmSwitch::new(locked, SvmFeatures::SVM_LOCK.bits()), SvmSwitch::LockedByKey);
    }
}
