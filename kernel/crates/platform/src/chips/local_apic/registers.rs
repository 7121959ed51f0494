//! The registers of the local APIC, numbered as in x2APIC mode; in xAPIC mode the number is bits 11:4 of
//! the address [SDM3A tables 11-1 and 11-6].

use super::timer::TimerMode;
use super::{ApicAccess, FIRST_LEGAL_VECTOR, Ipi, LocalApic, Shorthand};
use crate::message::DeliveryMode;
use base::bits::{high_u32, low_u8, low_u32};
use base::{Effects, Instant};
use bitflags::bitflags;

pub(super) const ID: u8 = 0x02;
pub(super) const VERSION: u8 = 0x03;
pub(super) const TPR: u8 = 0x08;
pub(super) const APR: u8 = 0x09;
pub(super) const PPR: u8 = 0x0a;
pub(super) const EOI: u8 = 0x0b;
pub(super) const RRD: u8 = 0x0c;
pub(super) const LDR: u8 = 0x0d;
pub(super) const DFR: u8 = 0x0e;
pub(super) const SVR: u8 = 0x0f;
pub(super) const ISR: u8 = 0x10;
pub(super) const TMR: u8 = 0x18;
pub(super) const IRR: u8 = 0x20;
pub(super) const IRR_LAST: u8 = 0x27;
pub(super) const ESR: u8 = 0x28;
pub(super) const ICR: u8 = 0x30;
pub(super) const ICR_HIGH: u8 = 0x31;
pub(super) const LVT: u8 = 0x32;
pub(super) const LVT_LAST: u8 = 0x37;
pub(super) const INITIAL_COUNT: u8 = 0x38;
pub(super) const CURRENT_COUNT: u8 = 0x39;
pub(super) const DIVIDE_CONFIGURATION: u8 = 0x3e;
pub(super) const SELF_IPI: u8 = 0x3f;

/// Version 0x14 and the index of the last LVT entry; the end of level-triggered interrupts is always
/// broadcast [SDM3A 11.4.8].
const VERSION_VALUE: u32 = u32::from_le_bytes([0x14, 0, LVT_LAST - LVT, 0]);
const _: () = assert!(LVT_COUNT == (LVT_LAST - LVT + 1) as usize);

/// SVR: the APIC is enabled by software [SDM3A 11.9].
pub(super) const SOFTWARE_ENABLE: u32 = 1 << 8;
/// The writable bits of SVR.
pub(super) const SVR_MASK: u32 = 0x1ff;

/// Entries of the local vector table.
pub(super) const LVT_COUNT: usize = 6;
pub(super) const LVT_MASKED: u32 = 1 << 16;
/// Mask and delivery mode, which together decide what a LINT pin delivers.
pub(super) const LVT_GATE: u32 = LVT_MASKED | 7 << 8;
pub(super) const LVT_NMI: u32 = 4 << 8;
pub(super) const LVT_EXT_INT: u32 = 7 << 8;

/// Index into the local vector table [SDM3A figure 11-8].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lvt {
    Timer = 0,
    Lint0 = 3,
    Lint1 = 4,
    Error = 5,
}

/// Writable bits of the entries: timer, thermal, performance, LINT0, LINT1, error.
pub(super) const LVT_WRITABLE: [u32; LVT_COUNT] =
    [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];

/// Read-only bits of the same entries, which are not reserved: delivery status, and remote IRR of LINT0 and LINT1.
pub(super) const LVT_READ_ONLY: [u32; LVT_COUNT] = [0x1000, 0x1000, 0x1000, 0x5000, 0x5000, 0x1000];

/// ICR: vector, delivery mode, destination mode, level, trigger mode, shorthand [SDM3A 11.6.1].
pub(super) const ICR_MASK: u32 = 0x000c_cfff;

bitflags! {
    /// Error status [SDM3A 11.5.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct ApicErrors: u8 {
        const SEND_ILLEGAL_VECTOR = 1 << 5;
        const RECEIVE_ILLEGAL_VECTOR = 1 << 6;
        const ILLEGAL_REGISTER = 1 << 7;
    }
}

impl LocalApic {
    /// Reads the 32-bit register at `offset` from the local APIC's page. All ones where no local APIC
    /// responds because it is disabled or in x2APIC mode; 0 between registers.
    pub fn read(&mut self, offset: u16, now: Instant) -> u32 {
        if !self.enabled() || self.x2apic() {
            return u32::MAX;
        }
        match register_at(offset).map(|register| (register, self.register(register, now))) {
            Some((_, Some(value))) => value,
            Some((EOI, None)) | None => 0,
            Some((_, None)) => {
                // The error interrupt, if any, is found at the next VM entry.
                let _ = self.report(ApicErrors::ILLEGAL_REGISTER);
                0
            }
        }
    }

    /// Writes the 32-bit register at `offset` in the local APIC's page. Ignored where no local APIC responds
    /// and between registers.
    pub fn write(&mut self, offset: u16, value: u32, now: Instant) -> ApicAccess {
        if !self.enabled() || self.x2apic() {
            return ApicAccess::default();
        }
        let Some(register) = register_at(offset) else { return ApicAccess::default() };
        match register {
            // The identifier is fixed, as in many processors [SDM3A 11.4.6]. Writes of read-only registers
            // are ignored.
            ID..=VERSION | APR | PPR | RRD | ISR..=IRR_LAST | CURRENT_COUNT => ApicAccess::default(),
            LDR => {
                self.logical_destination = value & 0xff00_0000;
                ApicAccess::default()
            }
            DFR => {
                self.destination_format = value | 0x0fff_ffff;
                ApicAccess::default()
            }
            ICR_HIGH => {
                self.command = self.command & 0xffff_ffff | u64::from(value & 0xff00_0000) << 32;
                ApicAccess::default()
            }
            ICR => {
                self.command = self.command & !0xffff_ffff | u64::from(value & ICR_MASK);
                self.send()
            }
            _ => match self.set_register(register, value, now) {
                Some(access) => access,
                None => self.report(ApicErrors::ILLEGAL_REGISTER).into(),
            },
        }
    }

    /// The value of a 32-bit register; None where there is no register or it cannot be read.
    pub(super) fn register(&self, register: u8, now: Instant) -> Option<u32> {
        let value = match register {
            ID if self.x2apic() => self.id,
            ID => self.id << 24,
            VERSION => VERSION_VALUE,
            TPR => self.task_priority.into(),
            PPR => self.processor_priority().into(),
            // Arbitration belongs to a bus that these processors do not have; remote read is not supported.
            APR | RRD => 0,
            LDR => self.logical_destination,
            DFR => self.destination_format,
            SVR => self.spurious,
            ISR..TMR => self.isr.register((register - ISR).into()),
            TMR..IRR => self.tmr.register((register - TMR).into()),
            IRR..=IRR_LAST => self.irr.register((register - IRR).into()),
            ESR => self.error_status.bits().into(),
            ICR => low_u32(self.command),
            ICR_HIGH => high_u32(self.command),
            LVT..=LVT_LAST => *self.lvt.get(usize::from(register - LVT))?,
            INITIAL_COUNT => self.timer.initial_count(),
            CURRENT_COUNT => self.timer.current_count(now),
            DIVIDE_CONFIGURATION => self.timer.divide_configuration(),
            _ => return None,
        };
        Some(value)
    }

    /// Writes a register that is the same in both modes; None when there is no such register.
    pub(super) fn set_register(&mut self, register: u8, value: u32, now: Instant) -> Option<ApicAccess> {
        // An expiry before the write must not be lost.
        let before = self.advance(now);
        let mut access = match register {
            TPR => {
                self.task_priority = low_u8(value.into());
                self.refresh().into()
            }
            EOI => self.end_of_interrupt(),
            SVR => self.set_spurious(value).into(),
            ESR => {
                self.error_status = core::mem::replace(&mut self.errors, ApicErrors::empty());
                ApicAccess::default()
            }
            LVT..=LVT_LAST => self.set_lvt((register - LVT).into(), value).into(),
            INITIAL_COUNT => {
                self.timer.set_initial_count(value, now);
                Effects::TIMER_CHANGED.into()
            }
            DIVIDE_CONFIGURATION => {
                self.timer.set_divide_configuration(value, now);
                Effects::TIMER_CHANGED.into()
            }
            _ => return None,
        };
        access.effects |= before;
        Some(access)
    }

    /// Ends the interrupt in service of highest priority [SDM3A 11.8.5].
    fn end_of_interrupt(&mut self) -> ApicAccess {
        let Some(vector) = self.isr.highest() else { return ApicAccess::default() };
        self.isr.set(vector, false);
        let eoi = self.tmr.contains(vector).then_some(vector);
        ApicAccess { effects: self.refresh(), eoi, ipi: None }
    }

    /// Disabling by software masks the local vector table [SDM3A 11.4.7.2].
    fn set_spurious(&mut self, value: u32) -> Effects {
        self.spurious = value & SVR_MASK;
        if self.software_enabled() {
            return Effects::empty();
        }
        self.lvt.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
        Effects::TIMER_CHANGED | Effects::IRQ_CHANGED
    }

    fn set_lvt(&mut self, index: usize, value: u32) -> Effects {
        let (Some(entry), Some(writable)) = (self.lvt.get_mut(index), LVT_WRITABLE.get(index)) else {
            return Effects::empty();
        };
        let masked = if self.spurious & SOFTWARE_ENABLE == 0 { LVT_MASKED } else { 0 };
        *entry = value & writable | masked;
        if index == Lvt::Timer as usize
            && let Some(mode) = TimerMode::from_lvt(value)
        {
            self.timer.set_mode(mode);
        }
        Effects::TIMER_CHANGED | Effects::IRQ_CHANGED
    }

    /// Sends the interrupt that the interrupt command register requests [SDM3A 11.6.1].
    pub(super) fn send(&mut self) -> ApicAccess {
        let Some(ipi) = Ipi::from_command(self.command, self.x2apic()) else { return ApicAccess::default() };
        let carries_vector = matches!(ipi.message.mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if carries_vector && ipi.message.vector < FIRST_LEGAL_VECTOR {
            return self.report(ApicErrors::SEND_ILLEGAL_VECTOR).into();
        }
        if ipi.shorthand == Shorthand::Itself {
            return self.deliver(&ipi.message).into();
        }
        ApicAccess { ipi: Some(ipi), ..ApicAccess::default() }
    }
}

impl From<Effects> for ApicAccess {
    fn from(effects: Effects) -> Self {
        Self { effects, ..Self::default() }
    }
}

/// The register at `offset`: they lie at multiples of 16 [SDM3A 11.4.1].
fn register_at(offset: u16) -> Option<u8> {
    const REGISTERS_END: u16 = 0x400;
    (offset & 0xf == 0 && offset < REGISTERS_END).then_some(low_u8((offset >> 4).into()))
}
