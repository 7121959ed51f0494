//! Control registers and EFER: the guest's values, and the values that the processor must have for them.

use super::controls::EntryControls;
use super::fields::*;
use super::vcpu::{RIGHTS_L, Vcpu};
use crate::virt::state::control_registers::*;
use crate::virt::{SegmentRegister, VirtualCpu};
use bitflags::Flags;

impl Vcpu {
    /// The value of CR0 that the processor must have when the guest wants `wanted`.
    fn cr0_in_hardware(&self, wanted: Cr0Flags) -> Cr0Flags {
        // With unrestricted guest PE and PG may be 0 [SDM3C 24.8].
        let fixed =
            self.operation.capabilities.cr0_fixed - (Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::PAGING);
        (wanted | fixed | Cr0Flags::NUMERIC_ERROR) - (Cr0Flags::NOT_WRITE_THROUGH | Cr0Flags::CACHE_DISABLE)
    }

    pub(super) fn set_cr0(&mut self, wanted: Cr0Flags) {
        let hardware = self.cr0_in_hardware(wanted);
        self.vmcs.write(CR0_SHADOW, wanted);
        self.vmcs.write(GUEST_CR0, hardware);
    }

    pub(super) fn set_cr4(&mut self, wanted: Cr4Flags) {
        self.vmcs.write(CR4_SHADOW, wanted);
        // Without CR4.MCE a machine check would shut the processor down, and Weir with it [SDM3B 16.7].
        let fixed = self.operation.capabilities.cr4_fixed | Cr4Flags::MACHINE_CHECK_EXCEPTION;
        self.vmcs.write(GUEST_CR4, wanted | fixed);
    }

    /// The bits of CR4 that are Weir's: those that the guest is refused, and MCE, which stays on in hardware.
    pub(super) fn cr4_mask(&self) -> Cr4Flags {
        Cr4Flags::from_bits_retain(!self.cr4_allowed.bits()) | Cr4Flags::MACHINE_CHECK_EXCEPTION
    }

    /// EFER without reading it: each write of it exits. LMA alone changes without one, when the guest writes CR0.PG:
    /// it is set while paging and LME are [SDM3A 4.1.1, SDM3C 27.8].
    pub(super) fn efer(&self) -> EferFlags {
        let paging = || self.vmcs.read(GUEST_CR0).contains(Cr0Flags::PAGING);
        let mut efer = self.efer_written;
        efer.set(EferFlags::LONG_MODE_ACTIVE, efer.contains(EferFlags::LONG_MODE_ENABLE) && paging());
        efer
    }

    pub(super) fn set_efer(&mut self, value: EferFlags) {
        self.vmcs.write(GUEST_EFER, value);
        self.efer_written = value - EferFlags::LONG_MODE_ACTIVE;
        let mut controls = self.vmcs.read(ENTRY_CONTROLS);
        controls.set(EntryControls::IA32E_GUEST, value.contains(EferFlags::LONG_MODE_ACTIVE));
        self.vmcs.write(ENTRY_CONTROLS, controls);
    }

    pub(super) fn write_cr0(&mut self, value: Cr0Flags) -> bool {
        let old = self.paging();
        let code = GUEST_SEGMENTS[SegmentRegister::Cs as usize];
        let long_code = self.vmcs.read(code.rights) & RIGHTS_L != 0;
        let Some((value, efer)) = after_cr0(&old, value, long_code) else { return false };
        self.set_efer(efer);
        self.set_cr0(value);
        if (old.cr0 ^ value).contains(Cr0Flags::PAGING) {
            self.translations.invalidate_linear();
        }
        true
    }

    pub(super) fn write_cr4(&mut self, value: Cr4Flags) -> bool {
        let old = self.paging();
        if !cr4_is_valid(&old, value, self.cr4_allowed) {
            return false;
        }
        self.set_cr4(value);
        if cr4_discards_translations(old.cr4, value) {
            self.translations.invalidate_linear();
        }
        true
    }
}

/// The bits of CR0 that are Weir's. CD and NW are shadowed: a guest must not switch the machine's caches off. NE must
/// be 1.
pub(super) fn cr0_mask() -> Cr0Flags {
    let shadowed = Cr0Flags::NUMERIC_ERROR | Cr0Flags::NOT_WRITE_THROUGH | Cr0Flags::CACHE_DISABLE;
    Cr0Flags::from_bits_retain(!CR0_DEFINED.bits()) | shadowed
}

/// A control register as the guest reads it: masked bits from the shadow [SDM3C 26.3].
pub(super) fn guest_view<F: Flags + Copy>(hardware: F, shadow: F, mask: F) -> F {
    hardware.difference(mask).union(shadow.intersection(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_bits_are_read_from_the_shadow() {
        let [hardware, shadow, mask] =
            [0b1100, 0b1010 | 1 << 63, 0b0110 | 1 << 63].map(Cr4Flags::from_bits_retain);
        assert_eq!(guest_view(hardware, shadow, mask).bits(), 0b1010 | 1 << 63);
    }
}
