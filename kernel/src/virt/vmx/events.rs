//! Event injection, interrupt and NMI windows, interrupted delivery, and the reading of an exit.

use super::controls::PrimaryControls;
use super::exit::{
    RawExit, VALID, injection, interrupted_event, interruption_type, iret_ended_blocking, locked_bus, parse,
    pending_debug,
};
use super::fields::*;
use super::vcpu::Vcpu;
use crate::hardware::interrupt::pending;
use crate::virt::exit::PRIVILEGED_SOFTWARE;
use crate::virt::state::control_registers::{Cr0Flags, RFlags};
use crate::virt::state::unsaved;
use crate::virt::{Exit, InjectedEvent, VirtualCpu, VmEntry};
use base::bits::low_u8;

const BASIC_EXTERNAL_INTERRUPT: u32 = 1;
const BASIC_EXCEPTION_OR_NMI: u32 = 0;
const BASIC_IO: u32 = 30;
const BASIC_EPT_VIOLATION: u32 = 48;
const INTERRUPTION_NMI: u8 = 2;
/// Exit qualification of an I/O instruction: INS or OUTS.
const IO_STRING: u64 = 1 << 4;
/// DR7: an access to a debug register raises #DB.
const DR7_GD: u64 = 1 << 13;

impl Vcpu {
    /// Opens or closes the interrupt and NMI windows: for what the caller has, and for an event whose delivery was
    /// interrupted and that this entry does not deliver.
    pub(super) fn open_windows(&mut self, entry: &VmEntry) {
        let interrupt = matches!(self.interrupted, Some(InjectedEvent::Interrupt(_)));
        let nmi = self.interrupted == Some(InjectedEvent::Nmi);
        let mut windows = PrimaryControls::empty();
        windows.set(PrimaryControls::INTERRUPT_WINDOW, entry.interrupt_window || interrupt);
        windows.set(PrimaryControls::NMI_WINDOW, entry.nmi_window || nmi);
        if self.windows != windows {
            self.windows = windows;
            self.vmcs.write(PRIMARY_CONTROLS, self.controls.primary | windows);
        }
    }

    pub(super) fn inject(&mut self, event: InjectedEvent) {
        if event.is_debug_exception() {
            self.deliver_debug_exception();
        }
        let protected = self.vmcs.read(GUEST_CR0).contains(Cr0Flags::PROTECTED_MODE_ENABLE);
        let (information, error, length) = injection(event, protected);
        self.vmcs.write(ENTRY_EXCEPTION_ERROR_CODE, error);
        self.vmcs.write(ENTRY_INSTRUCTION_LENGTH, length.into());
        self.vmcs.write(ENTRY_INTERRUPTION_INFORMATION, information);
    }

    /// What the delivery of #DB does besides, and its exit has not done [SDM3C 28.1]: clears DR7.GD [SDM3B 18.2.4]. LBR and
    /// BTF of IA32_DEBUGCTL, which it clears too, are always zero here.
    fn deliver_debug_exception(&mut self) {
        let dr7 = self.vmcs.read(GUEST_DR7);
        if dr7 & DR7_GD != 0 {
            self.vmcs.write(GUEST_DR7, dr7 & !DR7_GD);
        }
        let single_step = self.rflags().contains(RFlags::TRAP_FLAG);
        let pending = self.vmcs.read(GUEST_PENDING_DEBUG);
        let pending = pending_debug(pending, single_step, self.vmcs.read(GUEST_INTERRUPTIBILITY));
        self.vmcs.write(GUEST_PENDING_DEBUG, pending);
    }

    /// Reads the exit. Only the fields that the exit reason defines are read: each VMREAD costs time.
    pub(super) fn read_exit(&mut self) -> Exit {
        let reason = self.vmcs.read(EXIT_REASON);
        self.vmcs.launch = self.vmcs.launch.after(reason);
        self.locked_bus = locked_bus(reason);
        let mut raw = RawExit { reason, ..RawExit::default() };
        match reason & 0xffff {
            BASIC_EXTERNAL_INTERRUPT => {
                pending::note(low_u8(self.vmcs.read(EXIT_INTERRUPTION_INFORMATION).into()));
            }
            BASIC_EXCEPTION_OR_NMI => {
                raw.interruption = self.vmcs.read(EXIT_INTERRUPTION_INFORMATION);
                raw.error = self.vmcs.read(EXIT_INTERRUPTION_ERROR_CODE);
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION);
                match interruption_type(raw.interruption) {
                    INTERRUPTION_NMI => pending::note_nmi(),
                    // INT1, which leaves DR6 alone.
                    PRIVILEGED_SOFTWARE => raw.length = self.instruction_length(),
                    _ => self.note_debug_exception(&raw),
                }
            }
            basic => {
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION);
                raw.length = self.instruction_length();
                if basic == BASIC_EPT_VIOLATION {
                    raw.physical = self.vmcs.read(GUEST_PHYSICAL_ADDRESS);
                } else if basic == BASIC_IO && raw.qualification & IO_STRING != 0 {
                    raw.linear = self.vmcs.read(GUEST_LINEAR_ADDRESS);
                    raw.instruction = self.vmcs.read(EXIT_INSTRUCTION_INFORMATION);
                }
            }
        }
        self.note_interrupted_delivery(&raw);
        parse(&raw)
    }

    /// Length of the instruction that exited, at most 15.
    fn instruction_length(&self) -> u8 {
        low_u8(self.vmcs.read(EXIT_INSTRUCTION_LENGTH).into())
    }

    /// Records the event during whose delivery the exit occurred, so that it is not lost.
    fn note_interrupted_delivery(&mut self, raw: &RawExit) {
        let information = self.vmcs.read(IDT_VECTORING_INFORMATION);
        if information & VALID == 0 {
            if iret_ended_blocking(raw, information) {
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state | Interruptibility::BLOCKING_BY_NMI);
            }
        } else {
            let (error, length) = (self.vmcs.read(IDT_VECTORING_ERROR_CODE), self.instruction_length());
            self.interrupted = interrupted_event(information, error, length);
            if self.interrupted == Some(InjectedEvent::Nmi) {
                // Delivery starts over, and blocks NMIs itself [SDM3C 28.2.4].
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state - Interruptibility::BLOCKING_BY_NMI);
            }
        }
    }

    /// The event to deliver now: the one whose delivery was interrupted, unless there is an exception to deliver
    /// first or the guest cannot take it.
    pub(super) fn next_event(&mut self, inject: Option<InjectedEvent>) -> Option<InjectedEvent> {
        match (self.interrupted, inject) {
            (None, event) | (Some(_), event @ Some(_)) => event,
            (Some(InjectedEvent::Interrupt(_)), None) if !self.accepts_interrupts() => None,
            (Some(_), None) => self.interrupted.take(),
        }
    }

    pub(super) fn accepts_interrupts(&self) -> bool {
        self.rflags().contains(RFlags::INTERRUPT_FLAG)
            && !self.vmcs.read(GUEST_INTERRUPTIBILITY).intersects(Interruptibility::SHADOW)
            && !self.trap_is_due()
    }

    /// True when the trap of a single-stepping guest comes before interrupts and NMIs, whose injection would lose it
    /// [SDM3C 27.7.3].
    pub(super) fn trap_is_due(&self) -> bool {
        self.rflags().contains(RFlags::TRAP_FLAG) && self.vmcs.read(GUEST_PENDING_DEBUG) != 0
    }

    /// An intercepted #DB has not changed DR6 yet: bits 3:0, 13 and 14 are in the qualification [SDM3C 28.2.1].
    fn note_debug_exception(&self, raw: &RawExit) {
        if low_u8(raw.interruption.into()) == 1 {
            unsaved::add_to_dr6(raw.qualification & 0x600f);
        }
    }
}
