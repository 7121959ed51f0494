//! Registers that VM entries and exits of neither vendor switch and that Weir does not use: CR2, and the debug
//! registers except DR7. The active guest's values stay loaded across exits.

use crate::processor::cores::{PerCore, per_core};
use core::arch::asm;
use spin::Mutex;

/// DR0 to DR3, and DR6.
type DebugRegisters = [u64; 5];

/// What this core's debug registers hold while no guest is active. MOV to a debug register waits for all instructions
/// before it, and most guests leave the registers as they are after reset.
static LEFT: PerCore<Mutex<Option<DebugRegisters>>> = per_core!(Mutex::new(None));

/// The values of a guest that is not active.
#[derive(Clone, Copy, Debug)]
pub struct Unsaved {
    cr2: u64,
    debug: DebugRegisters,
}

impl Default for Unsaved {
    /// After reset [SDM3A table 10-1].
    fn default() -> Self {
        Self { cr2: 0, debug: [0, 0, 0, 0, 0xffff_0ff0] }
    }
}

impl Unsaved {
    /// Loads them into the processor.
    pub fn load(&self) {
        set_cr2(self.cr2);
        // From here on the guest can write them itself.
        if LEFT.here().lock().take().is_some_and(|left| left.iter().eq(&self.debug)) {
            return;
        }
        let [dr0, dr1, dr2, dr3, dr6] = self.debug;
        // SAFETY: only DR7 arms breakpoints, and it is zero outside guests [SDM3C 28.5.1].
        unsafe {
            asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}", in(reg) dr0,
                in(reg) dr1, in(reg) dr2, in(reg) dr3, in(reg) dr6, options(nomem, nostack));
        }
    }

    /// Saves them from the processor.
    pub fn save(&mut self) {
        let [dr0, dr1, dr2, dr3, dr6] = &mut self.debug;
        // SAFETY: only reads registers.
        unsafe {
            asm!("mov {}, cr2", "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3", "mov {}, dr6",
                out(reg) self.cr2, out(reg) *dr0, out(reg) *dr1, out(reg) *dr2, out(reg) *dr3,
                out(reg) *dr6, options(nomem, nostack));
        }
        *LEFT.here().lock() = Some(self.debug);
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
