//! Control registers and EFER as a guest writes them: what the processor would check, and what follows from a
//! write. The same for both vendors.
//!
//! Values of a guest keep the bits that have no name (`from_bits_retain`): the checks here refuse those.

pub use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};
pub use x86_64::registers::rflags::RFlags;

/// The bits of CR0 that are defined; all others are reserved [SDM3A 2.5] [APM2 3.1.1].
pub const CR0_DEFINED: Cr0Flags = Cr0Flags::all();
const _: () = assert!(CR0_DEFINED.bits() == 0xe005_003f);
/// CR0 of a guest at its boot: protected mode with paging.
pub const CR0_AT_BOOT: Cr0Flags = Cr0Flags::PROTECTED_MODE_ENABLE
    .union(Cr0Flags::EXTENSION_TYPE)
    .union(Cr0Flags::NUMERIC_ERROR)
    .union(Cr0Flags::PAGING);
/// The bit of RFLAGS that is always 1.
pub const RFLAGS_RESERVED_1: RFlags = RFlags::from_bits_retain(1 << 1);
/// Value of IA32_PAT after reset [SDM3A 12.12.4] [APM2 7.8.2].
pub const PAT_RESET: u64 = 0x0007_0406_0007_0406;

/// EFER after a write of `new` to CR0; `None` when the processor would refuse the write: #GP
/// [SDM3A 2.5, 10.8.5] [APM2 3.1.1, 14.6].
pub fn efer_after_cr0(old: Cr0Flags, new: Cr0Flags, cr4: Cr4Flags, efer: EferFlags) -> Option<EferFlags> {
    let (pe, pg) = (new.contains(Cr0Flags::PROTECTED_MODE_ENABLE), new.contains(Cr0Flags::PAGING));
    let (nw, cd) = (new.contains(Cr0Flags::NOT_WRITE_THROUGH), new.contains(Cr0Flags::CACHE_DISABLE));
    if !CR0_DEFINED.contains(new) || pg && !pe || nw && !cd {
        return None;
    }
    let active = EferFlags::LONG_MODE_ACTIVE;
    match ((old ^ new).contains(Cr0Flags::PAGING), pg) {
        (true, true) if efer.contains(EferFlags::LONG_MODE_ENABLE) => {
            cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION).then_some(efer | active)
        }
        (true, false) => Some(efer - active),
        _ => Some(efer),
    }
}

/// True when CR4 can take `value`: it has no bit beyond `allowed`, and PAE stays set while long mode is active.
pub fn cr4_is_valid(value: Cr4Flags, allowed: Cr4Flags, efer: EferFlags) -> bool {
    allowed.contains(value)
        && (value.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
            || !efer.contains(EferFlags::LONG_MODE_ACTIVE))
}

/// EFER after a write of `value`, which the policy allows; `None` when the processor would refuse it: LME cannot
/// change while paging is on. LMA is read-only.
pub fn efer_after_write(old: EferFlags, value: EferFlags, cr0: Cr0Flags) -> Option<EferFlags> {
    let lme_changes = (old ^ value).contains(EferFlags::LONG_MODE_ENABLE);
    let active = EferFlags::LONG_MODE_ACTIVE;
    (!lme_changes || !cr0.contains(Cr0Flags::PAGING)).then_some((value - active) | old & active)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PE: Cr0Flags = Cr0Flags::PROTECTED_MODE_ENABLE;
    const PG: Cr0Flags = Cr0Flags::PAGING;
    const NW: Cr0Flags = Cr0Flags::NOT_WRITE_THROUGH;
    const CD: Cr0Flags = Cr0Flags::CACHE_DISABLE;
    const ON: Cr0Flags = PE.union(PG);
    const PAE: Cr4Flags = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
    const LME: EferFlags = EferFlags::LONG_MODE_ENABLE;
    const LMA: EferFlags = EferFlags::LONG_MODE_ACTIVE;
    const NO_CR4: Cr4Flags = Cr4Flags::empty();
    const NO_EFER: EferFlags = EferFlags::empty();

    #[test]
    fn long_mode_becomes_active_with_paging() {
        assert_eq!(efer_after_cr0(PE, ON, PAE, LME), Some(LME | LMA));
        assert_eq!(efer_after_cr0(ON, PE, PAE, LME | LMA), Some(LME));
        assert_eq!(efer_after_cr0(PE, ON, NO_CR4, LME), None, "PAE is needed");
        assert_eq!(efer_after_cr0(PE, ON, NO_CR4, NO_EFER), Some(NO_EFER));
    }

    #[test]
    fn cr0_is_checked_as_the_processor_does() {
        let unnamed = |bit: u32| Cr0Flags::from_bits_retain(1 << bit);
        let none = Cr0Flags::empty();
        for (value, valid) in [(PE, true), (PG, false), (NW, false), (NW | CD, true)]
            .into_iter()
            .chain([6, 15, 17, 28, 32, 63].map(|bit| (unnamed(bit), false)))
        {
            assert_eq!(efer_after_cr0(none, value, NO_CR4, NO_EFER).is_some(), valid, "{value:#x}");
        }
    }

    #[test]
    fn lme_stays_while_paging_is_on() {
        assert_eq!(efer_after_write(NO_EFER, LME, PG), None);
        assert_eq!(efer_after_write(NO_EFER, LME | LMA, Cr0Flags::empty()), Some(LME));
        assert_eq!(efer_after_write(LME | LMA, LME, ON), Some(LME | LMA));
    }

    #[test]
    fn pae_stays_in_long_mode() {
        assert!(!cr4_is_valid(NO_CR4, PAE, LMA));
        assert!(cr4_is_valid(NO_CR4, PAE, NO_EFER));
        assert!(cr4_is_valid(PAE, PAE, LMA));
    }

    #[test]
    fn cr4_takes_no_bit_that_is_not_offered() {
        for bit in [Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS, Cr4Flags::from_bits_retain(1 << 40)] {
            assert!(!cr4_is_valid(PAE | bit, PAE, NO_EFER), "{bit:#x}");
        }
    }
}
