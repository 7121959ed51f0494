//! What Weir knows of the guest's clock and the guest would else have to measure: KVM's interface, which stock
//! systems believe on processors of every vendor [Linux: Documentation/virt/kvm/x86/msr.rst, cpuid.rst].
//!
//! The hypervisor leaves of CPUID at 4000_0000h keep Weir's name. A second block at 4000_0100h, where systems
//! also look, announces the interface, and of it only the clock. The guest names an address, and Weir writes
//! there how to turn the time-stamp counter into nanoseconds. Since the counter's rate never changes, the
//! structure is written when the guest asks for it and when the guest moves its counter, never otherwise.

use base::GuestPhysical;

/// MSR_KVM_WALL_CLOCK_NEW: where to write the time of day at instant zero.
pub const WALL_CLOCK: u32 = 0x4b56_4d00;
/// MSR_KVM_SYSTEM_TIME_NEW: where to keep the `SystemTime`.
pub const SYSTEM_TIME: u32 = 0x4b56_4d01;

/// First leaf of the interface; the next one holds its features.
pub(super) const LEAF: u32 = 0x4000_0100;
/// EBX, ECX and EDX of that leaf.
pub(super) const SIGNATURE: [u8; 12] = *b"KVMKVMKVM\0\0\0";
/// KVM_FEATURE_NOP_IO_DELAY: no device here needs a pause between accesses. KVM_FEATURE_CLOCKSOURCE2: the two
/// registers above. KVM_FEATURE_CLOCKSOURCE_STABLE_BIT: [`TSC_STABLE`] can be relied on.
pub(super) const FEATURES: u32 = 1 << 1 | 1 << 3 | 1 << 24;

/// In [`SYSTEM_TIME`]: the structure is to be kept.
const ENABLE: u64 = 1;
/// PVCLOCK_TSC_STABLE_BIT: the counters of all processors agree.
const TSC_STABLE: u8 = 1;

/// The structure that turns the guest's time-stamp counter into nanoseconds since instant zero.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemTime {
    register: u64,
    version: u32,
}

impl SystemTime {
    pub(super) fn register(&self) -> u64 {
        self.register
    }

    /// The guest writes [`SYSTEM_TIME`]; false for an address that is not a multiple of 4.
    pub(super) fn write(&mut self, value: u64) -> bool {
        let aligned = value & 2 == 0;
        if aligned {
            self.register = value;
        }
        aligned
    }

    /// Where the structure is to be written, and its content: the counter was `tsc_at_zero` at instant zero.
    pub(super) fn structure(&mut self, tsc_hz: u64, tsc_at_zero: u64) -> Option<(GuestPhysical, [u8; 32])> {
        if self.register & ENABLE == 0 {
            return None;
        }
        // Even: complete. A reader that was interrupted by the change finds another version, and reads again.
        self.version = self.version.wrapping_add(2);
        let (multiplier, shift) = scale(tsc_hz);
        let mut bytes = [0; 32];
        bytes[0..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&tsc_at_zero.to_le_bytes());
        // The nanoseconds at that value of the counter, at 16, are zero.
        bytes[24..28].copy_from_slice(&multiplier.to_le_bytes());
        bytes[28] = shift.to_le_bytes()[0];
        bytes[29] = TSC_STABLE;
        Some((GuestPhysical(self.register & !ENABLE), bytes))
    }
}

/// The time of day at instant zero, as a guest finds it at the address that it writes to [`WALL_CLOCK`].
#[must_use]
pub fn wall_clock(unix_seconds: u64) -> [u8; 12] {
    // Seconds of 32 bits without sign: until 2106.
    let seconds = u32::try_from(unix_seconds).unwrap_or(u32::MAX);
    let mut bytes = [0; 12];
    bytes[0..4].copy_from_slice(&2u32.to_le_bytes());
    bytes[4..8].copy_from_slice(&seconds.to_le_bytes());
    bytes
}

/// Multiplier and shift: nanoseconds are the ticks, shifted left by `shift`, times the multiplier, divided by
/// 2^32. The multiplier has its top bit set, so that it has all the digits that fit.
fn scale(tsc_hz: u64) -> (u32, i8) {
    const NANOS: u128 = 1_000_000_000;
    let hz = u128::from(tsc_hz.max(1));
    let mut shift = 0i8;
    // Each step halves or doubles; a frequency of 64 bits needs at most 40 of them.
    let multiplier = |shift: i8| {
        let (up, down) = ((-shift).max(0), shift.max(0));
        ((NANOS << 32) << up) / (hz << down)
    };
    while multiplier(shift) >> 32 != 0 {
        shift += 1;
    }
    while shift > -40 && multiplier(shift) >> 31 == 0 {
        shift -= 1;
    }
    (u32::try_from(multiplier(shift)).unwrap_or(u32::MAX), shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a guest computes [Linux: pvclock].
    fn nanos(structure: &[u8; 32], tsc: u64) -> u64 {
        let dword = |at: usize| u32::from_le_bytes(structure[at..at + 4].try_into().expect("four bytes"));
        let qword = |at: usize| u64::from(dword(at)) | u64::from(dword(at + 4)) << 32;
        let delta = tsc.wrapping_sub(qword(8));
        let shift = structure[28] as i8;
        let shifted = if shift < 0 { delta >> -shift } else { delta << shift };
        qword(16) + ((u128::from(shifted) * u128::from(dword(24))) >> 32) as u64
    }

    proptest! {
        #[test]
        fn the_guests_arithmetic_gives_the_time(
            hz in 100_000_000u64..10_000_000_000, seconds in 0u64..10_000_000, moved: u64
        ) {
            let mut time = SystemTime::default();
            prop_assert!(time.write(0x1000 | ENABLE));
            let (at, structure) = time.structure(hz, moved).expect("enabled");
            prop_assert_eq!(at, GuestPhysical(0x1000));
            let shown = nanos(&structure, (seconds * hz).wrapping_add(moved));
            // 0.5 in 2^31, and one tick that the shift drops.
            let error = shown.abs_diff(seconds * 1_000_000_000);
            prop_assert!(error <= seconds / 2 + 20, "{error} ns after {seconds} s");
            // The frequency that a guest computes from it, in kHz.
            let (multiplier, shift) = scale(hz);
            let khz = (1_000_000u128 << 32) / u128::from(multiplier);
            let khz = if shift < 0 { khz << -shift } else { khz >> shift };
            prop_assert!((khz as u64).abs_diff(hz / 1000) <= 1 << (-shift).max(0), "{khz} kHz for {hz} Hz");
        }
    }

    #[test]
    fn versions_are_even_and_change_and_nothing_is_written_unasked() {
        let mut time = SystemTime::default();
        assert!(time.structure(1, 0).is_none());
        assert!(time.write(0x2000 | ENABLE));
        let mut version = || time.structure(1_000_000_000, 0).map(|(_, bytes)| [bytes[0], bytes[29]]);
        assert_eq!((version(), version()), (Some([2, 1]), Some([4, 1])));
        assert!(!time.write(0x2002 | ENABLE) && time.register() == 0x2000 | ENABLE);
        assert!(time.write(0) && time.structure(1_000_000_000, 0).is_none());
    }

    #[test]
    fn the_wall_clock_is_complete() {
        assert_eq!(wall_clock(0x6543_2100), [2, 0, 0, 0, 0, 0x21, 0x43, 0x65, 0, 0, 0, 0]);
    }
}
