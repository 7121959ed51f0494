//! Memory type range registers [SDM3A 12.11]: kept so that a guest finds the usual settings of firmware. They
//! have no effect: memory types come from the nested page tables and the guest's PAT.

use crate::layout;

/// Number of variable ranges.
pub(super) const VARIABLE: usize = 8;
/// IA32_MTRRCAP: variable ranges, fixed ranges, write-combining.
const CAPABILITIES: u64 = VARIABLE as u64 | 1 << 8 | 1 << 10;
/// IA32_MTRR_DEF_TYPE: write-back, fixed ranges and all enabled.
const DEFAULT_TYPE: u64 = WRITE_BACK | FIXED_ENABLE | ENABLE;
const FIXED_ENABLE: u64 = 1 << 10;
const ENABLE: u64 = 1 << 11;
const VALID: u64 = 1 << 11;
/// Memory types [SDM3A table 12-8].
const UNCACHEABLE: u64 = 0;
const WRITE_PROTECTED: u64 = 5;
const WRITE_BACK: u64 = 6;

const MTRRCAP: u32 = 0xfe;
const VARIABLE_FIRST: u32 = 0x200;
const VARIABLE_LAST: u32 = 0x20f;
const _: () = assert!((VARIABLE_LAST - VARIABLE_FIRST) as usize + 1 == 2 * VARIABLE);
const DEF_TYPE: u32 = 0x2ff;
/// One of 64 KiB pieces, two of 16 KiB pieces, eight of 4 KiB pieces, in ascending order of address.
const FIXED: [u32; 11] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

/// The registers of one processor.
#[derive(Clone, Debug)]
pub(super) struct Mtrrs {
    default_type: u64,
    fixed: [u64; FIXED.len()],
    /// Base and mask, alternating, as the register numbers do.
    variable: [u64; 2 * VARIABLE],
    /// Bits that a physical address can have.
    address_mask: u64,
}

impl Mtrrs {
    /// As PC firmware sets them: RAM write-back by default, the display window and everything from
    /// 3 GiB to 4 GiB uncacheable, ROM write-protected.
    pub(super) fn new(physical_bits: u8) -> Self {
        let eight = |kind: u64| kind * 0x0101_0101_0101_0101;
        let address_mask = (1u64 << physical_bits.clamp(36, 52)) - 1;
        let mut variable = [0; 2 * VARIABLE];
        let hole = layout::HIGH_MEMORY - layout::LOW_MEMORY_LIMIT;
        variable[0] = layout::LOW_MEMORY_LIMIT | UNCACHEABLE;
        variable[1] = address_mask & !(hole - 1) | VALID;
        let mut fixed = [eight(WRITE_PROTECTED); FIXED.len()];
        (fixed[0], fixed[1], fixed[2]) = (eight(WRITE_BACK), eight(WRITE_BACK), eight(UNCACHEABLE));
        Self { default_type: DEFAULT_TYPE, fixed, variable, address_mask }
    }

    /// Reads a register; None when `msr` is no MTRR.
    pub(super) fn read(&self, msr: u32) -> Option<u64> {
        match msr {
            MTRRCAP => Some(CAPABILITIES),
            DEF_TYPE => Some(self.default_type),
            VARIABLE_FIRST..=VARIABLE_LAST => self.variable.get((msr - VARIABLE_FIRST) as usize).copied(),
            _ => self.fixed.get(FIXED.iter().position(|fixed| *fixed == msr)?).copied(),
        }
    }

    /// Writes a register: None when `msr` is no MTRR, false when a processor would refuse the value.
    pub(super) fn write(&mut self, msr: u32, value: u64) -> Option<bool> {
        let (place, valid) = match msr {
            MTRRCAP => return Some(false),
            DEF_TYPE => {
                let reserved = !(FIXED_ENABLE | ENABLE | 0xff);
                (&mut self.default_type, value & reserved == 0 && is_type(value.to_le_bytes()[0]))
            }
            VARIABLE_FIRST..=VARIABLE_LAST => {
                let is_base = msr & 1 == 0;
                let low = if is_base { 0xff } else { VALID };
                let valid = value & !(self.address_mask & !0xfff | low) == 0;
                let place = self.variable.get_mut((msr - VARIABLE_FIRST) as usize)?;
                (place, valid && (!is_base || is_type(value.to_le_bytes()[0])))
            }
            _ => {
                let index = FIXED.iter().position(|fixed| *fixed == msr)?;
                (self.fixed.get_mut(index)?, value.to_le_bytes().into_iter().all(is_type))
            }
        };
        if valid {
            *place = value;
        }
        Some(valid)
    }
}

/// UC, WC, WT, WP and WB exist.
fn is_type(kind: u8) -> bool {
    matches!(kind, 0 | 1 | 4 | 5 | 6)
}
