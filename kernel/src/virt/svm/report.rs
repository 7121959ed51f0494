//! The state of a stopped guest that only the VMCB holds, for the log.

use super::fields::*;
use super::vcpu::Vcpu;
use core::fmt;

impl Vcpu {
    /// Writes the descriptor tables and the exit information.
    pub(super) fn describe(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        out(format_args!(
            "gdt {:x}+{:x} idt {:x}+{:x} shadow {:x} virtual interrupt {:x}",
            self.vmcb.read(GUEST_GDTR_BASE),
            self.vmcb.read(GUEST_GDTR_LIMIT),
            self.vmcb.read(GUEST_IDTR_BASE),
            self.vmcb.read(GUEST_IDTR_LIMIT),
            self.vmcb.read(INTERRUPT_SHADOW).bits(),
            self.vmcb.read(VIRTUAL_INTERRUPT).bits(),
        ));
        out(format_args!(
            "#vmexit code {:#x} info {:#x} {:#x} interrupted {:#x} next rip {:#x}",
            self.vmcb.read(EXIT_CODE),
            self.vmcb.read(EXIT_INFO_1),
            self.vmcb.read(EXIT_INFO_2),
            self.vmcb.read(EXIT_INTERRUPT_INFO),
            self.vmcb.read(NEXT_RIP),
        ));
    }
}
