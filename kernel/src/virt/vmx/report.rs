//! The state of a stopped guest that only the VMCS holds, for the log.

use super::fields::*;
use super::vcpu::Vcpu;
use core::fmt;

impl Vcpu {
    /// Writes the descriptor tables and the exit information.
    pub(super) fn describe(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        out(format_args!(
            "gdt {:x}+{:x} idt {:x}+{:x} interruptibility {:x} activity {:x}",
            self.vmcs.read(GUEST_GDTR_BASE),
            self.vmcs.read(GUEST_GDTR_LIMIT),
            self.vmcs.read(GUEST_IDTR_BASE),
            self.vmcs.read(GUEST_IDTR_LIMIT),
            self.vmcs.read(GUEST_INTERRUPTIBILITY).bits(),
            self.vmcs.read(GUEST_ACTIVITY),
        ));
        out(format_args!(
            "vm-exit reason {:#x} qualification {:#x} physical {:#x} linear {:#x} idt-vectoring {:#x}",
            self.vmcs.read(EXIT_REASON),
            self.vmcs.read(EXIT_QUALIFICATION),
            self.vmcs.read(GUEST_PHYSICAL_ADDRESS),
            self.vmcs.read(GUEST_LINEAR_ADDRESS),
            self.vmcs.read(IDT_VECTORING_INFORMATION),
        ));
    }
}
