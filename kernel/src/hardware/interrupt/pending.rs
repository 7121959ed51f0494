//! Interrupts that have arrived and wait for the main loop. A handler only records its interrupt here.

use super::vectors::{SPURIOUS_VECTOR, TIMER_VECTOR, is_line};
use super::{io_apic, local_apic};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::panicking;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Interrupts that have arrived at this core and have not been taken, one bit per vector.
static PENDING: PerCore<[AtomicU32; 8]> = per_core!([const { AtomicU32::new(0) }; 8]);
/// All interrupts that this core has received.
static RECEIVED: PerCore<AtomicU64> = per_core!(AtomicU64::new(0));
static NMIS: PerCore<AtomicU32> = per_core!(AtomicU32::new(0));

/// Records an NMI. No guest depends on it, so the main loop may look at it later. If another core is panicking,
/// it has sent the NMI to stop this core, which halts.
pub fn note_nmi() {
    panicking::halt_if_elsewhere();
    NMIS.here().fetch_add(1, Ordering::Relaxed);
}

/// Returns the number of NMIs since the last call.
pub fn take_nmis() -> u32 {
    NMIS.here().swap(0, Ordering::Relaxed)
}

/// Records that an interrupt has arrived, and ends it at the local APIC. Also called for interrupts that caused
/// a VM exit, which the processor has acknowledged already.
pub fn note(vector: u8) {
    if vector == SPURIOUS_VECTOR {
        return; // not acknowledged [SDM3A 11.9]
    }
    RECEIVED.here().fetch_add(1, Ordering::Relaxed);
    if vector == TIMER_VECTOR {
        local_apic::timer_expired();
    } else {
        if is_line(vector) {
            io_apic::mask(vector);
        }
        PENDING.here()[usize::from(vector / 32)].fetch_or(1 << (vector % 32), Ordering::Relaxed);
    }
    local_apic::end_of_interrupt();
}

/// Number of interrupts that all cores have received, without NMIs.
pub fn received() -> u64 {
    (0..cores::count())
        .filter_map(|core| RECEIVED.of(core))
        .map(|received| received.load(Ordering::Relaxed))
        .sum()
}

/// Clears the record of `vector` on this core. Returns true if the interrupt had arrived.
pub fn take(vector: u8) -> bool {
    let word = &PENDING.here()[usize::from(vector / 32)];
    let bit = 1 << (vector % 32);
    // A plain load first: this runs at every VM exit, and the answer is nearly always no.
    word.load(Ordering::Relaxed) & bit != 0 && word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
}
