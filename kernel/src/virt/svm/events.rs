//! Events on their way in, and what an exit says: injection, windows, interrupted delivery.
//!
//! EVENTINJ delivers before the first instruction, as the manual says, so an external interrupt that the guest can
//! take goes in by it. Under QEMU's TCG, which may deliver that twice, it goes in as a virtual interrupt (V_IRQ), which the
//! processor delivers as soon as the guest can take it; so does, everywhere, one that the guest cannot take yet.

use super::controls::instruction;
use super::exit::{Raw, injection, interrupted_event, parse};
use super::fields::*;
use super::vcpu::Vcpu;
use crate::processor::cpu;
use crate::virt::state::control_registers::{RFLAGS_IF, RFLAGS_TF};
use crate::virt::{Exit, InjectedEvent, VirtualCpu, VmEntry};

/// V_INTR_MASKING: the guest's RFLAGS.IF is for its virtual interrupts, not for the machine's [APM2 15.21.1].
pub(super) const INTERRUPTS_MASKED: u32 = 1 << 24;
const V_IRQ: u32 = 1 << 8;
/// Highest priority, whatever V_TPR says: the guest's local APIC has decided already.
const V_PRIORITY: u32 = 0xf << 16 | 1 << 20;
const SHADOW: u32 = 1 << 0;
const DR6_BS: u64 = 1 << 14;

const EXIT_DEBUG_EXCEPTION: u64 = 0x41;
const EXIT_INTR: u64 = 0x60;
const EXIT_IRET: u64 = 0x74;

/// #DB.
pub(super) const DEBUG_EXCEPTION: InjectedEvent = InjectedEvent::Exception { vector: 1, error: None };

/// A single step over an instruction after which the guest can take an NMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// It is the IRET that ends NMI blocking.
    iret: bool,
    /// The guest was single-stepping itself.
    guest_steps: bool,
}

impl Vcpu {
    /// Virtual interrupt and intercepts for what is to come in, or for the moment when it could.
    pub(super) fn open_windows(&mut self, entry: &VmEntry) {
        let (interrupt, vector, window) = match self.held {
            Some(vector) => (V_IRQ | V_PRIORITY, vector, 0),
            None if entry.interrupt_window => (V_IRQ | V_PRIORITY, 0, instruction::VINTR),
            None => (0, 0, 0),
        };
        // V_TPR, the field's lowest bits: what CR8 reads as without an exit, as under QEMU 10.0 [APM2 15.21.2].
        let virtual_interrupt = INTERRUPTS_MASKED | interrupt | u32::from(entry.task_priority);
        if self.virtual_interrupt != (virtual_interrupt, vector) {
            self.virtual_interrupt = (virtual_interrupt, vector);
            self.vmcb.write(VIRTUAL_INTERRUPT, virtual_interrupt);
            self.vmcb.write(VIRTUAL_INTERRUPT_VECTOR, vector.into());
        }
        if entry.nmi_window && !self.nmi_blocked && self.step.is_none() {
            // Only a shadow is in the way: it ends with the next instruction.
            self.begin_step(false);
        }
        let iret = if self.nmi_blocked && self.step.is_none() { instruction::IRET } else { 0 };
        if self.windows != window | iret {
            self.windows = window | iret;
            self.vmcb.write(INTERCEPT_INSTRUCTIONS, self.controls.instructions | self.windows);
        }
    }

    pub(super) fn inject(&mut self, event: InjectedEvent) {
        self.nmi_blocked |= event == InjectedEvent::Nmi;
        self.vmcb.write(EVENT_INJECTION, injection(event));
    }

    /// Reads what happened.
    pub(super) fn read_exit(&mut self) -> Exit {
        let capabilities = &self.operation.capabilities;
        let raw = Raw {
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
        if let Some(step) = self.step.take() {
            return self.end_step(step, &raw);
        }
        if raw.code == EXIT_IRET {
            self.begin_step(true);
        }
        parse(&raw)
    }

    /// An exit can strike while an event is being delivered, or before a virtual interrupt was: that event is not
    /// lost.
    fn note_interrupted_delivery(&mut self) {
        let virtual_interrupt = self.vmcb.read(VIRTUAL_INTERRUPT);
        if virtual_interrupt & V_IRQ == 0 {
            self.held = None;
        }
        self.virtual_interrupt.0 = virtual_interrupt;
        match interrupted_event(self.vmcb.read(EXIT_INTERRUPT_INFO)) {
            None => {}
            Some(InjectedEvent::Interrupt(vector)) => self.held = Some(vector),
            event => {
                // Delivery of an NMI begins again, and blocks NMIs itself.
                self.nmi_blocked &= event != Some(InjectedEvent::Nmi);
                self.interrupted = event;
            }
        }
    }

    /// What to deliver now by EVENTINJ: an event whose delivery was interrupted, unless an exception comes before
    /// it; and the trap of a single-stepping guest after an emulated instruction.
    pub(super) fn next_event(&mut self, inject: Option<InjectedEvent>) -> Option<InjectedEvent> {
        if let Some(InjectedEvent::Interrupt(vector)) = inject {
            self.held = Some(vector);
        }
        let event = inject
            .filter(|event| !matches!(event, InjectedEvent::Interrupt(_)))
            .or_else(|| self.interrupted.take());
        if event.is_none() && core::mem::take(&mut self.stepped) {
            self.vmcb.write(GUEST_DR6, self.vmcb.read(GUEST_DR6) | DR6_BS);
            return Some(DEBUG_EXCEPTION);
        }
        if event.is_none() && !self.operation.capabilities.repeats_injection && self.accepts_interrupts() {
            return self.held.take().map(InjectedEvent::Interrupt);
        }
        event
    }

    pub(super) fn accepts_interrupts(&self) -> bool {
        self.rflags() & RFLAGS_IF != 0 && !self.in_shadow()
    }

    pub(super) fn in_shadow(&self) -> bool {
        self.vmcb.read(INTERRUPT_SHADOW) & SHADOW != 0
    }

    pub(super) fn end_shadow(&mut self) {
        let state = self.vmcb.read(INTERRUPT_SHADOW);
        if state & SHADOW != 0 {
            self.vmcb.write(INTERRUPT_SHADOW, state & !SHADOW);
        }
    }

    /// SVM has no exit after IRET: the instruction is intercepted and single-stepped, #DB being intercepted
    /// anyway. TF traps after an IRET that began with it set [APM2 13.1.4].
    fn begin_step(&mut self, iret: bool) {
        let flags = self.rflags();
        self.step = Some(Step { iret, guest_steps: flags & RFLAGS_TF != 0 });
        self.set_rflags(flags | RFLAGS_TF);
    }

    /// An exit while stepping: either the step is over, or the instruction has not been executed.
    fn end_step(&mut self, step: Step, raw: &Raw) -> Exit {
        let over = raw.code == EXIT_DEBUG_EXCEPTION;
        // IRET has loaded the guest's own TF.
        if !(step.guest_steps || over && step.iret) {
            self.set_rflags(self.rflags() & !RFLAGS_TF);
        }
        if !over {
            return parse(raw);
        }
        self.nmi_blocked &= !step.iret;
        if step.guest_steps {
            return parse(raw);
        }
        self.vmcb.write(GUEST_DR6, self.vmcb.read(GUEST_DR6) & !DR6_BS);
        Exit::NmiWindow
    }
}
