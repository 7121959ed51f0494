//! Registers of a stopped guest, for the log.

use super::VirtualCpu;
use crate::virt::SegmentRegister;
use core::fmt;

/// Writes the registers, then the vendor-specific state.
pub fn describe<V: VirtualCpu>(vcpu: &V, out: &mut dyn FnMut(fmt::Arguments)) {
    const NAMES: [&str; 16] = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15",
    ];
    let general: [u64; 16] = core::array::from_fn(|number| vcpu.general(number));
    for (names, values) in NAMES.chunks(4).zip(general.chunks(4)) {
        out(format_args!(
            "{:3} {:016x} {:3} {:016x} {:3} {:016x} {:3} {:016x}",
            names[0], values[0], names[1], values[1], names[2], values[2], names[3], values[3]
        ));
    }
    let paging = vcpu.paging();
    out(format_args!("rip {:016x} rflags {:08x}", vcpu.rip(), vcpu.rflags().bits()));
    out(format_args!(
        "cr0 {:08x} cr3 {:016x} cr4 {:08x} efer {:04x}",
        paging.cr0.bits(),
        paging.cr3,
        paging.cr4.bits(),
        paging.efer.bits()
    ));
    for (name, which) in
        [("cs", SegmentRegister::Cs), ("ss", SegmentRegister::Ss), ("ds", SegmentRegister::Ds)]
    {
        let s = vcpu.segment(which);
        out(format_args!(
            "{name} {:04x} base {:x} limit {:x} rights {:x}",
            s.selector, s.base, s.limit, s.rights
        ));
    }
    vcpu.report(out);
}
