//! The grammar of AML, as far as it needs no names [ACPI 6.5 20.2]. Each function takes a value from the front of the
//! bytes and returns it with the rest; `None` when the bytes end within it, or begin with something else.

use super::bounds::Bounds;
use crate::bytes::{u16_at, u32_at, u64_at};

/// What a package length covers, and what follows it [ACPI 6.5 20.2.4]. The two top bits of the first byte say how many
/// bytes follow it.
pub(super) fn package(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let lead = *bytes.first()?;
    let more = usize::from(lead >> 6);
    let mut length = usize::from(lead & if more == 0 { 0x3f } else { 0x0f });
    for (index, byte) in bytes.get(1..=more)?.iter().enumerate() {
        length |= usize::from(*byte) << (4 + 8 * index);
    }
    let inside = bytes.get(more + 1..length)?;
    Some((inside, &bytes[length..]))
}

/// A name as written: from the root or from a number of scopes up, then segments of four characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenName<'a> {
    pub(super) from_root: bool,
    pub(super) up: usize,
    pub(super) segments: &'a [[u8; 4]],
}

const DUAL: u8 = 0x2e;
const MULTI: u8 = 0x2f;

/// True for a byte that a name begins with.
pub(super) fn begins_name(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'_' | b'\\' | b'^' | DUAL | MULTI)
}

/// Most parents that a name can begin with: no tree of names is as deep.
const MAX_PARENTS: usize = 255;

/// A name [ACPI 6.5 20.2.2]. Its letters cost, whether or not they are a name and somebody looks for it.
pub(super) fn name<'a>(bytes: &'a [u8], bounds: &Bounds) -> Option<(WrittenName<'a>, &'a [u8])> {
    let after_root = bytes.strip_prefix(b"\\");
    let rest = after_root.unwrap_or(bytes);
    let up = rest.iter().take(MAX_PARENTS + 1).take_while(|byte| **byte == b'^').count();
    bounds.spend_bytes(up)?;
    let rest = rest.get(up..).filter(|_| up <= MAX_PARENTS)?;
    let (count, rest) = match *rest.first()? {
        0 => (0, &rest[1..]),
        DUAL => (2, &rest[1..]),
        MULTI => (usize::from(*rest.get(1)?), &rest[2..]),
        _ => (1, rest),
    };
    let (segments, rest) = rest.split_at_checked(4 * count)?;
    bounds.spend_bytes(segments.len())?;
    let (segments, _) = segments.as_chunks();
    let is_segment = |segment: &[u8; 4]| {
        !segment[0].is_ascii_digit()
            && segment.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
    };
    let name = WrittenName { from_root: after_root.is_some(), up, segments };
    segments.iter().all(is_segment).then_some((name, rest))
}

/// A constant integer [ACPI 6.5 20.2.3].
pub(super) fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&opcode, rest) = bytes.split_first()?;
    let (value, length) = match opcode {
        0x00 => (0, 0),
        0x01 => (1, 0),
        0xff => (u64::MAX, 0),
        0x0a => (u64::from(*rest.first()?), 1),
        0x0b => (u64::from(u16_at(rest, 0)?), 2),
        0x0c => (u64::from(u32_at(rest, 0)?), 4),
        0x0e => (u64_at(rest, 0)?, 8),
        _ => return None,
    };
    Some((value, &rest[length..]))
}

/// A string after its opcode, without the zero that ends it. All that is looked at costs, whether or not there is an end.
pub(super) fn string<'a>(bytes: &'a [u8], bounds: &Bounds) -> Option<(&'a [u8], &'a [u8])> {
    let length = bytes.iter().position(|byte| *byte == 0);
    bounds.spend_bytes(length.unwrap_or(bytes.len()))?;
    Some((&bytes[..length?], &bytes[length? + 1..]))
}

/// The operands of an opcode: `t` a term, `T` a target, `n` a name, `p` everything that a package length covers, `s` a
/// string, and digits bytes. `None` for what is no opcode.
pub(super) fn operands(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        0x00 | 0x01 | 0xff | 0x60..=0x6e | 0x9f | 0xa3 | 0xa5 | 0xcc => "",
        0x0a => "1",
        0x0b => "2",
        0x0c => "4",
        0x0e => "8",
        0x0d => "s",
        0x11..=0x14 | 0x10 | 0xa0..=0xa2 => "p",
        0x06 => "nn",
        0x08 => "nt",
        0x15 => "n2",
        0x71 | 0x75 | 0x76 | 0x87 | 0x8e => "T",
        0x70 | 0x80..=0x82 | 0x96..=0x99 | 0x9d => "tT",
        0x72..=0x74 | 0x77 | 0x79..=0x7f | 0x84 | 0x85 | 0x88 | 0x9c => "ttT",
        0x78 => "ttTT",
        0x83 | 0x92 | 0xa4 => "t",
        0x86 => "Tt",
        0x8a..=0x8d | 0x8f => "ttn",
        0x90 | 0x91 | 0x93..=0x95 => "tt",
        _ => return None,
    })
}

/// The same for an opcode that follows the prefix 5Bh. Those that stand in methods only, which are stepped over whole, are
/// left out.
pub(super) fn extended_operands(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        0x30 | 0x31 | 0x33 => "",
        0x01 => "n1",
        0x02 => "n",
        0x12 => "TT",
        0x13 => "tttn",
        0x80 => "n1tt",
        0x81..=0x87 => "p",
        0x88 => "nttt",
        _ => return None,
    })
}
