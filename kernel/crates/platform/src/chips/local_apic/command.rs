//! Interrupt commands, and which local APICs a destination names [SDM3A 11.6].

use super::LocalApic;
use crate::message::{DeliveryMode, InterruptMessage, TRIGGER_LEVEL, widen};
use base::bits::{high_u32, low_u8, low_u32};

/// The destination shorthand of an interrupt command [SDM3A 11.6.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shorthand {
    /// None: the message's destination counts.
    Destination,
    /// The sender.
    Itself,
    /// All, including the sender.
    Everyone,
    /// All, excluding the sender.
    Others,
}

/// An interprocessor interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipi {
    /// What is sent.
    pub message: InterruptMessage,
    /// To whom.
    pub shorthand: Shorthand,
}

impl Ipi {
    /// The interrupt that the interrupt command register requests; None where none is sent: for the reserved
    /// delivery modes and for INIT level de-assert, whose only use was to synchronise arbitration
    /// identifiers.
    pub(super) fn from_command(command: u64, x2apic: bool) -> Option<Self> {
        const LOGICAL: u32 = 1 << 11;
        const LEVEL_ASSERT: u32 = 1 << 14;
        let (low, high) = (low_u32(command), high_u32(command));
        let mode = DeliveryMode::from_register(low).filter(|mode| *mode != DeliveryMode::ExtInt)?;
        if mode == DeliveryMode::Init && low & (LEVEL_ASSERT | TRIGGER_LEVEL) == TRIGGER_LEVEL {
            return None;
        }
        let shorthand = match low >> 18 & 3 {
            0 => Shorthand::Destination,
            1 => Shorthand::Itself,
            2 => Shorthand::Everyone,
            _ => Shorthand::Others,
        };
        let destination = if x2apic { high } else { widen(low_u8(command >> 56)) };
        // Interprocessor interrupts are edges: the trigger mode matters for INIT de-assert only.
        let message = InterruptMessage {
            destination,
            logical: low & LOGICAL != 0,
            mode,
            vector: low_u8(command),
            level: false,
        };
        Some(Self { message, shorthand })
    }
}

impl LocalApic {
    /// True when `message`'s destination names this local APIC [SDM3A 11.6.2.1, 11.6.2.2, 11.12.10].
    #[must_use]
    pub fn is_destination(&self, message: &InterruptMessage) -> bool {
        if message.destination == InterruptMessage::BROADCAST {
            return true;
        }
        if !message.logical {
            return message.destination == self.id;
        }
        if self.x2apic() {
            let same_cluster = message.destination >> 16 == self.logical_destination >> 16;
            return same_cluster && message.destination & self.logical_destination & 0xffff != 0;
        }
        const CLUSTER_MODEL: u32 = 0x0;
        const FLAT_MODEL: u32 = 0xf;
        let (wanted, own) = (message.destination, self.logical_destination >> 24);
        match self.destination_format >> 28 {
            FLAT_MODEL => wanted & own != 0,
            CLUSTER_MODEL => wanted >> 4 == own >> 4 && wanted & own & 0xf != 0,
            _ => false,
        }
    }

    /// The logical identifier in x2APIC mode: cluster, and bit within the cluster [SDM3A 11.12.10.2].
    pub(super) fn x2apic_logical_id(&self) -> u32 {
        self.id >> 4 << 16 | 1 << (self.id & 0xf)
    }
}
