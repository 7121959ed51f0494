//! Control registers and EFER: what the guest wants, and what the processor must have for it.

use super::controls::entry;
use super::fields::*;
use super::operation;
use super::vcpu::Vcpu;
use crate::virt::VirtualCpu;
use crate::virt::state::control_registers::*;

pub(super) const CR4_VMXE: u64 = 1 << 13;

impl Vcpu {
    /// CR0 as the processor must have it for what the guest wants.
    fn cr0_in_hardware(&self, wanted: u64) -> u64 {
        // With unrestricted guest PE and PG may be 0 [SDM3C 24.8].
        let fixed = self.operation.capabilities.cr0_fixed & !(CR0_PE | CR0_PG);
        (wanted | fixed | CR0_NE) & !(CR0_NW | CR0_CD)
    }

    pub(super) fn set_cr0(&mut self, wanted: u64) {
        let hardware = self.cr0_in_hardware(wanted);
        self.vmcs.write(CR0_SHADOW, wanted as usize);
        self.vmcs.write(GUEST_CR0, hardware as usize);
    }

    pub(super) fn set_cr4(&mut self, wanted: u64) {
        self.vmcs.write(CR4_SHADOW, wanted as usize);
        // Without CR4.MCE a machine check would shut the processor down [SDM3B 16.7], Weir included.
        let hardware = wanted | self.operation.capabilities.cr4_fixed | CR4_MCE;
        self.vmcs.write(GUEST_CR4, hardware as usize);
    }

    pub(super) fn efer(&self) -> u64 {
        self.vmcs.read(GUEST_EFER)
    }

    pub(super) fn set_efer(&mut self, value: u64) {
        self.vmcs.write(GUEST_EFER, value);
        let entry_controls = self.vmcs.read(ENTRY_CONTROLS) & !entry::IA32E_GUEST;
        let mode = if value & EFER_LMA != 0 { entry::IA32E_GUEST } else { 0 };
        self.vmcs.write(ENTRY_CONTROLS, entry_controls | mode);
    }

    pub(super) fn write_cr0(&mut self, value: u64) -> bool {
        let old = self.cr0();
        let Some(efer) = efer_after_cr0(old, value, self.cr4(), self.efer()) else { return false };
        if efer != self.efer() {
            self.set_efer(efer);
        }
        self.set_cr0(value | CR0_ET);
        if (old ^ value) & CR0_PG != 0 {
            operation::invalidate(self.vmcs.read(VPID));
        }
        true
    }

    pub(super) fn write_cr4(&mut self, value: u64) -> bool {
        if !cr4_is_valid(value, self.cr4_reserved | CR4_VMXE, self.efer()) {
            return false;
        }
        self.set_cr4(value);
        operation::invalidate(self.vmcs.read(VPID));
        true
    }
}

/// A control register as the guest reads it: masked bits from the shadow [SDM3C 26.3].
pub(super) fn guest_view(hardware: usize, shadow: usize, mask: usize) -> u64 {
    (hardware & !mask | shadow & mask) as u64
}
