//! From the guest's interrupt controllers to its virtual processor: delivery at entry, HLT and waking.

use super::Vm;
use crate::virt::exit::InjectedEvent;
use crate::virt::state::control_registers::RFlags;
use crate::virt::{VirtualCpu, VmEntry};
use base::Instant;
use shell::VmState;

impl<V: VirtualCpu> Vm<V> {
    /// Prepares the next entry: the next event that the guest can take, or a window for one that it cannot take
    /// yet. The entry ends after `ticks` of the time-stamp counter.
    pub fn prepare_entry(&mut self, ticks: u64) -> VmEntry {
        let (vcpu, interrupts) = (&mut self.vcpu, self.pc.interrupts());
        let task_priority = interrupts.task_priority(vcpu.number);
        let mut entry = VmEntry {
            inject: None,
            interrupt_window: false,
            nmi_window: false,
            task_priority,
            priority_window: false,
            ticks,
        };
        if let Some(fault) = vcpu.fault.take() {
            if fault.is_fault() {
                // So that an instruction breakpoint does not stop the instruction again [SDM3B 18.3.1.1].
                vcpu.cpu.set_rflags(vcpu.cpu.rflags() | RFlags::RESUME_FLAG);
            }
            entry.inject = Some(fault);
        } else if interrupts.nmi_pending(vcpu.number) && vcpu.cpu.nmi_ready() {
            interrupts.take_nmi(vcpu.number);
            entry.inject = Some(InjectedEvent::Nmi);
        } else if interrupts.pending(vcpu.number) && vcpu.cpu.interruptible() {
            entry.inject = interrupts.acknowledge(vcpu.number).map(InjectedEvent::Interrupt);
            vcpu.statistics.injected += 1;
        }
        entry.nmi_window = interrupts.nmi_pending(vcpu.number);
        entry.interrupt_window = interrupts.pending(vcpu.number);
        entry.priority_window = interrupts.waits_for_task_priority(vcpu.number);
        entry
    }

    /// Follows what the guest has done to CR8 without an exit.
    pub(super) fn follow_task_priority(&mut self) {
        let Some(priority) = self.vcpu.cpu.task_priority() else { return };
        if self.task_priority() != priority.into() {
            self.set_task_priority(priority.into());
        }
    }

    /// True when an event ends HLT: an NMI that is not blocked, or an interrupt if RFLAGS.IF is set [SDM2A HLT]. A guest
    /// that is not interruptible although RFLAGS.IF is set has an event whose delivery was interrupted.
    fn has_wake_event(&mut self) -> bool {
        let (cpu, number, interrupts) = (&self.vcpu.cpu, self.vcpu.number, self.pc.interrupts());
        let enabled = cpu.rflags().contains(RFlags::INTERRUPT_FLAG);
        enabled && (interrupts.pending(number) || !cpu.interruptible())
            || interrupts.nmi_pending(number) && cpu.nmi_ready()
    }

    /// The guest has executed HLT.
    pub(super) fn halt(&mut self) {
        if !self.has_wake_event() {
            self.vcpu.halted = true;
            self.set_state(VmState::Idle);
        }
    }

    /// Makes an idle guest run again if an event that ends HLT is pending.
    pub(super) fn wake(&mut self) {
        if self.state() == VmState::Idle && self.has_wake_event() {
            self.vcpu.halted = false;
            self.set_state(VmState::Running);
            self.unwoken_until = Instant::ZERO;
        }
    }

    /// CR8: bits 7:4 of the task-priority register [SDM3A 11.8.6].
    pub(super) fn task_priority(&mut self) -> u64 {
        self.pc.interrupts().task_priority(self.vcpu.number).into()
    }

    /// Sets CR8; false if the value has other bits.
    pub(super) fn set_task_priority(&mut self, value: u64) -> bool {
        let Ok(priority @ 0..=0xf) = u8::try_from(value) else { return false };
        let effects = self.pc.interrupts().set_task_priority(self.vcpu.number, priority);
        self.apply(effects);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::exit::{GENERAL_PROTECTION, INVALID_OPCODE};
    use crate::virt::fake::FakeCpu;
    use crate::vm::exits::tests::vm;
    use base::{GuestPhysical, Width};

    const VECTOR: u8 = 0x41;
    const IF: RFlags = RFlags::INTERRUPT_FLAG;

    /// Sends the guest a fixed interrupt, or an NMI [SDM3A 11.11.2].
    fn send(vm: &mut Vm<FakeCpu>, nmi: bool) {
        let interrupts = vm.pc.interrupts();
        let _ = interrupts.mmio_write(0, GuestPhysical(0xfee0_00f0), Width::Dword, 0x1ff, Instant::ZERO);
        let _ = interrupts.msi(0xfee0_0000, if nmi { 4 << 8 } else { VECTOR.into() });
    }

    #[test]
    fn an_nmi_that_is_blocked_does_not_hold_interrupts_up() {
        let mut vm = vm();
        send(&mut vm, false);
        send(&mut vm, true);
        (vm.vcpu.cpu.rflags, vm.vcpu.cpu.nmi_ready) = (IF, false);
        let entry = vm.prepare_entry(0);
        assert_eq!(entry.inject, Some(InjectedEvent::Interrupt(VECTOR)));
        assert!(entry.nmi_window && !entry.interrupt_window);
        vm.vcpu.cpu.nmi_ready = true;
        let entry = vm.prepare_entry(0);
        assert_eq!((entry.inject, entry.nmi_window), (Some(InjectedEvent::Nmi), false));
    }

    #[test]
    fn an_nmi_behind_a_fault_is_not_forgotten() {
        let mut vm = vm();
        send(&mut vm, true);
        vm.vcpu.raise(INVALID_OPCODE);
        let entry = vm.prepare_entry(0);
        assert_eq!((entry.inject, entry.nmi_window), (Some(INVALID_OPCODE), true));
    }

    #[test]
    fn an_interrupt_that_waits_for_a_lower_task_priority_is_found_when_the_guest_has_set_it() {
        let mut vm = vm();
        vm.vcpu.cpu.rflags = IF;
        assert!(!vm.prepare_entry(0).priority_window, "nothing waits");
        // Written without an exit, and seen with the next one.
        vm.vcpu.cpu.task_priority = Some(VECTOR >> 4);
        vm.follow_task_priority();
        send(&mut vm, false);
        let entry = vm.prepare_entry(0);
        assert_eq!((entry.inject, entry.task_priority), (None, VECTOR >> 4));
        assert!(entry.priority_window && !entry.interrupt_window);
        vm.vcpu.cpu.task_priority = Some(0);
        vm.follow_task_priority();
        assert_eq!(vm.prepare_entry(0).inject, Some(InjectedEvent::Interrupt(VECTOR)));
        // In service, it holds others of its class back, whatever the task priority is.
        send(&mut vm, false);
        assert!(!vm.prepare_entry(0).priority_window);
    }

    #[test]
    fn halt_ends_by_what_is_not_masked() {
        for (flags, nmi_ready, nmi, wakes) in [
            (IF, true, false, true),
            (RFlags::empty(), true, false, false),
            (RFlags::empty(), true, true, true),
            (RFlags::empty(), false, true, false),
        ] {
            let mut vm = vm();
            (vm.vcpu.cpu.rflags, vm.vcpu.cpu.nmi_ready) = (flags, nmi_ready);
            vm.halt();
            vm.wake();
            assert_eq!(vm.state(), VmState::Idle);
            send(&mut vm, nmi);
            vm.wake();
            assert_eq!(vm.state() == VmState::Running, wakes, "{flags:?} {nmi_ready} {nmi}");
            vm.halt();
            assert_eq!(
                vm.state() == VmState::Running,
                wakes,
                "it arrived before HLT: {flags:?} {nmi_ready} {nmi}"
            );
        }
    }

    #[test]
    fn a_fault_pushes_the_resume_flag_and_a_trap_does_not() {
        let of = |vector| InjectedEvent::Exception { vector, error: None };
        for (event, resumes) in [
            (GENERAL_PROTECTION, true),
            (InjectedEvent::Exception { vector: 14, error: Some(2) }, true),
            (INVALID_OPCODE, true),
            (of(17), true),
            (of(1), false),
            (of(3), false),
            (InjectedEvent::Software { vector: 1, kind: 5, length: 1 }, false),
        ] {
            let mut vm = vm();
            vm.vcpu.raise(event);
            assert_eq!(vm.prepare_entry(0).inject, Some(event));
            assert_eq!(vm.vcpu.cpu.rflags.contains(RFlags::RESUME_FLAG), resumes, "{event:?}");
        }
    }
}
