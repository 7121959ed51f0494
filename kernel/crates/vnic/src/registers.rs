//! The register file: which registers exist, what they hold after reset and which bits a guest can write.
//!
//! Registers whose access does more than load or store are handled in [`crate::register_access`]; their entry
//! here is storage for their bits.

use alloc::boxed::Box;
use intel_regs::{Ctrl, Rah, pci, reg, stats};

/// A range of registers with the same behaviour.
struct RegisterRange {
    first: u32,
    count: u32,
    stride: u32,
    writable: u32,
    reset: u32,
}

const fn one(offset: u32, writable: u32, reset: u32) -> RegisterRange {
    RegisterRange { first: offset, count: 1, stride: 4, writable, reset }
}

const fn table(first: u32, count: u32, stride: u32, writable: u32) -> RegisterRange {
    RegisterRange { first, count, stride, writable, reset: 0 }
}

/// All registers with their writable bits and reset values [8254x 13.4 to 13.8]. A reset value that the manual
/// leaves open, or to the EEPROM, is 0 unless a driver may expect otherwise.
const MAP: &[RegisterRange] = &[
    one(reg::CTRL, Ctrl::all().bits() & !Ctrl::RST.bits(), Ctrl::FD.bits() | Ctrl::SPEED_1000.bits()),
    one(reg::STATUS, 0, 0),
    one(reg::EECD, 0, 0),
    one(reg::EERD, 0, 0),
    one(reg::CTRL_EXT, 0x0002_cccf, 0),
    // No flash is attached.
    one(reg::FLA, 0, 0),
    one(reg::MDIC, 0, 0x1000_0000),
    one(reg::FCAL, !0, 0x00c2_8001),
    one(reg::FCAH, 0xffff, 0x0100),
    one(reg::FCT, 0xffff, 0x8808),
    one(reg::VET, 0xffff, 0x8100),
    one(reg::ICR, 0, 0),
    one(reg::ITR, 0, 0),
    one(reg::ICS, 0, 0),
    one(reg::IMS, 0, 0),
    one(reg::IMC, 0, 0),
    one(reg::RCTL, 0x06df_b3fe, 0),
    one(reg::FCTTV, 0xffff, 0),
    one(reg::TXCW, 0xc000_ffff, 0),
    one(reg::RXCW, 0, 0),
    one(reg::TCTL, 0x013f_fffa, 0),
    one(reg::TIPG, 0x3fff_ffff, 0),
    one(reg::AIFS, 0xffff, 0),
    one(reg::LEDCTL, 0xcfcf_cfef, 0x0706_8302),
    one(reg::PBA, 0x78, 0x30),
    one(reg::FCRTL, 0x8000_fff8, 0),
    one(reg::FCRTH, 0xfff8, 0),
    one(reg::RDFH, 0x1fff, 0),
    one(reg::RDFT, 0x1fff, 0),
    one(reg::RDFHS, 0x1fff, 0),
    one(reg::RDFTS, 0x1fff, 0),
    one(reg::RDFPC, 0x1fff, 0),
    one(reg::RDBAL, 0xffff_fff0, 0),
    one(reg::RDBAH, !0, 0),
    one(reg::RDLEN, reg::RING_LENGTH_MASK, 0),
    one(reg::RDH, 0xffff, 0),
    one(reg::RDT, 0xffff, 0),
    one(reg::RDTR, 0xffff, 0),
    one(reg::RXDCTL, 0x013f_3f3f, 0x0001_0000),
    one(reg::RADV, 0xffff, 0),
    one(reg::RSRPD, 0x0fff, 0),
    one(reg::TDFH, 0x1fff, 0),
    one(reg::TDFT, 0x1fff, 0),
    one(reg::TDFHS, 0x1fff, 0),
    one(reg::TDFTS, 0x1fff, 0),
    one(reg::TDFPC, 0x1fff, 0),
    one(reg::TDBAL, 0xffff_fff0, 0),
    one(reg::TDBAH, !0, 0),
    one(reg::TDLEN, reg::RING_LENGTH_MASK, 0),
    one(reg::TDH, 0xffff, 0),
    one(reg::TDT, 0xffff, 0),
    one(reg::TIDV, 0xffff, 0),
    one(reg::TXDCTL, 0xff3f_3f3f, 0),
    one(reg::TADV, 0xffff, 0),
    one(reg::TSPMT, !0, 0x0100_0400),
    table(stats::FIRST, (stats::LAST - stats::FIRST) / 4 + 1, 4, 0),
    one(reg::RXCSUM, 0x07ff, 0),
    table(reg::MTA, reg::MTA_COUNT, 4, !0),
    table(reg::RAL, reg::RAR_COUNT, 8, !0),
    table(reg::RAH, reg::RAR_COUNT, 8, Rah::ADDRESS_MASK | 0x8003_0000),
    table(reg::VFTA, reg::VFTA_COUNT, 4, !0),
    one(reg::WUC, 0x0000_000b, 0),
    one(reg::WUFC, 0x000f_80ff, 0),
    // Wake-up events, which the model lacks, set bits here; writing 1 clears them.
    one(reg::WUS, 0, 0),
    one(reg::MANC, !0, 0),
    one(reg::IPAV, 0x0001_000f, 0),
    table(reg::IP4AT, reg::IP4AT_COUNT, 8, !0),
    table(reg::IP6AT, reg::IP6AT_COUNT, 4, !0),
    one(reg::WUPL, 0, 0),
    table(reg::WUPM, reg::WUPM_COUNT, 4, 0),
    table(reg::FFLT, reg::FFLT_COUNT, 8, 0x07ff),
    table(reg::FFMT, reg::FLEXIBLE_FILTER_COUNT, 8, 0x000f),
    table(reg::FFVT, reg::FLEXIBLE_FILTER_COUNT, 8, !0),
];

/// Number of registers in [`MAP`].
const COUNT: usize = {
    let mut count = 0;
    let mut run = 0;
    while run < MAP.len() {
        count += MAP[run].count as usize;
        run += 1;
    }
    count
};

/// Words between the first offset and the last register of [`MAP`].
const WORDS: usize = {
    let mut words = 0;
    let mut run = 0;
    while run < MAP.len() {
        let end = (MAP[run].first + MAP[run].count * MAP[run].stride) as usize / 4;
        if end > words {
            words = end;
        }
        run += 1;
    }
    words
};

const _: () = assert!(WORDS * 4 <= pci::MMIO_SIZE as usize);

/// In [`RegisterLayout::slots`]: no register at this offset.
const NONE: u16 = u16::MAX;

const _: () = assert!(COUNT < NONE as usize);

/// [`MAP`] as tables for constant-time access.
struct RegisterLayout {
    /// The index of each word's register in the other tables, or [`NONE`].
    slots: [u16; WORDS],
    writable: [u32; COUNT],
    reset: [u32; COUNT],
}

static LAYOUT: RegisterLayout = layout();

const fn layout() -> RegisterLayout {
    let mut layout = RegisterLayout { slots: [NONE; WORDS], writable: [0; COUNT], reset: [0; COUNT] };
    let mut slot = 0;
    let mut run = 0;
    while run < MAP.len() {
        let mut index = 0;
        while index < MAP[run].count {
            let word = ((MAP[run].first + index * MAP[run].stride) / 4) as usize;
            assert!(layout.slots[word] == NONE, "two registers at one offset");
            layout.slots[word] = slot_number(slot);
            layout.writable[slot] = MAP[run].writable;
            layout.reset[slot] = MAP[run].reset;
            slot += 1;
            index += 1;
        }
        run += 1;
    }
    layout
}

#[expect(clippy::cast_possible_truncation, reason = "COUNT is less than NONE, as asserted above")]
const fn slot_number(slot: usize) -> u16 {
    slot as u16
}

#[inline(always)]
fn slot(offset: u32) -> Option<usize> {
    let slot = *LAYOUT.slots.get(offset as usize / 4)?;
    (slot != NONE).then_some(usize::from(slot))
}

/// The values of all registers. Where the offset is a constant, as on the way of a frame, so is the slot, and the
/// access is one load or store: the functions here are inlined for that.
pub(crate) struct VnicRegisters {
    values: Box<[u32; COUNT]>,
}

impl VnicRegisters {
    /// Registers after reset.
    pub(crate) fn new() -> Self {
        Self { values: Box::new(LAYOUT.reset) }
    }

    /// Sets every register to its reset value.
    pub(crate) fn reset(&mut self) {
        *self.values = LAYOUT.reset;
    }

    /// True when there is a register at `offset`.
    pub(crate) fn exists(offset: u32) -> bool {
        slot(offset).is_some()
    }

    /// The value of a register; 0 where there is none.
    #[inline(always)]
    pub(crate) fn get(&self, offset: u32) -> u32 {
        slot(offset).map_or(0, |slot| self.values[slot])
    }

    /// Sets all bits, as hardware does.
    #[inline(always)]
    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        if let Some(slot) = slot(offset) {
            self.values[slot] = value;
        }
    }

    /// Sets the writable bits, as software does.
    pub(crate) fn write(&mut self, offset: u32, value: u32) {
        if let Some(slot) = slot(offset) {
            let writable = LAYOUT.writable[slot];
            self.values[slot] = self.values[slot] & !writable | value & writable;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_bits_keep_their_value() {
        let mut registers = VnicRegisters::new();
        for offset in (0..pci::MMIO_SIZE).step_by(4) {
            let before = registers.get(offset);
            registers.write(offset, !before);
            let writable = slot(offset).map_or(0, |slot| LAYOUT.writable[slot]);
            assert_eq!((registers.get(offset) ^ before) & !writable, 0, "at {offset:#x}");
            assert_eq!(registers.get(offset) ^ before, writable, "at {offset:#x}");
        }
    }

    #[test]
    fn reset_restores_every_register() {
        let mut registers = VnicRegisters::new();
        for offset in (0..pci::MMIO_SIZE).step_by(4) {
            registers.set(offset, 0x1234_5678);
        }
        registers.reset();
        assert_eq!(registers.values, VnicRegisters::new().values);
    }
}
