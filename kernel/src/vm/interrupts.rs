//! From the guest's interrupt controllers to its virtual processor: delivery at entry, HLT and waking.

use super::Vm;
use crate::virt::exit::InjectedEvent;
use crate::virt::{VirtualCpu, VmEntry};
use shell::VmState;

impl<V: VirtualCpu> Vm<V> {
    /// Prepares the next entry: the next event that the guest can take, or a window for one that it cannot take
    /// yet. The entry ends after `ticks` of the time-stamp counter.
    pub fn prepare_entry(&mut self, ticks: u64) -> VmEntry {
        let (vcpu, interrupts) = (&mut self.vcpu, self.pc.interrupts());
        let task_priority = interrupts.task_priority(vcpu.number);
        let mut entry =
            VmEntry { inject: None, interrupt_window: false, nmi_window: false, task_priority, ticks };
        if let Some(fault) = vcpu.fault.take() {
            entry.inject = Some(fault);
        } else if interrupts.nmi_pending(vcpu.number) {
            if vcpu.cpu.nmi_ready() {
                interrupts.take_nmi(vcpu.number);
                entry.inject = Some(InjectedEvent::Nmi);
            } else {
                entry.nmi_window = true;
            }
        } else if interrupts.pending(vcpu.number) && vcpu.cpu.interruptible() {
            entry.inject = interrupts.acknowledge(vcpu.number).map(InjectedEvent::Interrupt);
            vcpu.statistics.injected += 1;
        }
        entry.interrupt_window = interrupts.pending(vcpu.number);
        entry
    }

    fn has_interrupt(&mut self) -> bool {
        let interrupts = self.pc.interrupts();
        interrupts.pending(self.vcpu.number) || interrupts.nmi_pending(self.vcpu.number)
    }

    /// The guest has executed HLT.
    pub(super) fn halt(&mut self) {
        if !self.has_interrupt() {
            self.vcpu.halted = true;
            self.set_state(VmState::Idle);
        }
    }

    /// Makes an idle guest run again if an interrupt is pending.
    pub(super) fn wake(&mut self) {
        if self.state() == VmState::Idle && self.has_interrupt() {
            self.vcpu.halted = false;
            self.set_state(VmState::Running);
        }
    }

    /// CR8: bits 7:4 of the task-priority register [SDM3A 11.8.6].
    pub(super) fn task_priority(&mut self) -> u64 {
        self.pc.interrupts().task_priority(self.vcpu.number).into()
    }

    /// Sets CR8; false if the value has other bits.
    pub(super) fn set_task_priority(&mut self, value: u64) -> bool {
        match u8::try_from(value) {
            Ok(priority @ 0..=0xf) => {
                let effects = self.pc.interrupts().set_task_priority(self.vcpu.number, priority);
                self.apply(effects);
                true
            }
            _ => false,
        }
    }
}
