//! CPUID by the guest.

use crate::virt::state::registers::{RAX, RBX, RCX, RDX};
use crate::virt::{VirtualCpu, offer};
use crate::vm::Vm;
use platform::cpuid::CpuidContext;

impl<V: VirtualCpu> Vm<V> {
    /// Answers CPUID for the leaf in EAX and the subleaf in ECX.
    pub(super) fn cpuid(&mut self) {
        let vcpu = &mut self.vcpu;
        let (leaf, subleaf) = (vcpu.general_32(RAX), vcpu.general_32(RCX));
        let context = CpuidContext {
            apic_id: vcpu.number,
            apic_enabled: self.pc.interrupts().apic(vcpu.number).is_some_and(|apic| apic.enabled()),
            xcr0: vcpu.cpu.xcr0(),
            cr4: vcpu.cpu.cr4().bits(),
        };
        let result = offer::cpuid(leaf, subleaf, &context);
        for (register, value) in [(RAX, result.eax), (RBX, result.ebx), (RCX, result.ecx), (RDX, result.edx)]
        {
            vcpu.cpu.set_general(register, value.into());
        }
    }
}
