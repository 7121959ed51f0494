//! Registers of a stopped guest, for the log.

use super::fields::*;
use super::vcpu::Vcpu;
use crate::virt::registers::RSP;
use crate::virt::{Segment, VirtualCpu};
use core::fmt;

impl Vcpu {
    /// Writes registers and exit information.
    pub(super) fn describe(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        const NAMES: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
            "r14", "r15",
        ];
        let mut general = self.registers.general;
        general[RSP] = self.vmcs.read(GUEST_RSP) as u64;
        for (names, values) in NAMES.chunks(4).zip(general.chunks(4)) {
            out(format_args!(
                "{:3} {:016x} {:3} {:016x} {:3} {:016x} {:3} {:016x}",
                names[0], values[0], names[1], values[1], names[2], values[2], names[3], values[3]
            ));
        }
        let paging = self.paging();
        out(format_args!("rip {:016x} rflags {:08x}", self.rip(), self.rflags()));
        out(format_args!(
            "cr0 {:08x} cr3 {:016x} cr4 {:08x} efer {:04x}",
            paging.cr0, paging.cr3, paging.cr4, paging.efer
        ));
        for (name, which) in [("cs", Segment::Cs), ("ss", Segment::Ss), ("ds", Segment::Ds)] {
            let s = self.segment(which);
            out(format_args!(
                "{name} {:04x} base {:x} limit {:x} rights {:x}",
                s.selector, s.base, s.limit, s.rights
            ));
        }
        out(format_args!(
            "gdt {:x}+{:x} idt {:x}+{:x} interruptibility {:x} activity {:x}",
            self.vmcs.read(GUEST_GDTR_BASE),
            self.vmcs.read(GUEST_GDTR_LIMIT),
            self.vmcs.read(GUEST_IDTR_BASE),
            self.vmcs.read(GUEST_IDTR_LIMIT),
            self.vmcs.read(GUEST_INTERRUPTIBILITY),
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
