//! Access to memory outside the program: device registers, firmware tables and unmapped addresses.

use core::arch::asm;

macro_rules! memory_access {
    ($read:ident, $write:ident, $type:ty, $class:ident, $modifier:literal, $bits:literal) => {
        #[doc = concat!("Reads ", $bits, " bits with one instruction, at any alignment.")]
        #[must_use]
        pub fn $read(address: u64) -> $type {
            let value: $type;
            // SAFETY: the first 4 GiB are mapped, and callers pass addresses outside this program.
            unsafe {
                asm!(concat!("mov {value", $modifier, "}, [{address}]"), value = out($class) value,
                     address = in(reg) address, options(nostack, preserves_flags, readonly));
            }
            value
        }

        #[doc = concat!("Writes ", $bits, " bits with one instruction, at any alignment.")]
        pub fn $write(address: u64, value: $type) {
            // SAFETY: as above.
            unsafe {
                asm!(concat!("mov [{address}], {value", $modifier, "}"), value = in($class) value,
                     address = in(reg) address, options(nostack, preserves_flags));
            }
        }
    };
}

memory_access!(read_byte, write_byte, u8, reg_byte, "", "8");
memory_access!(read_word, write_word, u16, reg, ":x", "16");
memory_access!(read_dword, write_dword, u32, reg, ":e", "32");
memory_access!(read_qword, write_qword, u64, reg, ":r", "64");

/// Copies bytes from memory outside the program.
pub fn read_bytes(address: u64, into: &mut [u8]) {
    // SAFETY: the instruction writes exactly the bytes of `into`.
    unsafe {
        asm!("rep movsb", inout("rsi") address => _, inout("rdi") into.as_mut_ptr() => _,
             inout("rcx") into.len() => _, options(nostack, preserves_flags));
    }
}

/// Copies bytes to memory outside the program.
pub fn write_bytes(address: u64, from: &[u8]) {
    // SAFETY: callers pass addresses outside all memory that Rust manages.
    unsafe {
        asm!("rep movsb", inout("rsi") from.as_ptr() => _, inout("rdi") address => _,
             inout("rcx") from.len() => _, options(nostack, preserves_flags));
    }
}
