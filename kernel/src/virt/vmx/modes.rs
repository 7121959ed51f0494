//! Control registers and EFER: what the guest wants, and what the processor must have for it.

use super::controls::entry;
use super::fields::*;
use super::operation;
use super::vcpu::Vcpu;
use crate::virt::VirtualCpu;

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
/// Reserved bits of CR0 are all those not named in [SDM3A 2.5].
const CR0_DEFINED: u64 = 0xe005_003f;
const CR4_PAE: u64 = 1 << 5;
pub(super) const CR4_MCE: u64 = 1 << 6;
const CR4_VMXE: u64 = 1 << 13;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

impl Vcpu {
    /// CR0 as the processor must have it for what the guest wants.
    pub(super) fn cr0_in_hardware(&self, wanted: u64) -> u64 {
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

    pub(super) fn cr0(&self) -> u64 {
        guest_view(self.vmcs.read(GUEST_CR0), self.vmcs.read(CR0_SHADOW), self.vmcs.read(CR0_MASK))
    }

    pub(super) fn set_efer(&mut self, value: u64) {
        self.vmcs.write(GUEST_EFER, value);
        let entry_controls = self.vmcs.read(ENTRY_CONTROLS) & !entry::IA32E_GUEST;
        let mode = if value & EFER_LMA != 0 { entry::IA32E_GUEST } else { 0 };
        self.vmcs.write(ENTRY_CONTROLS, entry_controls | mode);
    }

    pub(super) fn write_cr0(&mut self, value: u64) -> bool {
        let (pe, pg) = (value & CR0_PE != 0, value & CR0_PG != 0);
        if value >> 32 != 0
            || value & !CR0_DEFINED != 0
            || pg && !pe
            || value & CR0_NW != 0 && value & CR0_CD == 0
        {
            return false;
        }
        let efer = self.vmcs.read(GUEST_EFER);
        let switches_paging = (self.cr0() ^ value) & CR0_PG != 0;
        if switches_paging && pg && efer & EFER_LME != 0 {
            if self.cr4() & CR4_PAE == 0 {
                return false;
            }
            self.set_efer(efer | EFER_LMA);
        } else if switches_paging && !pg {
            self.set_efer(efer & !EFER_LMA);
        }
        self.set_cr0(value | CR0_ET);
        if switches_paging {
            operation::invalidate_vpid(self.vmcs.read(VPID));
        }
        true
    }

    pub(super) fn write_cr4(&mut self, value: u64) -> bool {
        if value & (self.cr4_reserved | CR4_VMXE) != 0
            || value & CR4_PAE == 0 && self.vmcs.read(GUEST_EFER) & EFER_LMA != 0
        {
            return false;
        }
        self.set_cr4(value);
        operation::invalidate_vpid(self.vmcs.read(VPID));
        true
    }
}

/// A control register as the guest reads it: masked bits from the shadow [SDM3C 26.3].
pub(super) fn guest_view(hardware: usize, shadow: usize, mask: usize) -> u64 {
    (hardware & !mask | shadow & mask) as u64
}
