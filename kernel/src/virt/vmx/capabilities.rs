//! What this processor's VMX can do, and what is missing of what Weir needs [SDM3D A].

use crate::processor::cpu;
use crate::virt::VirtError;

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
const FEATURE_CONTROL_LOCKED: u64 = 1 << 0;
const FEATURE_CONTROL_VMXON: u64 = 1 << 2;
/// IA32_VMX_BASIC: the TRUE capability MSRs exist.
const BASIC_TRUE_CONTROLS: u64 = 1 << 55;
const PRIMARY_SECONDARY: u32 = 1 << 31;

/// EPT and VPID capabilities that Weir uses [SDM3D A.10].
const EPT_WALK_4: u64 = 1 << 6;
const EPT_WRITE_BACK: u64 = 1 << 14;
const EPT_2M: u64 = 1 << 16;
const EPT_1G: u64 = 1 << 17;
const INVEPT: u64 = 1 << 20;
const INVEPT_SINGLE: u64 = 1 << 25;
const INVVPID: u64 = 1 << 32;
const INVVPID_SINGLE: u64 = 1 << 41;

/// One set of controls: which bits may be 0, which may be 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    name: &'static str,
    must: u32,
    may: u32,
}

impl Allowed {
    fn read(name: &'static str, msr: u32) -> Self {
        let value = cpu::rdmsr(msr);
        Self { name, must: value as u32, may: (value >> 32) as u32 }
    }

    /// The value to write for the controls that are needed and those that are welcome.
    ///
    /// # Errors
    /// [`VirtError::Control`] when one that is needed cannot be set.
    pub fn adjust(&self, needed: u32, welcome: u32) -> Result<u32, VirtError> {
        if needed & !self.may != 0 {
            return Err(VirtError::Control {
                controls: self.name,
                wanted: needed & !self.may,
                allowed: self.may,
            });
        }
        Ok((needed | welcome | self.must) & self.may)
    }
}

/// The capabilities, read once.
#[derive(Clone, Copy, Debug)]
pub struct VirtCapabilities {
    /// Revision identifier of VMXON and VMCS regions.
    pub revision: u32,
    /// Pin-based controls.
    pub pin: Allowed,
    /// Primary processor-based controls.
    pub primary: Allowed,
    /// Secondary processor-based controls.
    pub secondary: Allowed,
    /// VM-exit controls.
    pub exit: Allowed,
    /// VM-entry controls.
    pub entry: Allowed,
    /// Bits of CR0 that must be 1 in VMX operation.
    pub cr0_fixed: u64,
    /// Bits of CR4 that must be 1 in VMX operation.
    pub cr4_fixed: u64,
    /// The preemption timer counts once every 2^n ticks of the TSC.
    pub preemption_shift: u8,
    /// EPT can map 2 MiB, and 1 GiB, at once.
    pub large_pages: (bool, bool),
}

/// True when the processor has VT-x, whether or not firmware has left it usable.
pub fn present() -> bool {
    cpu::cpuid(1, 0).ecx & CPUID_1_ECX_VMX != 0
}

impl VirtCapabilities {
    /// Reads what the processor offers, and unlocks VMXON where firmware has left that open.
    ///
    /// # Errors
    /// [`VirtError::Missing`], naming the feature and what to do about it.
    pub fn read() -> Result<Self, VirtError> {
        unlock()?;
        let basic = cpu::rdmsr(IA32_VMX_BASIC);
        // The TRUE MSRs stand at the same distance, 12, from the old ones [SDM3D A.3.1].
        let shift = if basic & BASIC_TRUE_CONTROLS != 0 {
            IA32_VMX_TRUE_PINBASED_CTLS - IA32_VMX_PINBASED_CTLS
        } else {
            0
        };
        let primary = Allowed::read("primary processor-based", IA32_VMX_PROCBASED_CTLS + shift);
        if primary.may & PRIMARY_SECONDARY == 0 {
            return Err(MISSING_EPT);
        }
        let ept = cpu::rdmsr(IA32_VMX_EPT_VPID_CAP);
        let needed = EPT_WALK_4 | EPT_WRITE_BACK | INVEPT | INVEPT_SINGLE | INVVPID | INVVPID_SINGLE;
        if ept & needed != needed {
            return Err(MISSING_EPT);
        }
        Ok(Self {
            revision: basic as u32 & 0x7fff_ffff,
            pin: Allowed::read("pin-based", IA32_VMX_PINBASED_CTLS + shift),
            primary,
            secondary: Allowed::read("secondary processor-based", IA32_VMX_PROCBASED_CTLS2),
            exit: Allowed::read("VM-exit", IA32_VMX_EXIT_CTLS + shift),
            entry: Allowed::read("VM-entry", IA32_VMX_ENTRY_CTLS + shift),
            cr0_fixed: cpu::rdmsr(IA32_VMX_CR0_FIXED0),
            cr4_fixed: cpu::rdmsr(IA32_VMX_CR4_FIXED0),
            preemption_shift: (cpu::rdmsr(IA32_VMX_MISC) & 0x1f) as u8,
            large_pages: (ept & EPT_2M != 0, ept & EPT_1G != 0),
        })
    }
}

const MISSING_EPT: VirtError = VirtError::Missing {
    feature: "EPT with 4-level walks, write-back tables, INVEPT and INVVPID",
    remedy: "use a processor from Intel's Westmere generation on, or another emulated processor model",
};

/// IA32_FEATURE_CONTROL must allow VMXON outside SMX operation [SDM3C 24.7].
fn unlock() -> Result<(), VirtError> {
    let control = cpu::rdmsr(IA32_FEATURE_CONTROL);
    if control & FEATURE_CONTROL_VMXON != 0 {
        return Ok(());
    }
    if control & FEATURE_CONTROL_LOCKED != 0 {
        return Err(VirtError::Missing {
            feature: "VT-x (locked off in IA32_FEATURE_CONTROL)",
            remedy: "switch \"Intel Virtualization Technology\" (VMX) on in the firmware's set-up and power-cycle the machine",
        });
    }
    // SAFETY: the register is not locked, so it takes the write; it only permits VMXON.
    unsafe { cpu::wrmsr(IA32_FEATURE_CONTROL, control | FEATURE_CONTROL_VMXON | FEATURE_CONTROL_LOCKED) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: Allowed = Allowed { name: "pin-based", must: 0x16, may: 0x7f };

    #[test]
    fn controls_get_what_must_be_and_lose_what_cannot_be() {
        assert_eq!(PIN.adjust(0x01, 0x80), Ok(0x17));
    }

    #[test]
    fn a_needed_control_that_cannot_be_is_named() {
        assert_eq!(
            PIN.adjust(0x81, 0),
            Err(VirtError::Control { controls: "pin-based", wanted: 0x80, allowed: 0x7f })
        );
    }
}
