//! Interrupt messages: the common form in which the I/O APIC, message-signalled interrupts and interprocessor
//! interrupts reach local APICs.

use base::bits::low_u8;

/// What a local APIC does with a message [SDM3A 11.6.1, figure 11-12; 11.11.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The vector goes to every processor of the destination.
    Fixed,
    /// The vector goes to the processor of the destination that runs at the lowest priority.
    LowestPriority,
    /// System management interrupt.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up; the vector is the number of the page at which the processor starts.
    StartUp,
    /// The vector comes from the 8259A.
    ExtInt,
}

impl DeliveryMode {
    /// The mode that bits 10:8 of `register` encode, as in every register and message that has one. None
    /// for the reserved encoding.
    #[must_use]
    pub fn from_register(register: u32) -> Option<Self> {
        match register >> 8 & 7 {
            0 => Some(Self::Fixed),
            1 => Some(Self::LowestPriority),
            2 => Some(Self::Smi),
            4 => Some(Self::Nmi),
            5 => Some(Self::Init),
            6 => Some(Self::StartUp),
            7 => Some(Self::ExtInt),
            _ => None,
        }
    }
}

/// An interrupt on its way to one or several local APICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptMessage {
    /// APIC identifier, or set of logical identifiers. [`InterruptMessage::BROADCAST`] names all.
    pub destination: u32,
    /// `destination` is a logical one [SDM3A 11.6.2.2].
    pub logical: bool,
    /// What the destination does.
    pub mode: DeliveryMode,
    /// The vector, for modes that have one.
    pub vector: u8,
    /// Level-triggered: the I/O APIC is told of the end of the interrupt.
    pub level: bool,
}

impl InterruptMessage {
    /// The destination that reaches every processor [SDM3A 11.12.9].
    pub const BROADCAST: u32 = u32::MAX;

    /// The message that a write of `data` to `address` sends, if it sends one [SDM3A 11.11.1, 11.11.2].
    #[must_use]
    pub fn from_msi(address: u64, data: u32) -> Option<Self> {
        const MESSAGE_AREA: u64 = 0xfee;
        const LEVEL_ASSERT: u32 = 1 << 14;
        if address >> 20 != MESSAGE_AREA {
            return None;
        }
        let level = data & TRIGGER_LEVEL != 0;
        // The message that releases a level changes nothing at the destination.
        if level && data & LEVEL_ASSERT == 0 {
            return None;
        }
        let (destination, logical) = (low_u8(address >> 12), address >> 2 & 1 != 0);
        Some(Self {
            destination: widen(destination),
            logical,
            mode: DeliveryMode::from_register(data)?,
            vector: low_u8(data.into()),
            level,
        })
    }
}

/// Trigger mode, at the same place in every register and message that has one.
pub(crate) const TRIGGER_LEVEL: u32 = 1 << 15;

/// The 32-bit form of an 8-bit destination: all ones stays broadcast [SDM3A 11.6.2.1, 11.6.2.2].
pub(crate) fn widen(destination: u8) -> u32 {
    if destination == u8::MAX { InterruptMessage::BROADCAST } else { destination.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_signalled_interrupt_is_decoded() {
        let message = InterruptMessage::from_msi(0xfee0_3004, 0x4031).expect("a message");
        assert_eq!(
            message,
            InterruptMessage {
                destination: 3,
                logical: true,
                mode: DeliveryMode::Fixed,
                vector: 0x31,
                level: false
            }
        );
        assert_eq!(
            InterruptMessage::from_msi(0xfeef_f000, 0x131).map(|m| m.destination),
            Some(InterruptMessage::BROADCAST)
        );
    }

    #[test]
    fn writes_elsewhere_or_with_reserved_mode_are_no_message() {
        assert_eq!(InterruptMessage::from_msi(0xfed0_0000, 0x31), None);
        assert_eq!(InterruptMessage::from_msi(0x1_fee0_0000, 0x31), None);
        assert_eq!(InterruptMessage::from_msi(0xfee0_0000, 0x331), None);
        assert_eq!(InterruptMessage::from_msi(0xfee0_0000, 0x8031), None, "level taken away");
    }
}
