//! Registers that VM entries and exits of neither vendor switch and that Weir does not use: CR2, and the debug
//! registers except DR7. The active guest's values stay loaded across exits.

use core::arch::asm;

/// The values of a guest that is not active.
#[derive(Clone, Copy, Debug)]
pub struct Unsaved {
    cr2: u64,
    dr: [u64; 4],
    dr6: u64,
}

impl Default for Unsaved {
    /// After reset [SDM3A table 10-1].
    fn default() -> Self {
        Self { cr2: 0, dr: [0; 4], dr6: 0xffff_0ff0 }
    }
}

impl Unsaved {
    /// Loads them into the processor.
    pub fn load(&self) {
        set_cr2(self.cr2);
        let [dr0, dr1, dr2, dr3] = self.dr;
        // SAFETY: only DR7 arms breakpoints, and it is zero outside guests [SDM3C 28.5.1].
        unsafe {
            asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}", in(reg) dr0,
                in(reg) dr1, in(reg) dr2, in(reg) dr3, in(reg) self.dr6, options(nomem, nostack));
        }
    }

    /// Saves them from the processor.
    pub fn save(&mut self) {
        let [dr0, dr1, dr2, dr3] = &mut self.dr;
        // SAFETY: only reads registers.
        unsafe {
            asm!("mov {}, cr2", "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3", "mov {}, dr6",
                out(reg) self.cr2, out(reg) *dr0, out(reg) *dr1, out(reg) *dr2, out(reg) *dr3,
                out(reg) self.dr6, options(nomem, nostack));
        }
    }
}

/// Sets the active guest's CR2.
pub fn set_cr2(linear: u64) {
    // SAFETY: only page-fault handlers read CR2; Weir's handler prints it and stops.
    unsafe { asm!("mov cr2, {}", in(reg) linear, options(nomem, nostack)) }
}

/// Sets bits of the active guest's DR6 as the delivery of #DB does: `conditions` replaces the breakpoint bits
/// 3:0 and is added to the other bits [SDM3B 18.2.3].
pub fn add_to_dr6(conditions: u64) {
    let mut dr6: u64;
    // SAFETY: as in `Unsaved::load`.
    unsafe {
        asm!("mov {}, dr6", out(reg) dr6, options(nomem, nostack));
        dr6 = dr6 & !0xf | conditions;
        asm!("mov dr6, {}", in(reg) dr6, options(nomem, nostack));
    }
}
