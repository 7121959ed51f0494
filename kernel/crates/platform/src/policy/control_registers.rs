//! Control registers and EFER as a guest writes them: what the processor would check, and what follows from a
//! write. The same for all vendors.
//!
//! Values of a guest keep the bits that have no name (`from_bits_retain`): the checks here refuse those.

pub use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};
pub use x86_64::registers::rflags::RFlags;

/// The control registers that address translation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// CR0.
    pub cr0: Cr0Flags,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: Cr4Flags,
    /// IA32_EFER.
    pub efer: EferFlags,
}

/// The bits of CR0 that are defined. All others are reserved: those of the upper half cannot be set, the rest is ignored
/// [SDM3A 2.5] [APM2 3.1.1].
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

/// What a guest's write to CR0 leads to: CR0 and EFER after it; `None` when the processor would refuse the write: #GP
/// [SDM3A 2.5, 10.8.5] [APM2 3.1.1, 14.6]. `long_code` is CS.L, with which long mode can be neither entered nor left.
pub fn after_cr0(old: &Paging, written: Cr0Flags, long_code: bool) -> Option<(Cr0Flags, EferFlags)> {
    if written.bits() >> 32 != 0 {
        return None;
    }
    let new = written & CR0_DEFINED | Cr0Flags::EXTENSION_TYPE;
    let (pe, pg) = (new.contains(Cr0Flags::PROTECTED_MODE_ENABLE), new.contains(Cr0Flags::PAGING));
    let (nw, cd) = (new.contains(Cr0Flags::NOT_WRITE_THROUGH), new.contains(Cr0Flags::CACHE_DISABLE));
    if pg && !pe || nw && !cd {
        return None;
    }
    let (cr4, efer, active) = (old.cr4, old.efer, EferFlags::LONG_MODE_ACTIVE);
    let efer = match ((old.cr0 ^ new).contains(Cr0Flags::PAGING), pg) {
        (true, true) if efer.contains(EferFlags::LONG_MODE_ENABLE) => {
            let possible = cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION) && !long_code;
            possible.then_some(efer | active)
        }
        (true, false) => {
            let impossible = cr4.contains(Cr4Flags::PCID) || efer.contains(active) && long_code;
            (!impossible).then_some(efer - active)
        }
        _ => Some(efer),
    }?;
    Some((new, efer))
}

/// True when CR4 can take `value`: it has no bit beyond `allowed`; in long mode PAE stays set and LA57 as it is; PCIDE is
/// set in long mode only, with PCID 0 [SDM3A 2.5, 4.10.1].
pub fn cr4_is_valid(old: &Paging, value: Cr4Flags, allowed: Cr4Flags) -> bool {
    let long = old.efer.contains(EferFlags::LONG_MODE_ACTIVE);
    let sets_pcid = value.contains(Cr4Flags::PCID) && !old.cr4.contains(Cr4Flags::PCID);
    let stays = value.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
        && !(value ^ old.cr4).contains(Cr4Flags::L5_PAGING);
    allowed.contains(value) && (stays || !long) && (!sets_pcid || long && old.cr3 & 0xfff == 0)
}

/// True when a write that takes CR4 from `old` to `new` discards cached translations [SDM3A 4.10.4.1] [APM2 5.5.3]. Not
/// if it changes only bits that translation has nothing to do with.
pub fn cr4_discards_translations(old: Cr4Flags, new: Cr4Flags) -> bool {
    let unrelated = Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS
        | Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS
        | Cr4Flags::TIMESTAMP_DISABLE
        | Cr4Flags::DEBUGGING_EXTENSIONS
        | Cr4Flags::MACHINE_CHECK_EXCEPTION
        | Cr4Flags::PERFORMANCE_MONITOR_COUNTER
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE
        | Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION
        | Cr4Flags::FSGSBASE
        | Cr4Flags::OSXSAVE;
    !unrelated.contains(old ^ new)
}

/// True when a write of `value` to a control register makes the processor read the four page-directory-pointer entries
/// at CR3 [SDM3A 4.4.1].
pub fn loads_pdptes(old: &Paging, register: u8, value: u64) -> bool {
    let (cr0, cr4) = match register {
        0 => (Cr0Flags::from_bits_retain(value), old.cr4),
        4 => (old.cr0, Cr4Flags::from_bits_retain(value)),
        _ => return false,
    };
    let cr0_matters = Cr0Flags::PAGING | Cr0Flags::CACHE_DISABLE | Cr0Flags::NOT_WRITE_THROUGH;
    let cr4_matters = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::PAGE_SIZE_EXTENSION
        | Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION;
    let pae = cr0.contains(Cr0Flags::PAGING)
        && cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
        && !old.efer.contains(EferFlags::LONG_MODE_ENABLE);
    pae && ((cr0 ^ old.cr0).intersects(cr0_matters) || (cr4 ^ old.cr4).intersects(cr4_matters))
}

/// True when the processor would load these page-directory-pointer entries: those that are present have no reserved bit
/// [SDM3A table 4-8].
pub fn pdptes_are_valid(entries: [u64; 4], physical_bits: u8) -> bool {
    // A processor that does not tell has 36 bits [SDM3A 4.1.4].
    let physical_bits = u32::from(physical_bits.max(36));
    let reserved = 0x1e6 | u64::MAX.checked_shl(physical_bits).unwrap_or(0);
    entries.iter().all(|entry| entry & 1 == 0 || entry & reserved == 0)
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
    const ET: Cr0Flags = Cr0Flags::EXTENSION_TYPE;
    const PG: Cr0Flags = Cr0Flags::PAGING;
    const NW: Cr0Flags = Cr0Flags::NOT_WRITE_THROUGH;
    const CD: Cr0Flags = Cr0Flags::CACHE_DISABLE;
    const ON: Cr0Flags = PE.union(PG).union(ET);
    const PAE: Cr4Flags = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
    const PGE: Cr4Flags = Cr4Flags::PAGE_GLOBAL;
    const PCID: Cr4Flags = Cr4Flags::PCID;
    const LA57: Cr4Flags = Cr4Flags::L5_PAGING;
    const LME: EferFlags = EferFlags::LONG_MODE_ENABLE;
    const LMA: EferFlags = EferFlags::LONG_MODE_ACTIVE;
    const NO_CR4: Cr4Flags = Cr4Flags::empty();
    const NO_EFER: EferFlags = EferFlags::empty();

    fn efer_after(old: Cr0Flags, written: Cr0Flags, cr4: Cr4Flags, efer: EferFlags) -> Option<EferFlags> {
        after_cr0(&state(old, cr4, efer), written, false).map(|(_, efer)| efer)
    }

    const fn state(cr0: Cr0Flags, cr4: Cr4Flags, efer: EferFlags) -> Paging {
        Paging { cr0, cr3: 0, cr4, efer }
    }

    #[test]
    fn long_mode_becomes_active_with_paging() {
        assert_eq!(efer_after(PE, ON, PAE, LME), Some(LME | LMA));
        assert_eq!(efer_after(ON, PE, PAE, LME | LMA), Some(LME));
        assert_eq!(efer_after(PE, ON, NO_CR4, LME), None, "PAE is needed");
        assert_eq!(efer_after(PE, ON, NO_CR4, NO_EFER), Some(NO_EFER));
        assert_eq!(efer_after(ON, PE, PAE | PCID, LME | LMA), None, "PCIDE is in the way");
    }

    #[test]
    fn code_with_cs_l_neither_enters_long_mode_nor_leaves_it() {
        assert_eq!(after_cr0(&state(PE, PAE, LME), ON, true), None);
        assert_eq!(after_cr0(&state(ON, PAE, LME | LMA), PE, true), None);
        assert_eq!(
            after_cr0(&state(ON, NO_CR4, NO_EFER), PE, true),
            Some((PE | ET, NO_EFER)),
            "it means nothing here"
        );
    }

    #[test]
    fn cr0_is_checked_as_the_processor_does() {
        let none = Cr0Flags::empty();
        for (value, valid) in [(PE, true), (PG, false), (NW, false), (NW | CD, true)] {
            assert_eq!(efer_after(none, value, NO_CR4, NO_EFER).is_some(), valid, "{value:#x}");
        }
    }

    #[test]
    fn reserved_bits_of_cr0_are_ignored_in_its_lower_half_and_refused_in_its_upper() {
        for bit in 0..64 {
            let unnamed = Cr0Flags::from_bits_retain(1 << bit);
            if CR0_DEFINED.contains(unnamed) {
                continue;
            }
            let expected = (bit < 32).then_some((ON, NO_EFER));
            assert_eq!(after_cr0(&state(ON, NO_CR4, NO_EFER), ON | unnamed, false), expected, "bit {bit}");
        }
    }

    #[test]
    fn lme_stays_while_paging_is_on() {
        assert_eq!(efer_after_write(NO_EFER, LME, PG), None);
        assert_eq!(efer_after_write(NO_EFER, LME | LMA, Cr0Flags::empty()), Some(LME));
        assert_eq!(efer_after_write(LME | LMA, LME, ON), Some(LME | LMA));
    }

    #[test]
    fn what_long_mode_rests_on_stays() {
        let (long, legacy) = (state(ON, PAE, LME | LMA), state(ON, PAE, NO_EFER));
        assert!(!cr4_is_valid(&long, NO_CR4, PAE) && cr4_is_valid(&long, PAE, PAE));
        assert!(cr4_is_valid(&legacy, NO_CR4, PAE));
        assert!(!cr4_is_valid(&long, PAE | LA57, PAE | LA57) && cr4_is_valid(&legacy, LA57, PAE | LA57));
    }

    #[test]
    fn pcids_begin_with_zero_in_long_mode() {
        let (long, legacy) = (state(ON, PAE, LME | LMA), state(ON, PAE, NO_EFER));
        let valid = |old: Paging| cr4_is_valid(&old, PAE | PCID, PAE | PCID);
        assert!(valid(long) && !valid(legacy) && !valid(Paging { cr3: 0x1001, ..long }));
        assert!(valid(Paging { cr3: 0x1001, cr4: PAE | PCID, ..long }), "it is set already");
    }

    #[test]
    fn cr4_takes_no_bit_that_is_not_offered() {
        for bit in [Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS, Cr4Flags::from_bits_retain(1 << 40)] {
            assert!(!cr4_is_valid(&state(ON, PAE, NO_EFER), PAE | bit, PAE), "{bit:#x}");
        }
    }

    #[test]
    fn page_directory_pointers_are_read_where_pae_paging_begins_or_changes() {
        let off = state(PE, PAE, NO_EFER);
        let on = state(ON, PAE, NO_EFER);
        let cr0 = |old: &Paging, value: Cr0Flags| loads_pdptes(old, 0, value.bits());
        let cr4 = |old: &Paging, value: Cr4Flags| loads_pdptes(old, 4, value.bits());
        assert!(cr0(&off, ON) && cr0(&on, ON | CD));
        assert!(!cr0(&on, ON | Cr0Flags::TASK_SWITCHED) && !cr0(&on, PE), "nothing that matters changes");
        assert!(cr4(&on, PAE | PGE) && !cr4(&on, PAE | Cr4Flags::OSFXSR) && !cr4(&off, PAE | PGE));
        let two_levels = state(ON, NO_CR4, NO_EFER);
        assert!(cr4(&two_levels, PAE) && !cr4(&two_levels, PGE));
        assert!(!cr0(&state(PE, PAE, LME), ON), "four levels");
        assert!(!loads_pdptes(&on, 8, 0));
    }

    #[test]
    fn present_page_directory_pointers_have_no_reserved_bits() {
        let valid = |entry| pdptes_are_valid([0x1001, entry, 0, 0x3001], 40);
        for entry in [0, 0x2001, 0x2019, 0xe00 | 1, 0xff_ffff_f001, !1] {
            assert!(valid(entry), "{entry:#x}");
        }
        for bit in [1, 2, 5, 6, 7, 8, 40, 63] {
            assert!(!valid(1 | 1 << bit), "bit {bit}");
        }
    }

    #[test]
    fn only_what_translation_depends_on_discards_translations() {
        for bit in [PGE, PAE, PCID, LA57, Cr4Flags::PAGE_SIZE_EXTENSION, Cr4Flags::from_bits_retain(1 << 20)]
        {
            assert!(cr4_discards_translations(PAE ^ bit, PAE), "{bit:?}");
            assert!(cr4_discards_translations(PAE, PAE ^ bit), "{bit:?}");
        }
        for bit in [Cr4Flags::TIMESTAMP_DISABLE, Cr4Flags::OSXSAVE, NO_CR4] {
            assert!(!cr4_discards_translations(PAE, PAE | bit), "{bit:?}");
        }
    }
}
