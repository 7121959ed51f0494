//! Copies between memory shared with a guest or a device and Weir's own memory.
//!
//! How a frame is copied depends on the processor. With enhanced REP MOVSB [SDM2A CPUID, leaf 7 EBX bit 9] that
//! instruction is fastest for every length except short ones: 1514 bytes took 36 ns on a Xeon that has it,
//! against 87 ns for REP MOVSQ with its remainder and 46 ns for a loop of moves. Without it, REP MOVSQ moves
//! eight bytes per step. An emulator counts one instruction per step in both cases. Below 16 bytes, as for the
//! status byte of a descriptor, REP takes tens of cycles to begin: moves take none.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use raw_cpuid::CpuId;

/// The processor has enhanced REP MOVSB.
static ENHANCED_BYTES: AtomicBool = AtomicBool::new(false);

/// Detects enhanced REP MOVSB. Copies before this call are correct, but slower.
pub fn init() {
    let features = CpuId::new().get_extended_feature_info();
    ENHANCED_BYTES.store(features.is_some_and(|features| features.has_rep_movsb_stosb()), Ordering::Relaxed);
}

/// Copies between shared memory and Weir's own. Copies of 1, 2, 4 and 8 bytes are one instruction on each side, and
/// so a single access if naturally aligned [SDM3A 9.1.1]. Longer ones proceed in ascending order, descriptors of
/// 16 bytes in two accesses.
///
/// # Safety
/// Both ranges must be mapped, and no safe reference may cover the shared one.
#[inline]
pub unsafe fn copy_volatile(from: *const u8, into: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract. Assembly, because the compiler must not split, merge, repeat or drop an
    // access to memory that others change at any time, and because either side may be unaligned.
    unsafe {
        match bytes {
            16 => asm!("mov {t}, [{f}]", "mov {u}, [{f} + 8]", "mov [{i}], {t}", "mov [{i} + 8], {u}",
                t = out(reg) _, u = out(reg) _, f = in(reg) from, i = in(reg) into,
                options(nostack, preserves_flags)),
            0..16 => copy_short(from, into, bytes),
            17..=SOME => copy_some(from, into, bytes),
            _ if ENHANCED_BYTES.load(Ordering::Relaxed) => copy_bytes(from, into, bytes),
            _ => copy_words(from, into, bytes),
        }
    }
}

/// Up to so many bytes, as many as are copied of a frame's head or are read of a ring at once, REP takes about as long to
/// begin as moves take.
const SOME: usize = 256;

/// Copies 16 to [`SOME`] bytes by two moves of 8 for each 16, of which the last ones overlap those before.
///
/// # Safety
/// As [`copy_volatile`].
#[inline]
unsafe fn copy_some(from: *const u8, into: *mut u8, bytes: usize) {
    let last = bytes - 16;
    // SAFETY: the caller's contract; all moves are inside the ranges, since there are at least 16 bytes.
    unsafe {
        asm!("2:", "mov {t}, [{f} + {at}]", "mov {u}, [{f} + {at} + 8]", "mov [{i} + {at}], {t}",
            "mov [{i} + {at} + 8], {u}", "add {at}, 16", "cmp {at}, {last}", "jb 2b",
            "mov {t}, [{f} + {last}]", "mov {u}, [{f} + {last} + 8]", "mov [{i} + {last}], {t}",
            "mov [{i} + {last} + 8], {u}",
            t = out(reg) _, u = out(reg) _, f = in(reg) from, i = in(reg) into, last = in(reg) last,
            at = inout(reg) 0usize => _, options(nostack));
    }
}

/// Copies fewer than 16 bytes by at most one move each of 8, 4, 2 and 1.
///
/// # Safety
/// As [`copy_volatile`].
#[inline]
unsafe fn copy_short(from: *const u8, into: *mut u8, bytes: usize) {
    let after = |size: usize| bytes & !(2 * size - 1);
    // SAFETY: the caller's contract; each move is inside the ranges.
    unsafe {
        if bytes & 8 != 0 {
            asm!("mov {t}, [{f}]", "mov [{i}], {t}", t = out(reg) _, f = in(reg) from, i = in(reg) into,
                options(nostack, preserves_flags));
        }
        if bytes & 4 != 0 {
            asm!("mov {t:e}, [{f}]", "mov [{i}], {t:e}", t = out(reg) _, f = in(reg) from.add(after(4)),
                i = in(reg) into.add(after(4)), options(nostack, preserves_flags));
        }
        if bytes & 2 != 0 {
            asm!("mov {t:x}, [{f}]", "mov [{i}], {t:x}", t = out(reg) _, f = in(reg) from.add(after(2)),
                i = in(reg) into.add(after(2)), options(nostack, preserves_flags));
        }
        if bytes & 1 != 0 {
            asm!("mov {t}, [{f}]", "mov [{i}], {t}", t = out(reg_byte) _, f = in(reg) from.add(after(1)),
                i = in(reg) into.add(after(1)), options(nostack, preserves_flags));
        }
    }
}

/// Copies one byte per step.
///
/// # Safety
/// As [`copy_volatile`].
unsafe fn copy_bytes(from: *const u8, into: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rsi") from => _, inout("rdi") into => _,
            options(nostack, preserves_flags));
    }
}

/// Copies eight bytes per step, and the remainder byte by byte.
///
/// # Safety
/// As [`copy_volatile`].
unsafe fn copy_words(from: *const u8, into: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        asm!("rep movsq", "mov rcx, {rest}", "rep movsb", rest = in(reg) bytes % 8,
            inout("rcx") bytes / 8 => _, inout("rsi") from => _, inout("rdi") into => _,
            options(nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Copy = unsafe fn(*const u8, *mut u8, usize);

    #[test]
    fn exactly_the_requested_bytes_are_copied_at_any_alignment() {
        let source: Vec<u8> = (0..=255).cycle().take(400).collect();
        for copy in [copy_volatile as Copy, copy_bytes, copy_words] {
            for (length, skew) in (0..300).flat_map(|length| (0..9).map(move |skew| (length, skew))) {
                let mut into = [0xee; 400];
                let from = &source[8 - skew..][..length];
                // SAFETY: both ranges are inside arrays of this test.
                unsafe { copy(from.as_ptr(), into[skew..].as_mut_ptr(), length) }
                assert_eq!(&into[skew..skew + length], from);
                assert!(into[..skew].iter().chain(&into[skew + length..]).all(|byte| *byte == 0xee));
            }
        }
    }

    #[test]
    fn copies_are_equal_with_and_without_enhanced_rep_movsb() {
        let from: Vec<u8> = (0..1514).map(|at| (at * 7) as u8).collect();
        for _ in 0..2 {
            let mut into = vec![0; from.len()];
            // SAFETY: as above.
            unsafe { copy_volatile(from.as_ptr(), into.as_mut_ptr(), from.len()) }
            assert_eq!(into, from);
            init();
        }
    }
}
