//! Cores: which one executes this, and what each has for itself.
//!
//! A core's number is its place in the order of starting: the one that Weir boots on is 0. GS points to the core's
//! own record from the first instructions on; entries to guests keep it.

use crate::processor::cpu;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Most cores that are used.
pub const MAX_CORES: usize = config::MAX_CORES;
/// The core that Weir boots on: it has the serial line, the shell, and the interrupts of devices.
pub const BOOT_CORE: usize = 0;

const IA32_GS_BASE: u32 = 0xc000_0101;

/// A cache line of its own, so that cores do not disturb each other.
#[repr(align(64))]
pub struct CacheLine<T>(T);

impl<T> CacheLine<T> {
    /// Wraps one core's value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

/// One value for each core.
pub struct PerCore<T>([CacheLine<T>; MAX_CORES]);

impl<T> PerCore<T> {
    /// These values; see [`per_core`].
    pub const fn new(lines: [CacheLine<T>; MAX_CORES]) -> Self {
        Self(lines)
    }

    /// This core's value.
    pub fn here(&self) -> &T {
        &self.0[current()].0
    }

    /// Another core's value.
    pub fn of(&self, core: usize) -> Option<&T> {
        self.0.get(core).map(|line| &line.0)
    }
}

/// The same initial value for each core.
macro_rules! per_core {
    ($value:expr) => {
        $crate::processor::cores::PerCore::new(
            [const { $crate::processor::cores::CacheLine::new($value) }; $crate::processor::cores::MAX_CORES],
        )
    };
}
pub(crate) use per_core;

/// What GS points to: the core's number.
#[repr(C, align(64))]
struct CoreRecord(usize);

static RECORDS: [CoreRecord; MAX_CORES] = {
    let mut records = [const { CoreRecord(0) }; MAX_CORES];
    let mut core = 0;
    while core < MAX_CORES {
        records[core] = CoreRecord(core);
        core += 1;
    }
    records
};

static LOCAL_APIC_IDS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];
/// Cores that run, by the next number.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Makes this core the one of this number, below [`MAX_CORES`]. Comes before anything that is per core, and after
/// the GS selector was loaded for the last time: that clears the base.
pub fn adopt(core: usize) {
    let record = &raw const RECORDS[core];
    // SAFETY: the kernel's own code uses GS for nothing but `current`.
    unsafe { cpu::wrmsr(IA32_GS_BASE, record as u64) }
}

/// The number of this core.
#[cfg(not(test))]
pub fn current() -> usize {
    let core: usize;
    // SAFETY: `adopt` has pointed GS at this core's record, which nobody writes.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) core, options(pure, readonly, nostack, preserves_flags));
    }
    core
}

/// On the host there is one.
#[cfg(test)]
pub fn current() -> usize {
    BOOT_CORE
}

/// The linear address of this core's record, which a return from a guest must bring back into GS.
pub fn gs_base() -> u64 {
    (&raw const RECORDS[current()]) as u64
}

/// Notes a core as running: its number, and its local APIC's id.
pub fn note_running(core: usize, local_apic_id: u32) {
    if let Some(id) = LOCAL_APIC_IDS.get(core) {
        id.store(local_apic_id, Ordering::Relaxed);
        COUNT.fetch_max(core + 1, Ordering::Release);
    }
}

/// How many run.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// The local APIC of a core.
pub fn local_apic_id(core: usize) -> Option<u32> {
    (core < count()).then(|| LOCAL_APIC_IDS[core].load(Ordering::Relaxed))
}
