//! The interrupt vectors that Weir uses.

use config::MAX_NICS;

/// Vectors for NICs, of each kind.
#[expect(clippy::cast_possible_truncation, reason = "asserted below")]
const NICS: u8 = MAX_NICS as u8;
const _: () = assert!(MAX_NICS <= ((SPURIOUS_VECTOR - NIC_VECTOR) / 2) as usize);

/// First vector that is not an exception [SDM3A 7.2].
pub const FIRST_INTERRUPT: u8 = 32;
/// Wakes an idle core or forces a VM exit when the next deadline is due. It has no other effect.
pub const TIMER_VECTOR: u8 = 0x40;
/// The serial port has received a byte.
pub const SERIAL_VECTOR: u8 = 0x41;
/// Another core has left work for this one.
pub const WAKE_VECTOR: u8 = 0x42;
/// First of the vectors that physical NICs raise by message, in order of discovery.
pub const NIC_VECTOR: u8 = 0x50;
/// First of the vectors that physical NICs raise by their interrupt lines.
pub const LINE_VECTOR: u8 = NIC_VECTOR + NICS;
/// Spurious interrupts of the local APIC; the low four bits are set, as older local APICs require [SDM3A 11.9].
pub const SPURIOUS_VECTOR: u8 = 0xff;

/// True for the vectors that physical NICs raise by their interrupt lines.
pub fn is_line(vector: u8) -> bool {
    (LINE_VECTOR..LINE_VECTOR + NICS).contains(&vector)
}
