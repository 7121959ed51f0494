//! Event injection, interrupt and NMI windows, interrupted delivery, and the reading of an exit.
//!
//! EVENTINJ delivers an event before the first instruction, so an external interrupt that the guest can take is
//! injected that way. Two kinds are injected as a virtual interrupt (V_IRQ) instead, which the processor
//! delivers as soon as the guest can take it: on every processor, an interrupt that the guest cannot take yet;
//! under QEMU's TCG, which may deliver an EVENTINJ interrupt twice, every external interrupt.

use super::controls::{ControlRegisterIntercepts, InstructionIntercepts, VirtualInterrupt};
use super::exit::{RawExit, injection, interrupted_event, parse};
use super::fields::*;
use super::vcpu::Vcpu;
use crate::processor::cpu;
use crate::virt::state::control_registers::{Cr0Flags, RFlags};
use crate::virt::{Exit, InjectedEvent, VirtualCpu, VmEntry};

/// A pending virtual interrupt of the highest priority, independent of V_TPR: the guest's local APIC has
/// already made that decision.
const PENDING: VirtualInterrupt =
    VirtualInterrupt::V_IRQ.union(VirtualInterrupt::V_INTR_PRIO).union(VirtualInterrupt::V_IGN_TPR);
const DR6_BS: u64 = 1 << 14;
/// DR7: an access to a debug register raises #DB.
const DR7_GD: u64 = 1 << 13;

const EXIT_DEBUG_EXCEPTION: u64 = 0x41;
const EXIT_INTR: u64 = 0x60;
const EXIT_IRET: u64 = 0x74;

/// #DB.
pub(super) const DEBUG_EXCEPTION: InjectedEvent = InjectedEvent::Exception { vector: 1, error: None };

/// A single step over the IRET that ends NMI blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The guest itself was single-stepping.
    guest_steps: bool,
}

/// Events on their way to one guest.
#[derive(Default)]
pub(super) struct Delivery {
    /// The event whose delivery the last exit interrupted: it has precedence over all but exceptions.
    pub(super) interrupted: Option<InjectedEvent>,
    /// An external interrupt that the processor delivers when the guest can take it.
    pub(super) held: Option<u8>,
    /// The virtual interrupt control and vector in the VMCB.
    pub(super) virtual_interrupt: (VirtualInterrupt, u8),
    /// The intercepts of the open windows.
    pub(super) windows: InstructionIntercepts,
    /// The guest is in its NMI handler.
    pub(super) nmi_blocked: bool,
    /// The single step for an NMI, for which Weir has set TF.
    pub(super) step: Option<Step>,
    /// An instruction of a single-stepping guest was emulated: its trap is due.
    pub(super) stepped: bool,
}

impl Vcpu {
    /// Sets the virtual interrupt to deliver, or the intercepts that exit when the guest can take an event.
    pub(super) fn open_windows(&mut self, entry: &VmEntry) {
        // An interrupt during the step would push the TF that Weir has set.
        let steps = self.delivery.step.is_some();
        let (interrupt, vector, window) = match self.delivery.held {
            _ if steps => (VirtualInterrupt::empty(), 0, InstructionIntercepts::empty()),
            Some(vector) => (PENDING, vector, InstructionIntercepts::empty()),
            None if entry.interrupt_window => (PENDING, 0, InstructionIntercepts::VINTR),
            None => (VirtualInterrupt::empty(), 0, InstructionIntercepts::empty()),
        };
        // V_TPR is the guest's CR8, as long as V_INTR_MASKING is set [APM2 15.21.2].
        let task_priority = VirtualInterrupt::from_bits_retain(entry.task_priority.into());
        let virtual_interrupt = VirtualInterrupt::V_INTR_MASKING | interrupt | task_priority;
        if self.delivery.virtual_interrupt != (virtual_interrupt, vector) {
            self.delivery.virtual_interrupt = (virtual_interrupt, vector);
            self.vmcb.write(VIRTUAL_INTERRUPT, virtual_interrupt);
            self.vmcb.write(VIRTUAL_INTERRUPT_VECTOR, vector.into());
        }
        self.intercept(ControlRegisterIntercepts::CR8_WRITE, entry.priority_window);
        let mut windows = window;
        windows.set(InstructionIntercepts::IRET, self.delivery.nmi_blocked && !steps);
        if self.delivery.windows != windows {
            self.delivery.windows = windows;
            self.vmcb.write(INTERCEPT_INSTRUCTIONS, self.controls.instructions | windows);
        }
    }

    /// Lets an access to a control register exit, or not.
    pub(super) fn intercept(&mut self, access: ControlRegisterIntercepts, exits: bool) {
        let mut intercepts = self.vmcb.read(INTERCEPT_CONTROL_REGISTERS);
        if intercepts.contains(access) != exits {
            intercepts.set(access, exits);
            self.vmcb.write(INTERCEPT_CONTROL_REGISTERS, intercepts);
        }
    }

    pub(super) fn inject(&mut self, event: InjectedEvent) {
        self.delivery.nmi_blocked |= event == InjectedEvent::Nmi;
        let protected = self.vmcb.read(GUEST_CR0).contains(Cr0Flags::PROTECTED_MODE_ENABLE);
        self.vmcb.write(EVENT_INJECTION, injection(event, protected));
        if event.is_debug_exception() {
            // Its delivery does, and its exit does not on every processor [APM2 13.1.1.4, 15.12.2].
            let dr7 = self.vmcb.read(GUEST_DR7);
            self.vmcb.write(GUEST_DR7, dr7 & !DR7_GD);
        }
    }

    /// Reads the exit.
    pub(super) fn read_exit(&mut self) -> Exit {
        let capabilities = &self.operation.capabilities;
        let raw = RawExit {
            code: self.vmcb.read(EXIT_CODE),
            info_1: self.vmcb.read(EXIT_INFO_1),
            info_2: self.vmcb.read(EXIT_INFO_2),
            rip: self.rip(),
            next_rip: if capabilities.next_rip { self.vmcb.read(NEXT_RIP) } else { 0 },
            decode_assists: capabilities.decode_assists,
        };
        self.note_interrupted_delivery();
        if raw.code == EXIT_INTR {
            cpu::take_interrupts();
        }
        if let Some(step) = self.delivery.step.take() {
            return self.end_step(step, &raw);
        }
        if raw.code == EXIT_IRET {
            self.begin_step();
        }
        parse(&raw)
    }

    /// Records the event during whose delivery the exit occurred, and a virtual interrupt that is still
    /// pending, so that neither is lost.
    fn note_interrupted_delivery(&mut self) {
        let virtual_interrupt = self.vmcb.read(VIRTUAL_INTERRUPT);
        // One that was not offered, because of a step, is still to be delivered.
        let offered = self.delivery.virtual_interrupt.0.contains(VirtualInterrupt::V_IRQ);
        if offered && !virtual_interrupt.contains(VirtualInterrupt::V_IRQ) {
            self.delivery.held = None;
        }
        self.delivery.virtual_interrupt.0 = virtual_interrupt;
        match interrupted_event(self.vmcb.read(EXIT_INTERRUPT_INFO)) {
            None => {}
            Some(InjectedEvent::Interrupt(vector)) => self.delivery.held = Some(vector),
            event => {
                // Delivery of an NMI starts over, and blocks NMIs itself.
                self.delivery.nmi_blocked &= event != Some(InjectedEvent::Nmi);
                self.delivery.interrupted = event;
            }
        }
    }

    /// The event to deliver now by EVENTINJ: the one whose delivery was interrupted, unless there is an
    /// exception to deliver first; or the trap of a single-stepping guest after an emulated instruction.
    pub(super) fn next_event(&mut self, inject: Option<InjectedEvent>) -> Option<InjectedEvent> {
        if let Some(InjectedEvent::Interrupt(vector)) = inject {
            self.delivery.held = Some(vector);
        }
        let event = inject
            .filter(|event| !matches!(event, InjectedEvent::Interrupt(_)))
            .or_else(|| self.delivery.interrupted.take());
        if event.is_none() && core::mem::take(&mut self.delivery.stepped) {
            self.vmcb.write(GUEST_DR6, self.vmcb.read(GUEST_DR6) | DR6_BS);
            return Some(DEBUG_EXCEPTION);
        }
        let steps = self.delivery.step.is_some();
        if event.is_none()
            && !steps
            && !self.operation.capabilities.repeats_injection
            && self.accepts_interrupts()
        {
            return self.delivery.held.take().map(InjectedEvent::Interrupt);
        }
        event
    }

    pub(super) fn accepts_interrupts(&self) -> bool {
        self.rflags().contains(RFlags::INTERRUPT_FLAG) && !self.in_shadow()
    }

    pub(super) fn in_shadow(&self) -> bool {
        self.vmcb.read(INTERRUPT_SHADOW).contains(InterruptShadow::SHADOW)
    }

    pub(super) fn end_shadow(&mut self) {
        let state = self.vmcb.read(INTERRUPT_SHADOW);
        if state.contains(InterruptShadow::SHADOW) {
            self.vmcb.write(INTERRUPT_SHADOW, state - InterruptShadow::SHADOW);
        }
    }

    /// SVM has no exit after IRET, so the instruction is intercepted and single-stepped; #DB is intercepted
    /// anyway. TF traps after an IRET that began with TF set [APM2 13.1.4].
    fn begin_step(&mut self) {
        let flags = self.rflags();
        self.delivery.step = Some(Step { guest_steps: flags.contains(RFlags::TRAP_FLAG) });
        self.set_rflags(flags | RFlags::TRAP_FLAG);
    }

    /// Handles an exit during a step: either the step is over, or the instruction has not been executed.
    fn end_step(&mut self, step: Step, raw: &RawExit) -> Exit {
        let over = raw.code == EXIT_DEBUG_EXCEPTION;
        // IRET has loaded the guest's own TF.
        if !(step.guest_steps || over) {
            self.set_rflags(self.rflags() - RFlags::TRAP_FLAG);
        }
        if !over {
            return parse(raw);
        }
        self.delivery.nmi_blocked = false;
        if step.guest_steps {
            return parse(raw);
        }
        self.vmcb.write(GUEST_DR6, self.vmcb.read(GUEST_DR6) & !DR6_BS);
        Exit::NmiWindow
    }
}
