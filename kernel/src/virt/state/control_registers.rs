//! Control registers and EFER as a guest writes them: what the processor would check and follow up, the same
//! for both vendors.

/// Protection enable.
pub const CR0_PE: u64 = 1 << 0;
/// Extension type: always 1.
pub const CR0_ET: u64 = 1 << 4;
/// Numeric error.
pub const CR0_NE: u64 = 1 << 5;
/// Not write-through.
pub const CR0_NW: u64 = 1 << 29;
/// Cache disable.
pub const CR0_CD: u64 = 1 << 30;
/// Paging.
pub const CR0_PG: u64 = 1 << 31;
/// Reserved bits of CR0 are all those not named in [SDM3A 2.5] [APM2 3.1.1].
pub const CR0_DEFINED: u64 = 0xe005_003f;
/// Physical address extension.
pub const CR4_PAE: u64 = 1 << 5;
/// Machine-check exception.
pub const CR4_MCE: u64 = 1 << 6;
/// Long mode enable.
pub const EFER_LME: u64 = 1 << 8;
/// Long mode active.
pub const EFER_LMA: u64 = 1 << 10;
/// Interrupt flag.
pub const RFLAGS_IF: u64 = 1 << 9;
/// Trap flag.
pub const RFLAGS_TF: u64 = 1 << 8;
/// The bit of RFLAGS that is always 1.
pub const RFLAGS_RESERVED_1: u64 = 1 << 1;
/// Value of IA32_PAT after reset [SDM3A 12.12.4] [APM2 7.8.2].
pub const PAT_RESET: u64 = 0x0007_0406_0007_0406;

/// EFER after a write of `new` to CR0 that the processor would take; `None` when it would not: #GP
/// [SDM3A 2.5, 10.8.5] [APM2 3.1.1, 14.6].
pub fn efer_after_cr0(old: u64, new: u64, cr4: u64, efer: u64) -> Option<u64> {
    let (pe, pg) = (new & CR0_PE != 0, new & CR0_PG != 0);
    if new & !CR0_DEFINED != 0 || pg && !pe || new & CR0_NW != 0 && new & CR0_CD == 0 {
        return None;
    }
    match ((old ^ new) & CR0_PG != 0, pg) {
        (true, true) if efer & EFER_LME != 0 => (cr4 & CR4_PAE != 0).then_some(efer | EFER_LMA),
        (true, false) => Some(efer & !EFER_LMA),
        _ => Some(efer),
    }
}

/// True when CR4 can take `value`: no bit of `reserved`, and PAE stays while long mode is active.
pub fn cr4_is_valid(value: u64, reserved: u64, efer: u64) -> bool {
    value & reserved == 0 && (value & CR4_PAE != 0 || efer & EFER_LMA == 0)
}

/// EFER after a write of `value` that the policy allows; `None` when the processor would refuse it: LME stays
/// while paging is on, and LMA is the processor's own.
pub fn efer_after_write(old: u64, value: u64, cr0: u64) -> Option<u64> {
    let moved = (old ^ value) & EFER_LME != 0 && cr0 & CR0_PG != 0;
    (!moved).then_some(value & !EFER_LMA | old & EFER_LMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: u64 = CR0_PG | CR0_PE;

    #[test]
    fn long_mode_becomes_active_with_paging() {
        assert_eq!(efer_after_cr0(CR0_PE, ON, CR4_PAE, EFER_LME), Some(EFER_LME | EFER_LMA));
        assert_eq!(efer_after_cr0(ON, CR0_PE, CR4_PAE, EFER_LME | EFER_LMA), Some(EFER_LME));
        assert_eq!(efer_after_cr0(CR0_PE, ON, 0, EFER_LME), None, "PAE is needed");
        assert_eq!(efer_after_cr0(CR0_PE, ON, 0, 0), Some(0));
    }

    #[test]
    fn cr0_is_checked_as_the_processor_does() {
        for (value, valid) in
            [(CR0_PE, true), (CR0_PG, false), (CR0_NW, false), (CR0_NW | CR0_CD, true), (1 << 6, false)]
        {
            assert_eq!(efer_after_cr0(0, value, 0, 0).is_some(), valid, "{value:#x}");
        }
    }

    #[test]
    fn lme_stays_while_paging_is_on() {
        assert_eq!(efer_after_write(0, EFER_LME, CR0_PG), None);
        assert_eq!(efer_after_write(0, EFER_LME | EFER_LMA, 0), Some(EFER_LME));
        assert_eq!(efer_after_write(EFER_LME | EFER_LMA, EFER_LME, ON), Some(EFER_LME | EFER_LMA));
    }

    #[test]
    fn pae_stays_in_long_mode() {
        assert!(!cr4_is_valid(0, 0, EFER_LMA));
        assert!(cr4_is_valid(0, 0, 0));
        assert!(!cr4_is_valid(CR4_PAE | 1 << 13, 1 << 13, 0));
    }
}
