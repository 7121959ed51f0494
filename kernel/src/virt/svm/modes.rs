//! Control registers and EFER: what the guest wants, and what the processor must have for it.

use super::controls::control_register;
use super::fields::*;
use super::vcpu::Vcpu;
use crate::virt::VirtualCpu;
use crate::virt::state::control_registers::*;

/// The guest runs with SVM on, and does not see it [APM2 15.5.1].
pub(super) const EFER_SVME: u64 = 1 << 12;

impl Vcpu {
    pub(super) fn set_cr0(&mut self, wanted: u64) {
        // CD and NW are shadowed: a guest must not switch the machine's caches off.
        let hardware = wanted & !(CR0_NW | CR0_CD);
        self.cr0_shadow = wanted & (CR0_NW | CR0_CD);
        self.vmcb.write(GUEST_CR0, hardware);
        let read = if hardware == wanted { 0 } else { control_register::CR0_READ };
        self.vmcb.write(INTERCEPT_CONTROL_REGISTERS, self.controls.control_registers | read);
    }

    pub(super) fn set_cr4(&mut self, wanted: u64) {
        self.cr4_shadow = wanted;
        // Without CR4.MCE a machine check would shut the processor down [APM2 9.2], Weir included.
        self.vmcb.write(GUEST_CR4, wanted | CR4_MCE);
    }

    pub(super) fn efer(&self) -> u64 {
        self.vmcb.read(GUEST_EFER) & !EFER_SVME
    }

    pub(super) fn set_efer(&mut self, value: u64) {
        self.vmcb.write(GUEST_EFER, value | EFER_SVME);
    }

    pub(super) fn write_cr0(&mut self, value: u64) -> bool {
        let old = self.cr0();
        let Some(efer) = efer_after_cr0(old, value, self.cr4_shadow, self.efer()) else { return false };
        if efer != self.efer() {
            self.set_efer(efer);
        }
        self.set_cr0(value | CR0_ET);
        if (old ^ value) & CR0_PG != 0 {
            self.invalidate();
        }
        true
    }

    pub(super) fn write_cr4(&mut self, value: u64) -> bool {
        if !cr4_is_valid(value, self.cr4_reserved, self.efer()) {
            return false;
        }
        self.set_cr4(value);
        self.invalidate();
        true
    }
}
