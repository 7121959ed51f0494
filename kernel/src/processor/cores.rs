//! Cores: the number of the current one, and per-core values.
//!
//! Cores are numbered in the order in which they start: the one that Weir boots on is 0. GS points to the core's
//! own record from its first instructions on, and entering a guest preserves it.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

/// Most cores that Weir uses.
pub const MAX_CORES: usize = config::MAX_CORES;
/// The core that Weir boots on: it runs the serial line and the shell, and receives device interrupts.
pub const BOOT_CORE: usize = 0;

/// A value in a cache line of its own, so that cores do not disturb each other.
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
    /// Made of one value for each core; see [`per_core`].
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

/// A [`PerCore`] with the same initial value for each core.
macro_rules! per_core {
    ($value:expr) => {
        $crate::processor::cores::PerCore::new(
            [const { $crate::processor::cores::CacheLine::new($value) }; $crate::processor::cores::MAX_CORES],
        )
    };
}
pub(crate) use per_core;

/// What GS points to: a record that holds the core's number.
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
/// Number of running cores, which is also the number of the next core to start.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Gives this core its number, below [`MAX_CORES`]. Call it before anything uses a per-core value, and after the
/// last load of the GS selector, which clears the base.
pub fn adopt(core: usize) {
    // The kernel's own code uses GS for nothing but `current`.
    GsBase::write(VirtAddr::from_ptr(&raw const RECORDS[core]));
}

/// The number of this core.
#[cfg(not(test))]
pub fn current() -> usize {
    let core: usize;
    // SAFETY: `adopt` has pointed GS at this core's record, which is never written.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) core, options(pure, readonly, nostack, preserves_flags));
    }
    core
}

/// Tests on the development host see one core.
#[cfg(test)]
pub fn current() -> usize {
    BOOT_CORE
}

/// The linear address of this core's record, which must be in GS again after a VM exit.
pub fn gs_base() -> u64 {
    (&raw const RECORDS[current()]) as u64
}

/// Records that core `core` is running, and the id of its local APIC.
pub fn note_running(core: usize, local_apic_id: u32) {
    if let Some(id) = LOCAL_APIC_IDS.get(core) {
        id.store(local_apic_id, Ordering::Relaxed);
        COUNT.fetch_max(core + 1, Ordering::Release);
    }
}

/// Number of running cores.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// The cores that run, the boot core excepted.
pub fn others() -> core::ops::Range<usize> {
    BOOT_CORE + 1..count()
}

/// The local APIC id of a running core.
pub fn local_apic_id(core: usize) -> Option<u32> {
    (core < count()).then(|| LOCAL_APIC_IDS[core].load(Ordering::Relaxed))
}
