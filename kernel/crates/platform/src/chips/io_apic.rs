//! The I/O APIC: 24 inputs, each with a redirection entry that says which message it sends [82093AA 3.0].
//!
//! Inputs are asserted or not; polarity is left to the wiring. In addition to the registers of the 82093AA it
//! has the EOI register of version 0x20 [ICH family: EOIR], with which a guest ends a level-triggered
//! interrupt without its local APIC.

use crate::message::{DeliveryMode, InterruptMessage, TRIGGER_LEVEL, widen};
use base::bits::low_u8;

/// Number of inputs.
pub const INPUTS: u8 = 24;

/// Offset of IOREGSEL, which selects a register by its low byte.
const IOREGSEL: u16 = 0x00;
/// Offset of IOWIN, which accesses the selected register.
const IOWIN: u16 = 0x10;
/// Offset of the EOI register.
const EOIR: u16 = 0x40;

const IOAPICID: u8 = 0x00;
const IOAPICVER: u8 = 0x01;
const IOAPICARB: u8 = 0x02;
const IOREDTBL: u8 = 0x10;

const VERSION: u32 = u32::from_le_bytes([0x20, 0, INPUTS - 1, 0]);

/// Redirection entry, low half [82093AA 3.2.4].
const MASKED: u32 = 1 << 16;
const REMOTE_IRR: u32 = 1 << 14;
const DELIVERY_STATUS: u32 = 1 << 12;
const LOGICAL: u32 = 1 << 11;
const LOW_WRITABLE: u32 = 0x1_ffff & !(REMOTE_IRR | DELIVERY_STATUS);
/// Redirection entry, high half: the destination.
const HIGH_WRITABLE: u32 = 0xff00_0000;

#[derive(Debug, Clone, Copy)]
struct RedirectionEntry {
    low: u32,
    high: u32,
    asserted: bool,
}

impl RedirectionEntry {
    fn level(&self) -> bool {
        self.low & TRIGGER_LEVEL != 0
    }

    /// The entry's message, unless it is masked, has a reserved mode, or waits for the end of the previous
    /// one.
    fn send(&mut self) -> Option<InterruptMessage> {
        if self.low & (MASKED | REMOTE_IRR) != 0 {
            return None;
        }
        let mode = DeliveryMode::from_register(self.low).filter(|mode| *mode != DeliveryMode::StartUp)?;
        // Only these are ended by an EOI; all others are edges [82093AA 3.2.4, DELMOD].
        let level = self.level() && matches!(mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if level {
            self.low |= REMOTE_IRR;
        }
        Some(InterruptMessage {
            destination: widen(low_u8((self.high >> 24).into())),
            logical: self.low & LOGICAL != 0,
            mode,
            vector: low_u8(self.low.into()),
            level,
        })
    }
}

/// The I/O APIC.
///
/// ```
/// use platform::io_apic::VirtualIoApic;
///
/// let mut io_apic = VirtualIoApic::new();
/// // IOREGSEL, IOWIN: input 4 sends vector 0x34, edge-triggered.
/// io_apic.write(0x00, 0x18);
/// io_apic.write(0x10, 0x34);
/// assert_eq!(io_apic.set_line(4, true).map(|message| message.vector), Some(0x34));
/// assert_eq!(io_apic.set_line(4, true), None, "no second edge");
/// ```
#[derive(Debug, Clone)]
pub struct VirtualIoApic {
    id: u32,
    select: u8,
    entries: [RedirectionEntry; INPUTS as usize],
}

impl Default for VirtualIoApic {
    fn default() -> Self {
        Self::new()
    }
}

impl VirtualIoApic {
    /// The state after reset: every input masked.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: 0,
            select: 0,
            entries: [RedirectionEntry { low: MASKED, high: 0, asserted: false }; INPUTS as usize],
        }
    }

    /// Reads the 32-bit register at `offset` from the I/O APIC's address.
    #[must_use]
    pub fn read(&self, offset: u16) -> u32 {
        match (offset, self.select) {
            (IOREGSEL, select) => select.into(),
            (IOWIN, IOAPICID | IOAPICARB) => self.id,
            (IOWIN, IOAPICVER) => VERSION,
            (IOWIN, select) => match self.entries.get(entry_index(select)) {
                Some(entry) if select & 1 == 0 => entry.low,
                Some(entry) => entry.high,
                None => 0,
            },
            _ => 0,
        }
    }

    /// Writes the 32-bit register at `offset`. Afterwards messages may be due: see [`VirtualIoApic::due`].
    pub fn write(&mut self, offset: u16, value: u32) {
        const ID_WRITABLE: u32 = 0x0f00_0000;
        match (offset, self.select) {
            (IOREGSEL, _) => self.select = low_u8(value.into()),
            (IOWIN, IOAPICID) => self.id = value & ID_WRITABLE,
            (IOWIN, select) => self.write_entry(select, value),
            _ => {}
        }
    }

    /// The vector that a write of `value` to `offset` ends, if that is the EOI register; pass it to
    /// [`VirtualIoApic::eoi`].
    #[must_use]
    pub fn ended_by_write(offset: u16, value: u32) -> Option<u8> {
        (offset == EOIR).then_some(low_u8(value.into()))
    }

    fn write_entry(&mut self, select: u8, value: u32) {
        let Some(entry) = self.entries.get_mut(entry_index(select)) else { return };
        if select & 1 != 0 {
            entry.high = value & HIGH_WRITABLE;
            return;
        }
        entry.low = entry.low & REMOTE_IRR | value & LOW_WRITABLE;
        // Remote IRR has no meaning for edges. Guests switch an entry to edge and back to end an interrupt.
        if !entry.level() {
            entry.low &= !REMOTE_IRR;
        }
    }

    /// Sets the level of input `pin` and returns the message that it sends, if any. An edge at a masked input
    /// is lost [82093AA 3.2.4, interrupt mask].
    pub fn set_line(&mut self, pin: u8, asserted: bool) -> Option<InterruptMessage> {
        let entry = self.entries.get_mut(usize::from(pin))?;
        let rises = asserted && !entry.asserted;
        entry.asserted = asserted;
        if rises { entry.send() } else { None }
    }

    /// Ends the level-triggered interrupt `vector`: the entries that sent it may send again. Afterwards
    /// messages of inputs that are still asserted are due: see [`VirtualIoApic::due`].
    pub fn eoi(&mut self, vector: u8) {
        for entry in
            self.entries.iter_mut().filter(|entry| low_u8(entry.low.into()) == vector && entry.level())
        {
            entry.low &= !REMOTE_IRR;
        }
    }

    /// The message that input `pin` must send for a level: the input is asserted, its entry unmasked, and the
    /// previous message, if any, ended or refused.
    pub fn due(&mut self, pin: u8) -> Option<InterruptMessage> {
        let entry = self.entries.get_mut(usize::from(pin))?;
        if entry.level() && entry.asserted { entry.send() } else { None }
    }

    /// Records that no local APIC accepted the message of input `pin`, so none will end it. Remote IRR stands
    /// for acceptance [82093AA 3.2.4, remote IRR]: once it is clear, the message is due again.
    pub fn refused(&mut self, pin: u8) {
        if let Some(entry) = self.entries.get_mut(usize::from(pin)) {
            entry.low &= !REMOTE_IRR;
        }
    }
}

fn entry_index(select: u8) -> usize {
    usize::from(select.wrapping_sub(IOREDTBL) >> 1)
}

#[cfg(test)]
mod tests;
