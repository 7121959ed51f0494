//! Access to I/O ports.

use core::arch::asm;

macro_rules! port_access {
    ($read:ident, $write:ident, $type:ty, $register:tt, $bits:literal) => {
        #[doc = concat!("Reads ", $bits, " bits from a port.")]
        #[must_use]
        pub fn $read(port: u16) -> $type {
            let value: $type;
            // SAFETY: a port access does not affect memory of this program.
            unsafe {
                    asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port,
                     options(nomem, nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes ", $bits, " bits to a port.")]
        pub fn $write(port: u16, value: $type) {
            // SAFETY: no device behind a guest's ports writes to this program's memory as a direct effect.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in($register) value,
                     options(nomem, nostack, preserves_flags));
            }
        }
    };
}

port_access!(read_byte, write_byte, u8, "al", "8");
port_access!(read_word, write_word, u16, "ax", "16");
port_access!(read_dword, write_dword, u32, "eax", "32");

/// Reads a run of bytes from one port with `rep insb`.
pub fn read_string(port: u16, into: &mut [u8]) {
    // SAFETY: the instruction writes exactly the bytes of `into`.
    unsafe {
        asm!("rep insb", in("dx") port, inout("rdi") into.as_mut_ptr() => _, inout("rcx") into.len() => _,
             options(nostack, preserves_flags));
    }
}

/// Writes a run of bytes to one port with `rep outsb`.
pub fn write_string(port: u16, from: &[u8]) {
    // SAFETY: the instruction reads exactly the bytes of `from`.
    unsafe {
        asm!("rep outsb", in("dx") port, inout("rsi") from.as_ptr() => _, inout("rcx") from.len() => _,
             options(nostack, preserves_flags, readonly));
    }
}
