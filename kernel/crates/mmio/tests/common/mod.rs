//! A register file and the bytes of instructions.

// Each test file that includes this one uses a part of it.
#![allow(dead_code)]

use mmio::{Access, CpuMode, DecodeError, Gpr, RegisterFile, Segment, decode};

/// All registers, each settable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    pub gprs: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    pub bases: [u64; 6],
}

impl Registers {
    /// Register n holds n in every byte; all segments begin at zero.
    pub fn numbered() -> Self {
        Self {
            gprs: core::array::from_fn(|n| n as u64 * 0x0101_0101_0101_0101),
            rip: 0x1000,
            rflags: 2,
            bases: [0; 6],
        }
    }

    /// The same with other values in some registers.
    pub fn with(mut self, values: &[(Gpr, u64)]) -> Self {
        for (register, value) in values {
            self.set(*register, *value);
        }
        self
    }
}

impl RegisterFile for Registers {
    fn get(&self, register: Gpr) -> u64 {
        self.gprs[register.index()]
    }

    fn set(&mut self, register: Gpr, value: u64) {
        self.gprs[register.index()] = value;
    }

    fn rip(&self) -> u64 {
        self.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.rip = rip;
    }

    fn rflags(&self) -> u64 {
        self.rflags
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.rflags = rflags;
    }

    fn segment_base(&self, segment: Segment) -> u64 {
        self.bases[segment as usize]
    }
}

/// The bytes of hexadecimal text.
pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

/// Decodes hexadecimal text and checks that the whole of it was the instruction.
pub fn decode_hex(text: &str, mode: CpuMode, registers: &Registers) -> Result<Access, DecodeError> {
    let bytes = hex(text);
    let access = decode(&bytes, mode, registers)?;
    assert_eq!(access.length(), bytes.len(), "{text}");
    Ok(access)
}
