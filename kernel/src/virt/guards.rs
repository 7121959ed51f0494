//! What a core does so that nothing leaks from guest to guest: crate `silicon` decides what its processor needs, each
//! core settles that once, and the vendors' entries and the scheduler carry it out.
//!
//! Data of other guests are in the core's caches and buffers only after Weir has worked for others than the guest that
//! runs: when a core goes from one guest to another, and in the scheduler's housekeeping (frames, consoles, timers). The
//! exits between touch that guest's memory and devices, and Weir's code and tables. So the L1D is flushed, and buffers and the
//! divider are cleared, at the first entry after such work, not at every one.

use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::cpu::{self, ThisProcessor};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use silicon::HostProcessor;
use silicon::measures::{Guards, GuestControls, Measures};
use spin::Once;

/// Calls that fill the predictor of return addresses with places where speculation ends. It uses ECX.
#[cfg(not(test))]
macro_rules! fill_return_stack {
    () => {
        "mov ecx, 32; 23: call 24f; int3; 24: add rsp, 8; dec ecx; jnz 23b; lfence"
    };
}

/// What the guards say comes between an exit and the first return. They are in the second word of the stack; EAX, EBX,
/// ECX and EDX are used. A branch here that is predicted wrongly ends at the LFENCE.
#[cfg(not(test))]
macro_rules! settle_predictors {
    () => {
        concat!(
            "mov ebx, [rsp + 8]; test bl, {ibrs}; jz 20f
            mov eax, ebx; shr eax, 5; and eax, 2; or eax, 1; xor edx, edx; mov ecx, 0x48; wrmsr
            20: test bl, {barrier}; jz 21f
            mov eax, 1; xor edx, edx; mov ecx, 0x49; wrmsr
            21: test bl, {fill}; jz 22f
            ",
            $crate::virt::guards::fill_return_stack!(),
            "
            22: test bl, {one_call}; jz 25f
            call 26f; int3; 26: add rsp, 8
            25: lfence"
        )
    };
}

#[cfg(not(test))]
pub(super) use {fill_return_stack, settle_predictors};

/// The operand of VERW: Weir's data segment.
#[cfg(not(test))]
pub static DATA_SELECTOR: u16 = 2 << 3;

/// IA32_SPEC_CTRL and IA32_PRED_CMD, which AMD calls SPEC_CTRL and PRED_CMD.
const SPEC_CTRL: u32 = 0x48;
const PRED_CMD: u32 = 0x49;
/// PRED_CMD: indirect branch prediction barrier.
const IBPB: u64 = 1;
/// IA32_FLUSH_CMD: write back and invalidate the L1D.
const IA32_FLUSH_CMD: u32 = 0x10b;
const L1D_FLUSH: u64 = 1;

/// What a core has settled.
struct Settled {
    measures: Measures,
    guards: Guards,
    guest: GuestControls,
    /// IA32_SPEC_CTRL as last written, outside [`Guards::IBRS`].
    spec_ctrl: AtomicU64,
}

static SETTLED: PerCore<Once<Settled>> = per_core!(Once::new());
/// Since the last entry this core has handled data of other guests than the one that ran.
static FOREIGN: PerCore<AtomicBool> = per_core!(AtomicBool::new(true));
/// Some core needs guest memory in small pages.
static SMALL_PAGES: AtomicBool = AtomicBool::new(false);

/// Decides what this core needs, and sets what is set once; `smt` says that guests share a core's threads. The boot
/// core, which comes first, logs it; others do where they differ. False if another processor had this core's number
/// before, and needed something else.
pub fn settle(smt: bool) -> bool {
    let processor = HostProcessor::read(&ThisProcessor);
    let measures = Measures::new(&processor, smt);
    // SAFETY: bits against flaws of this processor, of registers that it announces or that its model has; none changes
    // what code does.
    unsafe {
        for change in &measures.changes {
            cpu::wrmsr(change.msr, cpu::rdmsr(change.msr) & !change.clear | change.set);
        }
        if measures.has_spec_ctrl {
            cpu::wrmsr(SPEC_CTRL, measures.spec_ctrl);
        }
    }
    SMALL_PAGES.fetch_or(measures.small_pages, Ordering::Relaxed);
    let core = cores::current();
    let boot = SETTLED.of(cores::BOOT_CORE).and_then(Once::get);
    if boot.is_none_or(|boot| boot.measures != measures) {
        log::info!("core {core}: {processor}");
        for line in [true, false].map(|closed| measures.line(closed)).into_iter().flatten() {
            log::info!("core {core}: {line}");
        }
    }
    let settled = SETTLED.here().call_once(|| Settled {
        guards: measures.guards(),
        guest: measures.guest_controls(&processor),
        spec_ctrl: AtomicU64::new(measures.spec_ctrl),
        measures: measures.clone(),
    });
    settled.measures == measures
}

fn settled() -> Option<&'static Settled> {
    SETTLED.here().get()
}

/// What each entry on this core must do.
pub fn here() -> Guards {
    settled().map_or(Guards::empty(), |core| core.guards)
}

/// True when guest memory must be mapped in pages of 4 KiB, on whatever core the guest runs.
pub fn small_pages() -> bool {
    SMALL_PAGES.load(Ordering::Relaxed)
}

/// True when loading x87 state can leave the last guest's error pointers in the processor.
pub fn clears_error_pointers() -> bool {
    settled().is_some_and(|core| core.measures.clear_error_pointers)
}

/// The guards of the next entry, of those that this core has. What comes before the registers are loaded is done here.
pub fn begin(all: Guards) -> Guards {
    let spared = all.intersects(Guards::FOREIGN) && !FOREIGN.here().swap(false, Ordering::Relaxed);
    let guards = if spared { all - Guards::FOREIGN } else { all };
    // SAFETY: the measures contain these for processors only that announce the registers, and neither changes what
    // code does.
    unsafe {
        if guards.contains(Guards::FLUSH_L1D) {
            cpu::wrmsr(IA32_FLUSH_CMD, L1D_FLUSH);
        }
        if guards.contains(Guards::IBRS) {
            cpu::wrmsr(SPEC_CTRL, settled().map_or(0, |core| core.measures.spec_ctrl));
        }
        if guards.contains(Guards::CLEAR_DIVIDER) {
            core::arch::asm!("div {:e}", in(reg) 1, inout("eax") 0 => _, inout("edx") 0 => _);
        }
    }
    guards
}

/// The core handles data of other guests than the one that runs.
pub fn note_foreign() {
    FOREIGN.here().store(true, Ordering::Relaxed);
}

/// The core goes to another guest: that must not be led by what the last one has taught the predictors.
pub fn another_guest() {
    note_foreign();
    if settled().is_some_and(|core| core.measures.barrier_at_switch) {
        // SAFETY: the processor announces the register; the barrier changes nothing but speed, and neither do calls.
        #[cfg(not(test))]
        unsafe {
            cpu::wrmsr(PRED_CMD, IBPB);
            // Not every IBPB clears the predictor of return addresses.
            core::arch::asm!(fill_return_stack!(), out("ecx") _);
        }
    }
}

/// Sets what the guest that is about to run, or runs, has in IA32_SPEC_CTRL: its bits are added to Weir's, and stay set
/// while Weir runs, which then is at most slower.
pub fn set_guest_spec_ctrl(value: u64) {
    let Some(core) = settled() else { return };
    let value = core.measures.spec_ctrl | value & core.measures.guest_spec_ctrl;
    if core.spec_ctrl.swap(value, Ordering::Relaxed) != value {
        // SAFETY: the guest's bits are among those that the processor announces.
        unsafe { cpu::wrmsr(SPEC_CTRL, value) }
    }
}

/// What guests may know of the speculation controls, as the boot core has settled.
pub fn guest_controls() -> GuestControls {
    SETTLED.of(cores::BOOT_CORE).and_then(Once::get).map_or_else(GuestControls::default, |boot| boot.guest)
}
