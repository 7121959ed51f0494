//! Control registers and EFER: the guest's values, and the values that the processor must have for them.

use super::controls::ControlRegisterIntercepts;
use super::fields::*;
use super::vcpu::{ATTRIBUTE_L, Vcpu};
use crate::virt::state::control_registers::*;
use crate::virt::{SegmentRegister, VirtualCpu};

/// Set while the guest runs, and hidden from it [APM2 15.5.1].
const SVME: EferFlags = EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE;
/// CD and NW are shadowed: a guest must not switch the machine's caches off.
const CACHE_CONTROL: Cr0Flags = Cr0Flags::CACHE_DISABLE.union(Cr0Flags::NOT_WRITE_THROUGH);

impl Vcpu {
    pub(super) fn set_cr0(&mut self, wanted: Cr0Flags) {
        let hardware = wanted - CACHE_CONTROL;
        self.cr0_shadow = wanted & CACHE_CONTROL;
        self.vmcb.write(GUEST_CR0, hardware);
        self.intercept(ControlRegisterIntercepts::CR0_READ, hardware != wanted);
    }

    pub(super) fn set_cr4(&mut self, wanted: Cr4Flags) {
        self.cr4_shadow = wanted;
        // Without CR4.MCE a machine check would shut the processor down, and Weir with it [APM2 9.2].
        self.vmcb.write(GUEST_CR4, wanted | Cr4Flags::MACHINE_CHECK_EXCEPTION);
    }

    pub(super) fn efer(&self) -> EferFlags {
        self.vmcb.read(GUEST_EFER) - SVME
    }

    pub(super) fn set_efer(&mut self, value: EferFlags) {
        self.vmcb.write(GUEST_EFER, value | SVME);
    }

    pub(super) fn write_cr0(&mut self, value: Cr0Flags) -> bool {
        let old = self.paging();
        let code = GUEST_SEGMENTS[SegmentRegister::Cs as usize];
        let long_code = self.vmcb.read(code.attributes) & ATTRIBUTE_L != 0;
        let Some((value, efer)) = after_cr0(&old, value, long_code) else { return false };
        self.set_efer(efer);
        self.set_cr0(value);
        if (old.cr0 ^ value).contains(Cr0Flags::PAGING) {
            self.invalidate();
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
            self.invalidate();
        }
        true
    }
}
