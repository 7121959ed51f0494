//! A processor's local APIC, in xAPIC and x2APIC mode [SDM3A chapter 11].
//!
//! The model tracks vectors from acceptance ([`LocalApic::accept`]) through service
//! ([`LocalApic::begin_service`]) to the end of interrupt, and holds the timer. It reaches neither other
//! local APICs nor the I/O APIC: an access returns the events for them, see [`ApicAccess`].

mod command;
mod msr;
mod registers;
mod timer;
mod vectors;

pub use command::{Ipi, Shorthand};
pub use msr::GeneralProtection;
pub use timer::APIC_TIMER_HZ;

use crate::message::{DeliveryMode, InterruptMessage};
use base::bits::low_u8;
use base::{Effects, Instant};
use msr::ApicBase;
use registers::{ApicErrors, LVT_COUNT, Lvt};
use timer::ApicTimer;
use vectors::Vectors;

/// Vectors below this are reserved for exceptions and illegal in messages and the LVT [SDM3A 11.5.2].
const FIRST_LEGAL_VECTOR: u8 = 16;

/// The effects of a write outside the local APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct ApicAccess {
    /// `IRQ_CHANGED` when [`LocalApic::pending`] may have changed, `TIMER_CHANGED` when
    /// [`LocalApic::next_deadline`] may have.
    pub effects: Effects,
    /// A level-triggered interrupt with this vector has ended: the I/O APIC must be told.
    pub eoi: Option<u8>,
    /// An interprocessor interrupt to deliver, to other processors or to this one.
    pub ipi: Option<Ipi>,
}

/// One local APIC.
///
/// A vector is accepted, served and ended:
///
/// ```
/// use base::Instant;
/// use platform::local_apic::LocalApic;
///
/// const SVR: u16 = 0xf0;
/// const EOI: u16 = 0xb0;
/// let mut apic = LocalApic::new(0, 2_000_000_000, true);
/// let _ = apic.write(SVR, 0x1ff, Instant::ZERO);
/// let _ = apic.accept(0x41, false);
/// assert_eq!(apic.pending(), Some(0x41));
/// assert_eq!(apic.begin_service(), 0x41);
/// let _ = apic.write(EOI, 0, Instant::ZERO);
/// assert_eq!(apic.pending(), None);
/// ```
#[derive(Debug, Clone)]
pub struct LocalApic {
    id: u32,
    base: ApicBase,
    task_priority: u8,
    logical_destination: u32,
    destination_format: u32,
    spurious: u32,
    /// The errors that the error status register shows, and those that occurred since it was last written.
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
    /// The highest vector that may be delivered: derived from `irr`, `isr` and `task_priority`, cached
    /// because every VM entry needs it.
    pending: Option<u8>,
    /// None may be, but one could with a lower task priority: cached, too.
    waits_for_task_priority: bool,
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
            waits_for_task_priority: false,
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
        (self.pending, self.waits_for_task_priority) = (None, false);
    }

    /// Puts the local APIC into the state in which firmware leaves it on the bootstrap processor: virtual
    /// wire mode, in which the 8259A's interrupts arrive at LINT0 and NMI at LINT1 [MP 1.4 3.6.2.2].
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

    /// True in x2APIC mode: the registers are accessed through MSRs and not through memory.
    #[must_use]
    pub fn x2apic(&self) -> bool {
        self.base.contains(ApicBase::ENABLE | ApicBase::X2APIC)
    }

    /// The highest vector that the processor should take now: its priority class is above those of the task
    /// and of the interrupt in service [SDM3A 11.8.3].
    #[must_use]
    pub fn pending(&self) -> Option<u8> {
        self.pending
    }

    /// Begins service of the pending vector, which moves from IRR to ISR [SDM3A 11.8.4]. With none pending,
    /// returns the spurious vector and puts nothing in service [SDM3A 11.9].
    pub fn begin_service(&mut self) -> u8 {
        let Some(vector) = self.pending else { return low_u8(self.spurious.into()) };
        self.irr.set(vector, false);
        self.isr.set(vector, true);
        let _ = self.refresh();
        vector
    }

    /// Accepts a fixed interrupt, unless the local APIC is disabled by IA32_APIC_BASE or by software [SDM3A
    /// 11.4.7.2]. An illegal `vector` is recorded as an error.
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

    /// Delivers a message that is addressed to this local APIC.
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

    /// Sets the level of LINT0, which the 8259A's output is wired to.
    pub fn set_lint0(&mut self, level: bool) -> Effects {
        let rises = level && !self.lint0;
        self.lint0 = level;
        if !rises || !self.enabled() {
            return Effects::empty();
        }
        self.local_interrupt(Lvt::Lint0)
    }

    /// True when the 8259A's output reaches the processor: LINT0 is unmasked in ExtINT mode, the I/O APIC has
    /// sent an ExtINT message, or the local APIC is disabled [SDM3A 11.5.1; 11.4.3 for a disabled local
    /// APIC].
    #[must_use]
    pub fn takes_external_interrupts(&self) -> bool {
        self.ext_int
            || !self.enabled()
            || self.lvt[Lvt::Lint0 as usize] & registers::LVT_GATE == registers::LVT_EXT_INT
    }

    /// Records that the processor has taken an interrupt from the 8259A.
    pub fn external_interrupt_taken(&mut self) {
        self.ext_int = false;
    }

    /// True when a non-maskable interrupt waits for the processor.
    #[must_use]
    pub fn nmi_pending(&self) -> bool {
        self.nmi
    }

    /// Takes the non-maskable interrupt; false when none waits.
    pub fn take_nmi(&mut self) -> bool {
        core::mem::take(&mut self.nmi)
    }

    /// True when an INIT has arrived since the last call.
    pub fn take_init(&mut self) -> bool {
        core::mem::take(&mut self.init)
    }

    /// The vector of a start-up message that has arrived since the last call: the page number of the first
    /// instruction [SDM3A 9.4.4]. A processor that does not wait for a start-up message ignores it.
    pub fn take_start_up(&mut self) -> Option<u8> {
        self.start_up.take()
    }

    /// Bits 7:4 of the task priority: CR8 [SDM3A 11.8.6].
    #[must_use]
    pub fn task_priority(&self) -> u8 {
        self.task_priority >> 4
    }

    /// Writes CR8; the caller refuses values above 15.
    pub fn set_task_priority(&mut self, cr8: u8) -> Effects {
        self.task_priority = cr8 << 4;
        self.refresh()
    }

    /// When [`LocalApic::advance`] must be called next for the timer. None while the timer has nothing to
    /// deliver.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let open = self.enabled() && self.lvt[Lvt::Timer as usize] & registers::LVT_MASKED == 0;
        self.timer.next_deadline().filter(|_| open)
    }

    /// Advances to `now`. However late the call, the timer delivers one interrupt.
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
            Some(DeliveryMode::Fixed) => self.accept(low_u8(entry.into()), false),
            Some(DeliveryMode::Nmi) => {
                self.nmi = true;
                Effects::IRQ_CHANGED
            }
            // The 8259A's interrupt is a level, see takes_external_interrupts. INIT and SMI are not wired.
            _ => Effects::empty(),
        }
    }

    /// Records `error` and raises the error interrupt [SDM3A 11.5.3]. An error interrupt with an illegal
    /// vector is dropped.
    fn report(&mut self, error: ApicErrors) -> Effects {
        self.errors |= error;
        if low_u8(self.lvt[Lvt::Error as usize].into()) >= FIRST_LEGAL_VECTOR {
            return self.local_interrupt(Lvt::Error);
        }
        Effects::empty()
    }

    /// True when enabled by IA32_APIC_BASE and by software.
    pub(crate) fn accepts_fixed(&self) -> bool {
        self.enabled() && self.software_enabled()
    }

    fn software_enabled(&self) -> bool {
        self.spurious & registers::SOFTWARE_ENABLE != 0
    }

    /// True when an interrupt waits for a lower task priority: the next write of CR8 may be what it waits for.
    #[must_use]
    pub fn waits_for_task_priority(&self) -> bool {
        self.waits_for_task_priority
    }

    /// Recomputes `pending`; the effect says whether it changed.
    fn refresh(&mut self) -> Effects {
        let before = self.pending;
        let priority = self.processor_priority() >> 4;
        let requested = self.irr.highest().filter(|_| self.enabled());
        self.pending = requested.filter(|vector| vector >> 4 > priority);
        self.waits_for_task_priority = self.pending.is_none()
            && requested.is_some_and(|vector| vector >> 4 > self.isr.highest().unwrap_or(0) >> 4);
        if before == self.pending { Effects::empty() } else { Effects::IRQ_CHANGED }
    }
}

#[cfg(test)]
mod tests;
