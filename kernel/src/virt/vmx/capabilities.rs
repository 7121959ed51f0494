//! The VMX capabilities of this processor, and the check that they include what Weir needs [SDM3D A].

use super::controls::{EntryControls, ExitControls, PinControls, PrimaryControls, SecondaryControls};
use crate::processor::cpu;
use crate::virt::VirtError;
use crate::virt::state::control_registers::{Cr0Flags, Cr4Flags};
use base::bits::{high_u32, low_u8, low_u32};
use bitflags::{Flags, bitflags};

const IA32_FEATURE_CONTROL: u32 = 0x3a;
const IA32_VMX_BASIC: u32 = 0x480;
const IA32_VMX_PINBASED_CTLS: u32 = 0x481;
const IA32_VMX_PROCBASED_CTLS: u32 = 0x482;
const IA32_VMX_EXIT_CTLS: u32 = 0x483;
const IA32_VMX_ENTRY_CTLS: u32 = 0x484;
const IA32_VMX_MISC: u32 = 0x485;
const IA32_VMX_CR0_FIXED0: u32 = 0x486;
const IA32_VMX_CR4_FIXED0: u32 = 0x488;
const IA32_VMX_PROCBASED_CTLS2: u32 = 0x48b;
const IA32_VMX_EPT_VPID_CAP: u32 = 0x48c;
const IA32_VMX_TRUE_PINBASED_CTLS: u32 = 0x48d;

const CPUID_1_ECX_VMX: u32 = 1 << 5;
/// IA32_VMX_BASIC: the TRUE capability MSRs exist.
const BASIC_TRUE_CONTROLS: u64 = 1 << 55;

bitflags! {
    /// IA32_FEATURE_CONTROL [SDM3C 24.7].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct FeatureControl: u64 {
        const LOCKED = 1 << 0;
        const VMXON = 1 << 2;
    }

    /// EPT and VPID capabilities that Weir uses [SDM3D A.10].
    #[derive(Clone, Copy)]
    struct EptCapabilities: u64 {
        const WALK_4 = 1 << 6;
        const WRITE_BACK = 1 << 14;
        const PAGE_2M = 1 << 16;
        const PAGE_1G = 1 << 17;
        const INVEPT = 1 << 20;
        const INVEPT_SINGLE = 1 << 25;
        const INVVPID = 1 << 32;
        const INVVPID_SINGLE = 1 << 41;
    }
}

/// What a capability MSR says about one set of controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedControls<C> {
    name: &'static str,
    /// Controls that must be 1.
    must: C,
    /// Controls that may be 1.
    may: C,
}

impl<C: Flags<Bits = u32> + Copy> AllowedControls<C> {
    fn read(name: &'static str, msr: u32) -> Self {
        let (must, may) = halves(cpu::rdmsr(msr));
        Self { name, must: C::from_bits_retain(must), may: C::from_bits_retain(may) }
    }

    /// The value to write to get the needed controls, and the optional ones as far as they are allowed.
    ///
    /// # Errors
    /// [`VirtError::Control`] when a needed control cannot be set.
    pub fn adjust(&self, needed: C, optional: C) -> Result<C, VirtError> {
        let refused = needed.difference(self.may);
        if !refused.is_empty() {
            return Err(VirtError::Control {
                controls: self.name,
                wanted: refused.bits(),
                allowed: self.may.bits(),
            });
        }
        Ok(needed.union(optional).union(self.must).intersection(self.may))
    }
}

/// Bits 31:0 and bits 63:32 of an MSR: EAX and EDX of RDMSR.
fn halves(value: u64) -> (u32, u32) {
    (low_u32(value), high_u32(value))
}

/// The capabilities, read once.
#[derive(Clone, Copy, Debug)]
pub struct VirtCapabilities {
    /// Revision identifier of VMXON and VMCS regions.
    pub revision: u32,
    /// Pin-based controls.
    pub pin: AllowedControls<PinControls>,
    /// Primary processor-based controls.
    pub primary: AllowedControls<PrimaryControls>,
    /// Secondary processor-based controls.
    pub secondary: AllowedControls<SecondaryControls>,
    /// VM-exit controls.
    pub exit: AllowedControls<ExitControls>,
    /// VM-entry controls.
    pub entry: AllowedControls<EntryControls>,
    /// Bits of CR0 that must be 1 in VMX operation.
    pub cr0_fixed: Cr0Flags,
    /// Bits of CR4 that must be 1 in VMX operation.
    pub cr4_fixed: Cr4Flags,
    /// The preemption timer counts once every 2^n ticks of the TSC.
    pub preemption_shift: u8,
    /// EPT supports pages of 2 MiB, and of 1 GiB.
    pub large_pages: (bool, bool),
}

/// True when the processor has VT-x, even if firmware has locked it off.
pub fn present() -> bool {
    cpu::cpuid(1, 0).ecx & CPUID_1_ECX_VMX != 0
}

impl VirtCapabilities {
    /// Reads the capabilities, and permits VMXON if the firmware has left that setting unlocked.
    ///
    /// # Errors
    /// [`VirtError::Missing`], naming the feature and what to do about it.
    pub fn read() -> Result<Self, VirtError> {
        let control = FeatureControl::from_bits_retain(cpu::rdmsr(IA32_FEATURE_CONTROL));
        if let Some(permitted) = permit_vmxon(control)? {
            // SAFETY: the register is not locked, so it can be written; the write only permits VMXON.
            unsafe { cpu::wrmsr(IA32_FEATURE_CONTROL, permitted.bits()) };
        }
        let basic = cpu::rdmsr(IA32_VMX_BASIC);
        // Each TRUE MSR is 12 above the original one [SDM3D A.3.1].
        let shift = if basic & BASIC_TRUE_CONTROLS != 0 {
            IA32_VMX_TRUE_PINBASED_CTLS - IA32_VMX_PINBASED_CTLS
        } else {
            0
        };
        let primary: AllowedControls<PrimaryControls> =
            AllowedControls::read("primary processor-based", IA32_VMX_PROCBASED_CTLS + shift);
        if !primary.may.contains(PrimaryControls::SECONDARY) {
            return Err(MISSING_EPT);
        }
        let ept = EptCapabilities::from_bits_retain(cpu::rdmsr(IA32_VMX_EPT_VPID_CAP));
        let optional = EptCapabilities::PAGE_2M | EptCapabilities::PAGE_1G;
        if !ept.contains(EptCapabilities::all() - optional) {
            return Err(MISSING_EPT);
        }
        Ok(Self {
            revision: low_u32(basic) & 0x7fff_ffff,
            pin: AllowedControls::read("pin-based", IA32_VMX_PINBASED_CTLS + shift),
            primary,
            secondary: AllowedControls::read("secondary processor-based", IA32_VMX_PROCBASED_CTLS2),
            exit: AllowedControls::read("VM-exit", IA32_VMX_EXIT_CTLS + shift),
            entry: AllowedControls::read("VM-entry", IA32_VMX_ENTRY_CTLS + shift),
            cr0_fixed: Cr0Flags::from_bits_retain(cpu::rdmsr(IA32_VMX_CR0_FIXED0)),
            cr4_fixed: Cr4Flags::from_bits_retain(cpu::rdmsr(IA32_VMX_CR4_FIXED0)),
            preemption_shift: low_u8(cpu::rdmsr(IA32_VMX_MISC) & 0x1f),
            large_pages: (ept.contains(EptCapabilities::PAGE_2M), ept.contains(EptCapabilities::PAGE_1G)),
        })
    }
}

const MISSING_EPT: VirtError = VirtError::Missing {
    feature: "EPT with 4-level walks, write-back tables, INVEPT and INVVPID",
    remedy: "use a processor from Intel's Westmere generation on, or another emulated processor model",
};

/// What IA32_FEATURE_CONTROL must be written with before VMXON; `None` when it permits VMXON already. VMXON raises #GP
/// while the register is not locked, even if it permits VMXON outside SMX operation [SDM3C 24.7]: some firmware leaves
/// the lock to the operating system.
fn permit_vmxon(control: FeatureControl) -> Result<Option<FeatureControl>, VirtError> {
    let permitted = FeatureControl::LOCKED | FeatureControl::VMXON;
    if control.contains(permitted) {
        return Ok(None);
    }
    if control.contains(FeatureControl::LOCKED) {
        return Err(VirtError::Missing {
            feature: "VT-x (locked off in IA32_FEATURE_CONTROL)",
            remedy: "enable \"Intel Virtualization Technology\" (VMX) in the firmware setup and power-cycle the machine",
        });
    }
    Ok(Some(control | permitted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: AllowedControls<PinControls> = AllowedControls {
        name: "pin-based",
        must: PinControls::from_bits_retain(0x16),
        may: PinControls::from_bits_retain(0x7f),
    };

    fn adjust(needed: u32, optional: u32) -> Result<u32, VirtError> {
        let [needed, optional] = [needed, optional].map(PinControls::from_bits_retain);
        PIN.adjust(needed, optional).map(|controls| controls.bits())
    }

    #[test]
    fn vmxon_needs_both_its_bit_and_the_lock() {
        let (lock, vmxon) = (FeatureControl::LOCKED, FeatureControl::VMXON);
        // Bit 1, VMXON in SMX operation, is kept.
        let other = FeatureControl::from_bits_retain(1 << 1);
        assert_eq!(permit_vmxon(lock | vmxon), Ok(None));
        for control in [FeatureControl::empty(), vmxon, other] {
            assert_eq!(permit_vmxon(control), Ok(Some(control | vmxon | lock)), "{control:?}");
        }
        for control in [lock, lock | other] {
            assert!(matches!(permit_vmxon(control), Err(VirtError::Missing { .. })), "{control:?}");
        }
    }

    #[test]
    fn required_controls_are_added_and_impossible_ones_dropped() {
        assert_eq!(adjust(0x01, 0x80), Ok(0x17));
    }

    #[test]
    fn a_needed_control_that_cannot_be_set_is_reported() {
        assert_eq!(
            adjust(0x81, 0),
            Err(VirtError::Control { controls: "pin-based", wanted: 0x80, allowed: 0x7f })
        );
    }
}
