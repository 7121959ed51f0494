//! A processor's local APIC, in xAPIC and x2APIC mode [SDM3A chapter 11].
//!
//! The model holds vectors from acceptance ([`LocalApic::accept`]) over service
//! ([`LocalApic::begin_service`]) to the end of interrupt, and the timer. It neither reaches other local
//! APICs nor the I/O APIC: what is meant for them comes back from the access, see [`ApicAccess`].

mod command;
mod msr;
mod registers;
mod timer;
mod vectors;

#[cfg(test)]
mod tests;

pub use command::{Ipi, Shorthand};
pub use msr::GeneralProtection;
pub use timer::APIC_TIMER_HZ;

use crate::message::{DeliveryMode, InterruptMessage};
use base::{Effects, Instant};
use msr::ApicBase;
use registers::{ApicErrors, LVT_COUNT, Lvt};
use timer::ApicTimer;
use vectors::Vectors;

/// Vectors below this are reserved to exceptions and illegal in messages and the LVT [SDM3A 11.5.2].
const FIRST_LEGAL_VECTOR: u8 = 16;

/// What a write sets in motion outside the local APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct ApicAccess {
    /// `IRQ_CHANGED` when [`LocalApic::pending`] may have changed, `TIMER_CHANGED` when
    /// [`LocalApic::next_deadline`] may have.
    pub effects: Effects,
    /// A level-triggered interrupt with this vector has ended: the I/O APIC must hear of it.
    pub eoi: Option<u8>,
    /// An interrupt for other processors, or this one, that is to be delivered.
    pub ipi: Option<Ipi>,
}

/// One local APIC.
#[derive(Debug, Clone)]
pub struct LocalApic {
    id: u32,
    base: ApicBase,
    task_priority: u8,
    logical_destination: u32,
    destination_format: u32,
    spurious: u32,
    /// What the error status register shows, and what has come up since it was written last.
    error_status: ApicErrors,
    errors: ApicErrors,
    command: u64,
    lvt: [u32; LVT_COUNT],
    irr: Vectors,
    isr: Vectors,
    tmr: Vectors,
    timer: ApicTimer,
    lint0: bool,
    nmi: bool,
    ext_int: bool,
    init: bool,
    start_up: Option<u8>,
    /// The highest vector that may be delivered: derived from `irr`, `isr` and `task_priority`, kept
    /// because it is asked for at every entry into the guest.
    pending: Option<u8>,
}

impl LocalApic {
    /// The local APIC `id` after power-up, enabled in xAPIC mode. The guest's TSC runs at `tsc_hz` from 0
    /// at [`Instant::ZERO`]; `bootstrap` marks the processor that starts first.
    #[must_use]
    pub fn new(id: u32, tsc_hz: u64, bootstrap: bool) -> Self {
        let mut apic = Self {
            id,
            base: ApicBase::at_reset(bootstrap),
            task_priority: 0,
            logical_destination: 0,
            destination_format: 0,
            spurious: 0,
            error_status: ApicErrors::empty(),
            errors: ApicErrors::empty(),
            command: 0,
            lvt: [0; LVT_COUNT],
            irr: Vectors::default(),
            isr: Vectors::default(),
            tmr: Vectors::default(),
            timer: ApicTimer::new(tsc_hz),
            lint0: false,
            nmi: false,
            ext_int: false,
            init: false,
            start_up: None,
            pending: None,
        };
        apic.reset_registers();
        apic
    }

    /// The state after power-up or INIT, except for the identifier and IA32_APIC_BASE [SDM3A 11.4.7.1,
    /// 11.4.7.3].
    fn reset_registers(&mut self) {
        self.task_priority = 0;
        self.logical_destination = if self.x2apic() { self.x2apic_logical_id() } else { 0 };
        self.destination_format = u32::MAX;
        self.spurious = 0xff;
        (self.error_status, self.errors) = (ApicErrors::empty(), ApicErrors::empty());
        self.command = 0;
        self.lvt = [registers::LVT_MASKED; LVT_COUNT];
        (self.irr, self.isr, self.tmr) = Default::default();
        self.timer.reset();
        (self.nmi, self.ext_int) = (false, false);
        self.pending = None;
    }

    /// Leaves the local APIC as firmware does on the bootstrap processor: virtual wire mode, in which the
    /// 8259A's interrupts come in at LINT0 and NMI at LINT1 [MP 1.4 3.6.2.2].
    pub fn enter_virtual_wire_mode(&mut self) {
        self.spurious |= registers::SOFTWARE_ENABLE;
        self.lvt[Lvt::Lint0 as usize] = registers::LVT_EXT_INT;
        self.lvt[Lvt::Lint1 as usize] = registers::LVT_NMI;
    }

    /// The identifier that physical destinations name.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The enable bit of IA32_APIC_BASE, which CPUID leaf 1 mirrors.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.base.contains(ApicBase::ENABLE)
    }

    /// The local APIC is in x2APIC mode: reached by MSRs and not by memory.
    #[must_use]
    pub fn x2apic(&self) -> bool {
        self.base.contains(ApicBase::ENABLE | ApicBase::X2APIC)
    }

    /// The highest vector that the processor should take now: its priority class is above that of the
    /// task and of what is in service [SDM3A 11.8.3].
    #[must_use]
    pub fn pending(&self) -> Option<u8> {
        self.pending
    }

    /// The processor takes the pending vector: it moves from IRR to ISR [SDM3A 11.8.4]. Without one, the
    /// answer is the spurious vector, and nothing is in service [SDM3A 11.9].
    pub fn begin_service(&mut self) -> u8 {
        let Some(vector) = self.pending else { return self.spurious as u8 };
        self.irr.set(vector, false);
        self.isr.set(vector, true);
        let _ = self.refresh();
        vector
    }

    /// A fixed interrupt arrives. Refused, with `vector` remembered as an error where it is illegal, while
    /// the local APIC is disabled by IA32_APIC_BASE or by software [SDM3A 11.4.7.2].
    pub fn accept(&mut self, vector: u8, level: bool) -> Effects {
        if !self.accepts_fixed() {
            return Effects::empty();
        }
        if vector < FIRST_LEGAL_VECTOR {
            return self.report(ApicErrors::RECEIVE_ILLEGAL_VECTOR);
        }
        self.irr.set(vector, true);
        self.tmr.set(vector, level);
        self.refresh()
    }

    /// A message for this local APIC arrives.
    pub fn deliver(&mut self, message: &InterruptMessage) -> Effects {
        if !self.enabled() {
            return Effects::empty();
        }
        match message.mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                return self.accept(message.vector, message.level);
            }
            DeliveryMode::Nmi => self.nmi = true,
            DeliveryMode::ExtInt => self.ext_int = true,
            DeliveryMode::Init => {
                self.reset_registers();
                (self.init, self.start_up) = (true, None);
            }
            DeliveryMode::StartUp => self.start_up = Some(message.vector),
            // There is no system management mode to enter.
            DeliveryMode::Smi => return Effects::empty(),
        }
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    /// The 8259A's output, which is wired to LINT0, has this level.
    pub fn set_lint0(&mut self, level: bool) -> Effects {
        let rises = level && !self.lint0;
        self.lint0 = level;
        if !rises || !self.enabled() {
            return Effects::empty();
        }
        self.local_interrupt(Lvt::Lint0)
    }

    /// The 8259A's output reaches the processor: LINT0 is open for it, or the I/O APIC said so
    /// [SDM3A 11.5.1; 11.4.3 for a disabled local APIC].
    #[must_use]
    pub fn takes_external_interrupts(&self) -> bool {
        self.ext_int
            || !self.enabled()
            || self.lvt[Lvt::Lint0 as usize] & registers::LVT_GATE == registers::LVT_EXT_INT
    }

    /// The processor took an interrupt of the 8259A.
    pub fn external_interrupt_taken(&mut self) {
        self.ext_int = false;
    }

    /// A non-maskable interrupt waits for the processor.
    #[must_use]
    pub fn nmi_pending(&self) -> bool {
        self.nmi
    }

    /// The processor takes the non-maskable interrupt, if one waits.
    pub fn take_nmi(&mut self) -> bool {
        core::mem::take(&mut self.nmi)
    }

    /// An INIT arrived since last asked.
    pub fn take_init(&mut self) -> bool {
        core::mem::take(&mut self.init)
    }

    /// The vector of a start-up message that arrived since last asked: the page number of the first
    /// instruction [SDM3A 9.4.4]. A processor that does not wait for one ignores it.
    pub fn take_start_up(&mut self) -> Option<u8> {
        self.start_up.take()
    }

    /// Bits 7:4 of the task priority: CR8 [SDM3A 11.8.6].
    #[must_use]
    pub fn task_priority(&self) -> u8 {
        self.task_priority >> 4
    }

    /// Writes CR8; bits above 3 are the caller's to refuse.
    pub fn set_task_priority(&mut self, cr8: u8) -> Effects {
        self.task_priority = cr8 << 4;
        self.refresh()
    }

    /// When the timer wants [`LocalApic::advance`] next. None while the timer has nothing to deliver.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let open = self.enabled() && self.lvt[Lvt::Timer as usize] & registers::LVT_MASKED == 0;
        self.timer.next_deadline().filter(|_| open)
    }

    /// Lets time pass until `now`. However late, a timer delivers once.
    pub fn advance(&mut self, now: Instant) -> Effects {
        if !self.timer.advance(now) {
            return Effects::empty();
        }
        Effects::TIMER_CHANGED | self.local_interrupt(Lvt::Timer)
    }

    /// The processor priority [SDM3A 11.8.3.1].
    #[must_use]
    pub fn processor_priority(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0) & 0xf0;
        if self.task_priority & 0xf0 >= in_service { self.task_priority } else { in_service }
    }

    /// The local interrupt that `source`'s entry in the local vector table describes [SDM3A 11.5.1].
    fn local_interrupt(&mut self, source: Lvt) -> Effects {
        let entry = self.lvt[source as usize];
        if entry & registers::LVT_MASKED != 0 {
            return Effects::empty();
        }
        let mode = match source {
            Lvt::Timer | Lvt::Error => Some(DeliveryMode::Fixed),
            _ => DeliveryMode::from_register(entry),
        };
        match mode {
            Some(DeliveryMode::Fixed) => self.accept(entry as u8, false),
            Some(DeliveryMode::Nmi) => {
                self.nmi = true;
                Effects::IRQ_CHANGED
            }
            // The 8259A's interrupt is a level, see takes_external_interrupts. INIT and SMI are not wired.
            _ => Effects::empty(),
        }
    }

    /// Remembers `error` and raises the error interrupt [SDM3A 11.5.3]. An error interrupt that is itself
    /// illegal ends here.
    fn report(&mut self, error: ApicErrors) -> Effects {
        self.errors |= error;
        if self.lvt[Lvt::Error as usize] as u8 >= FIRST_LEGAL_VECTOR {
            return self.local_interrupt(Lvt::Error);
        }
        Effects::empty()
    }

    /// Enabled by IA32_APIC_BASE and by software.
    pub(crate) fn accepts_fixed(&self) -> bool {
        self.enabled() && self.software_enabled()
    }

    fn software_enabled(&self) -> bool {
        self.spurious & registers::SOFTWARE_ENABLE != 0
    }

    /// Computes `pending` anew and says whether it changed.
    fn refresh(&mut self) -> Effects {
        let before = self.pending;
        let priority = self.processor_priority() >> 4;
        self.pending = self.irr.highest().filter(|vector| self.enabled() && vector >> 4 > priority);
        if before == self.pending { Effects::empty() } else { Effects::IRQ_CHANGED }
    }
}
