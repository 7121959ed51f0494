//! The local APIC's model-specific registers: IA32_APIC_BASE, IA32_TSC_DEADLINE and, in x2APIC mode, all of
//! its registers [SDM3A 11.4.4, 11.5.4.1, 11.12].

use super::registers::{
    APR, DFR, DIVIDE_CONFIGURATION, EOI, ESR, ICR, ICR_HIGH, ICR_MASK, INITIAL_COUNT, LVT, LVT_LAST,
    LVT_READ_ONLY, LVT_WRITABLE, RRD, SELF_IPI, SVR, SVR_MASK, TPR,
};
use super::{ApicAccess, LocalApic};
use crate::layout;
use crate::message::{DeliveryMode, InterruptMessage};
use base::bits::{low_u8, low_u32};
use base::{Effects, Instant};
use bitflags::bitflags;

const IA32_APIC_BASE: u32 = 0x1b;
const IA32_TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_FIRST: u32 = 0x800;
const X2APIC_LAST: u32 = 0x83f;

/// The access is refused: the processor raises a general-protection exception with error code 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the local APIC refuses the access to model-specific register {msr:#x}")]
pub struct GeneralProtection {
    /// The register.
    pub msr: u32,
}

bitflags! {
    /// IA32_APIC_BASE without the address [SDM3A figure 11-5, 11-26].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct ApicBase: u16 {
        const BOOTSTRAP = 1 << 8;
        const X2APIC = 1 << 10;
        const ENABLE = 1 << 11;
    }
}

impl ApicBase {
    pub(super) fn at_reset(bootstrap: bool) -> Self {
        if bootstrap { Self::ENABLE | Self::BOOTSTRAP } else { Self::ENABLE }
    }
}

impl LocalApic {
    /// Reads a model-specific register of the local APIC.
    ///
    /// # ApicErrors
    /// The local APIC has no such register, or none that can be read in its mode.
    pub fn read_msr(&mut self, msr: u32, now: Instant) -> Result<u64, GeneralProtection> {
        let refused = GeneralProtection { msr };
        match msr {
            IA32_APIC_BASE => Ok(layout::LOCAL_APIC | u64::from(self.base.bits())),
            IA32_TSC_DEADLINE => Ok(self.timer.deadline(now)),
            X2APIC_FIRST..=X2APIC_LAST if self.x2apic() => match low_u8((msr - X2APIC_FIRST).into()) {
                ICR => Ok(self.command),
                // Reserved in this mode [SDM3A table 11-6].
                APR | RRD | DFR | ICR_HIGH => Err(refused),
                register => self.register(register, now).map(u64::from).ok_or(refused),
            },
            _ => Err(refused),
        }
    }

    /// Writes a model-specific register of the local APIC.
    ///
    /// # ApicErrors
    /// The local APIC has no such register, it cannot be written, the value sets reserved bits, or asks for
    /// a mode that cannot be reached from the present one.
    pub fn write_msr(&mut self, msr: u32, value: u64, now: Instant) -> Result<ApicAccess, GeneralProtection> {
        let refused = GeneralProtection { msr };
        match msr {
            IA32_APIC_BASE => self.set_base(value).map(ApicAccess::from).ok_or(refused),
            IA32_TSC_DEADLINE => {
                let before = self.advance(now);
                self.timer.set_deadline(value);
                // A deadline in the past is due at once.
                Ok((before | self.advance(now) | Effects::TIMER_CHANGED).into())
            }
            X2APIC_FIRST..=X2APIC_LAST if self.x2apic() => {
                self.set_x2apic_register(low_u8((msr - X2APIC_FIRST).into()), value, now).ok_or(refused)
            }
            _ => Err(refused),
        }
    }

    /// Bits that may be set in a write of the register; all others are reserved. None for registers that
    /// cannot be written [SDM3A table 11-6].
    fn x2apic_writable(register: u8) -> Option<u64> {
        let bits = match register {
            TPR | SELF_IPI => 0xff,
            EOI | ESR => 0,
            SVR => SVR_MASK,
            ICR => return Some(0xffff_ffff_0000_0000 | u64::from(ICR_MASK)),
            LVT..=LVT_LAST => {
                let entry = usize::from(register - LVT);
                LVT_WRITABLE.get(entry)? | LVT_READ_ONLY.get(entry)?
            }
            INITIAL_COUNT => u32::MAX,
            DIVIDE_CONFIGURATION => 0b1011,
            _ => return None,
        };
        Some(bits.into())
    }

    fn set_x2apic_register(&mut self, register: u8, value: u64, now: Instant) -> Option<ApicAccess> {
        if value & !Self::x2apic_writable(register)? != 0 {
            return None;
        }
        match register {
            ICR => {
                self.command = value;
                Some(self.send())
            }
            SELF_IPI => {
                let message = InterruptMessage {
                    destination: self.id,
                    logical: false,
                    mode: DeliveryMode::Fixed,
                    vector: low_u8(value),
                    level: false,
                };
                Some(self.deliver(&message).into())
            }
            _ => self.set_register(register, low_u32(value), now),
        }
    }

    /// Writes IA32_APIC_BASE [SDM3A 11.4.3, 11.12.5]. The base address cannot be changed, as if the processor
    /// had no other physical address for it. None when refused.
    fn set_base(&mut self, value: u64) -> Option<Effects> {
        const ADDRESS: u64 = !0xfff;
        let mut wanted = ApicBase::from_bits(u16::try_from(value & !ADDRESS).ok()?)?;
        // The guest cannot change which processor is the bootstrap processor.
        wanted.set(ApicBase::BOOTSTRAP, self.base.contains(ApicBase::BOOTSTRAP));
        if value & ADDRESS != layout::LOCAL_APIC {
            return None;
        }
        let mode = |base: ApicBase| (base.contains(ApicBase::ENABLE), base.contains(ApicBase::X2APIC));
        let (from, to) = (mode(self.base), mode(wanted));
        match (from, to) {
            _ if from == to => {}
            // The state survives only from xAPIC to x2APIC mode.
            ((true, false), (true, true)) => {
                self.base = wanted;
                self.logical_destination = self.x2apic_logical_id();
                self.command &= 0xffff_ffff;
            }
            ((false, false), (true, false)) | ((true, _), (false, false)) => {
                self.base = wanted;
                self.reset_registers();
            }
            _ => return None,
        }
        Some(Effects::IRQ_CHANGED | Effects::TIMER_CHANGED)
    }
}
