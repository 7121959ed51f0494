//! Instructions written as hexadecimal text.

// Each test file that includes this one uses a part of it.
#![allow(dead_code)]

pub mod flags;

use mmio::{CpuMode, DecodeError, TrappedAccess, decode};
use testkit::FakeRegisters;

/// The bytes of hexadecimal text.
pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

/// Decodes hexadecimal text and checks that the instruction is as long as the text.
pub fn decode_hex(
    text: &str,
    mode: CpuMode,
    registers: &FakeRegisters,
) -> Result<TrappedAccess, DecodeError> {
    let bytes = hex(text);
    let access = decode(&bytes, mode, registers)?;
    assert_eq!(access.length(), bytes.len(), "{text}");
    Ok(access)
}
