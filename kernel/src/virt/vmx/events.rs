//! Events on their way in, and what an exit says: injection, windows, interrupted delivery.

use super::controls::primary;
use super::exit::{Raw, injection, interrupted_event, parse};
use super::fields::*;
use super::vcpu::Vcpu;
use crate::hardware::interrupt::pending;
use crate::virt::state::control_registers::RFLAGS_IF;
use crate::virt::state::unsaved;
use crate::virt::{Exit, InjectedEvent, VirtualCpu, VmEntry};

/// Interruptibility [SDM3C 25.4.2].
const BLOCKING_BY_STI: u32 = 1 << 0;
const BLOCKING_BY_MOV_SS: u32 = 1 << 1;
const BLOCKING_BY_NMI: u32 = 1 << 3;
const BASIC_EXTERNAL_INTERRUPT: u32 = 1;
const BASIC_EXCEPTION_OR_NMI: u32 = 0;
const BASIC_IO: u32 = 30;
const BASIC_EPT_VIOLATION: u32 = 48;
const INTERRUPTION_NMI: u32 = 2;
/// Exit qualification of an I/O instruction: INS or OUTS.
const IO_STRING: u64 = 1 << 4;
/// Exit qualification of an EPT violation: NMI unblocking due to IRET.
const NMI_UNBLOCKED: u64 = 1 << 12;

impl Vcpu {
    pub(super) fn open_windows(&mut self, entry: &VmEntry) {
        let interrupt = if entry.interrupt_window { primary::INTERRUPT_WINDOW } else { 0 };
        let nmi = if entry.nmi_window { primary::NMI_WINDOW } else { 0 };
        if self.windows != interrupt | nmi {
            self.windows = interrupt | nmi;
            self.vmcs.write(PRIMARY_CONTROLS, self.controls.primary | self.windows);
        }
    }

    pub(super) fn inject(&mut self, event: InjectedEvent) {
        let (information, error, length) = injection(event);
        self.vmcs.write(ENTRY_EXCEPTION_ERROR_CODE, error);
        self.vmcs.write(ENTRY_INSTRUCTION_LENGTH, length);
        self.vmcs.write(ENTRY_INTERRUPTION_INFORMATION, information);
    }

    /// Reads what happened. Fields that the reason does not define are not read: each costs.
    pub(super) fn read_exit(&mut self) -> Exit {
        let reason = self.vmcs.read(EXIT_REASON);
        let mut raw = Raw { reason, ..Raw::default() };
        match reason & 0xffff {
            BASIC_EXTERNAL_INTERRUPT => {
                pending::note(self.vmcs.read(EXIT_INTERRUPTION_INFORMATION) as u8);
            }
            BASIC_EXCEPTION_OR_NMI => {
                raw.interruption = self.vmcs.read(EXIT_INTERRUPTION_INFORMATION);
                raw.error = self.vmcs.read(EXIT_INTERRUPTION_ERROR_CODE);
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION) as u64;
                if raw.interruption >> 8 & 7 == INTERRUPTION_NMI {
                    pending::note_nmi();
                }
                self.note_debug_exception(&raw);
            }
            basic => {
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION) as u64;
                raw.length = self.vmcs.read(EXIT_INSTRUCTION_LENGTH);
                if basic == BASIC_EPT_VIOLATION {
                    raw.physical = self.vmcs.read(GUEST_PHYSICAL_ADDRESS);
                } else if basic == BASIC_IO && raw.qualification & IO_STRING != 0 {
                    raw.linear = self.vmcs.read(GUEST_LINEAR_ADDRESS) as u64;
                    raw.instruction = self.vmcs.read(EXIT_INSTRUCTION_INFORMATION);
                }
            }
        }
        self.note_interrupted_delivery(&raw);
        parse(&raw)
    }

    /// An exit can strike while an event is being delivered: that event is not lost.
    pub(super) fn note_interrupted_delivery(&mut self, raw: &Raw) {
        let information = self.vmcs.read(IDT_VECTORING_INFORMATION);
        if information == 0 {
            if raw.reason == BASIC_EPT_VIOLATION && raw.qualification & NMI_UNBLOCKED != 0 {
                // IRET had ended NMI blocking before it faulted, and will be executed again [SDM3C 28.2.3].
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state | BLOCKING_BY_NMI);
            }
        } else {
            let (error, length) =
                (self.vmcs.read(IDT_VECTORING_ERROR_CODE), self.vmcs.read(EXIT_INSTRUCTION_LENGTH));
            self.interrupted = interrupted_event(information, error, length);
            if self.interrupted == Some(InjectedEvent::Nmi) {
                // Delivery begins again, and blocks NMIs itself [SDM3C 28.2.4].
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state & !BLOCKING_BY_NMI);
            }
        }
    }

    /// What to deliver now: an event whose delivery was interrupted, unless an exception comes before it or
    /// the guest cannot take it.
    pub(super) fn next_event(&mut self, inject: Option<InjectedEvent>) -> Option<InjectedEvent> {
        match (self.interrupted, inject) {
            (None, event) | (Some(_), event @ Some(_)) => event,
            (Some(InjectedEvent::Interrupt(_)), None) if !self.accepts_interrupts() => None,
            (Some(_), None) => self.interrupted.take(),
        }
    }

    pub(super) fn accepts_interrupts(&self) -> bool {
        self.rflags() & RFLAGS_IF != 0
            && self.vmcs.read(GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS) == 0
    }

    /// An intercepted #DB has not changed DR6 yet [SDM3C 28.2.1]: bits 3:0, 13, 14 are in the qualification.
    pub(super) fn note_debug_exception(&self, raw: &Raw) {
        if raw.interruption as u8 == 1 {
            unsaved::add_to_dr6(raw.qualification & 0x600f);
        }
    }
}
