//! VEX-encoded instructions that have a form without VEX: that form, for a decoder that knows no VEX [SDM2A 2.3].
//!
//! The tables for all VEX encodings would triple those of the decoder, and only moves are emulated.

use crate::CpuMode;

/// Prefixes that may precede VEX: segment overrides and the address size.
const BEFORE: [u8; 7] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67];
/// The prefixes that VEX.pp stands for.
const IMPLIED: [&[u8]; 4] = [&[], &[0x66], &[0xf3], &[0xf2]];
/// The longest instruction [SDM2A 2.3.11].
const LONGEST: usize = 15;

/// An instruction in the form without VEX, and what only VEX says.
pub(crate) struct Unvexed {
    bytes: [u8; 2 * LONGEST],
    length: usize,
    /// Bytes before the opcode, with VEX and without.
    heads: (u8, u8),
    /// VEX.L: the operands have 32 bytes.
    pub(crate) wide: bool,
    /// VEX.vvvv: the other source.
    pub(crate) other: u8,
}

impl Unvexed {
    /// The instruction at the beginning of `code` without VEX; `None` if it has none, or no such form.
    pub(crate) fn new(code: &[u8], mode: CpuMode) -> Option<Self> {
        let code = &code[..code.len().min(LONGEST)];
        let before = code.iter().take_while(|byte| BEFORE.contains(byte)).count();
        let (prefixes, rest) = code.split_at(before);
        let (first, second, map, rest) = match *rest {
            // Outside 64-bit mode these are LES and LDS, whose operand is never a register.
            [0xc4 | 0xc5, next, ..] if mode != CpuMode::Bits64 && next < 0xc0 => return None,
            // The form of two bytes has R in place of X, B and the map, and no W.
            [0xc5, payload, ref rest @ ..] => (payload | 0x60, payload & 0x7f, 1, rest),
            [0xc4, first, second, ref rest @ ..] => (first, second, first & 0x1f, rest),
            _ => return None,
        };
        // R, X and B are inverted, W is not.
        let rex = !first >> 5 & 7 | second >> 7 << 3;
        let escape: &[u8] = match map {
            1 => &[0x0f],
            2 => &[0x0f, 0x38],
            3 => &[0x0f, 0x3a],
            _ => return None,
        };
        let mut unvexed = Self {
            bytes: [0; 2 * LONGEST],
            length: 0,
            heads: (0, 0),
            wide: second & 4 != 0,
            other: !second >> 3 & 0xf,
        };
        unvexed.append(prefixes);
        unvexed.append(IMPLIED[usize::from(second & 3)]);
        if rex != 0 && mode == CpuMode::Bits64 {
            unvexed.append(&[0x40 | rex]);
        }
        unvexed.append(escape);
        unvexed.heads = (u8::try_from(code.len() - rest.len()).ok()?, u8::try_from(unvexed.length).ok()?);
        unvexed.append(rest);
        Some(unvexed)
    }

    /// Prefixes have at most 15 bytes, and at most 4 take the place of VEX: there is room.
    fn append(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    /// The bytes, for the decoder.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The instruction pointer at which these bytes end where the others do: an operand may be relative to it.
    pub(crate) fn instruction_pointer(&self, rip: u64) -> u64 {
        rip.wrapping_add(u64::from(self.heads.0)).wrapping_sub(u64::from(self.heads.1))
    }

    /// The length with VEX of an instruction that has `length` bytes without.
    pub(crate) fn length(&self, length: u8) -> u8 {
        length.wrapping_add(self.heads.0).wrapping_sub(self.heads.1)
    }
}
