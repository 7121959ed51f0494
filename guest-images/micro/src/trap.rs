//! Interrupts and exceptions: an IDT whose entries all call one Rust function.
//!
//! An exception inside [`probe!`](crate::probe) is recorded, and the program continues after the probed
//! instruction; any other exception is a `FAIL`. For an interrupt, its counter is incremented, its hook is called,
//! and its end is signalled.

use crate::{apic, boot, line, pic};
use core::arch::asm;
#[cfg(target_os = "none")]
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// First vector of the interrupts; lower vectors are exceptions [SDM3A 6.3.1].
const FIRST_INTERRUPT: u64 = 32;
/// Vector of the local APIC's spurious interrupts, which need no end-of-interrupt [SDM3A 11.9].
pub const SPURIOUS: u8 = 0xff;

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .section .text
    .balign 16
    trap_entries:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0                        # in place of the error code
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    call micro_trap
    mov %rbp, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq
    "#,
    options(att_syntax)
);

/// The stack as `trap_common` leaves it, from its top down to what the processor pushed.
#[repr(C)]
pub struct Frame {
    registers: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// An exception that a probed instruction raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Its vector.
    pub vector: u64,
    /// Its error code; zero where it has none.
    pub error: u64,
    /// CR2 at that time: the faulting address of a #PF.
    pub cr2: u64,
    /// The instruction pointer that the processor pushed.
    pub rip: u64,
    /// The flags that it pushed.
    pub rflags: u64,
    /// The instruction pointer was that behind the probed instruction.
    pub behind: bool,
}

/// RFLAGS.TF.
const SINGLE_STEP: u64 = 1 << 8;
/// Vector of #DB.
const DEBUG: u64 = 1;
/// Vector of NMIs.
pub const NMI: u8 = 2;

/// Address at which the program continues after an exception in a probe; zero outside probes. Written by
/// [`crate::probe!`].
#[doc(hidden)]
pub static RESUME: AtomicU64 = AtomicU64::new(0);
static TRAPPED: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
const NO_TRAP: u64 = u64::MAX;

static COUNTS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
static HOOKS: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];
static RSDP: AtomicU64 = AtomicU64::new(0);

#[cfg(target_os = "none")]
#[repr(C, align(16))]
struct Idt(UnsafeCell<[[u64; 2]; 256]>);
#[cfg(target_os = "none")]
// SAFETY: written once, before interrupts are enabled, on the only processor.
unsafe impl Sync for Idt {}
#[cfg(target_os = "none")]
static IDT: Idt = Idt(UnsafeCell::new([[0; 2]; 256]));

/// Stores the ACPI root pointer, which a guest that fails needs for its power-off.
pub fn set_rsdp(rsdp: Option<u64>) {
    RSDP.store(rsdp.unwrap_or(0), Relaxed);
}

/// The address given to [`set_rsdp`].
#[must_use]
pub fn rsdp() -> Option<u64> {
    Some(RSDP.load(Relaxed)).filter(|&address| address != 0)
}

/// The number of interrupts with this vector.
#[must_use]
pub fn count(vector: u8) -> u32 {
    COUNTS[usize::from(vector)].load(Relaxed)
}

/// Sets the hook that is called at each interrupt with this vector, before the end of the interrupt is signalled. An NMI
/// without a hook is a `FAIL`.
pub fn set_hook(vector: u8, hook: fn()) {
    HOOKS[usize::from(vector)].store(hook as usize, Relaxed);
}

/// Loads an interrupt descriptor table.
///
/// # Safety
/// `base` stays valid, or the next trap is meant to end the guest.
pub unsafe fn load_idt(base: u64, limit: u16) {
    let mut pointer = [0; 10];
    pointer[..2].copy_from_slice(&limit.to_le_bytes());
    pointer[2..].copy_from_slice(&base.to_le_bytes());
    // SAFETY: the caller guarantees that the table is valid.
    unsafe { asm!("lidt [{}]", in(reg) pointer.as_ptr(), options(nostack, preserves_flags)) }
}

/// Builds and loads the table [SDM3A 6.14.1].
#[cfg(target_os = "none")]
pub fn start() {
    unsafe extern "C" {
        static trap_entries: u8;
    }
    // SAFETY: only the address of the symbol is taken, and the table is written before it is loaded.
    unsafe {
        let entries = &raw const trap_entries as u64;
        let table = &mut *IDT.0.get();
        for (vector, gate) in (0..).zip(table.iter_mut()) {
            let entry = entries + 16 * vector;
            // Interrupt gate, present, selector 0x10.
            *gate =
                [(entry & 0xffff) | 0x10 << 16 | 0x8e00 << 32 | (entry >> 16 & 0xffff) << 48, entry >> 32];
        }
        load_idt(table.as_ptr() as u64, 4095);
    }
}

/// Does nothing: a build for the host has no table to load.
#[cfg(not(target_os = "none"))]
pub fn start() {}

/// Called by `trap_common`.
#[unsafe(no_mangle)]
extern "C" fn micro_trap(frame: &mut Frame) {
    let [vector, ..] = frame.vector.to_le_bytes();
    if frame.vector >= FIRST_INTERRUPT || vector == NMI && HOOKS[usize::from(NMI)].load(Relaxed) != 0 {
        interrupt(vector);
        return;
    }
    let cr2: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) cr2, options(nomem, nostack, preserves_flags)) }
    let resume = RESUME.swap(0, Relaxed);
    if resume == 0 {
        line!("FAIL exception {} error {:#x} cr2 {cr2:#x} at {:#x}", frame.vector, frame.error, frame.rip);
        boot::stop(rsdp());
    }
    let behind = u64::from(frame.rip == resume);
    let trapped = [frame.vector, frame.error, cr2, frame.rip, frame.rflags, behind];
    for (slot, value) in TRAPPED.iter().zip(trapped) {
        slot.store(value, Relaxed);
    }
    if frame.vector == DEBUG {
        frame.rflags &= !SINGLE_STEP;
    }
    frame.rip = resume;
}

fn interrupt(vector: u8) {
    COUNTS[usize::from(vector)].fetch_add(1, Relaxed);
    let hook = HOOKS[usize::from(vector)].load(Relaxed);
    if hook != 0 {
        // SAFETY: only `set_hook` stores values here, and it stores a `fn()`.
        let hook: fn() = unsafe { core::mem::transmute(hook) };
        hook();
    }
    if pic::is_mine(vector) {
        pic::end(vector);
    } else if vector != SPURIOUS && vector != NMI {
        apic::end_of_interrupt();
    }
}

/// Clears the recorded exception; called by [`crate::probe!`] before the instruction.
#[doc(hidden)]
pub fn arm() {
    TRAPPED[0].store(NO_TRAP, Relaxed);
}

/// Returns the exception since [`arm`]; called by [`crate::probe!`] after the instruction.
#[doc(hidden)]
#[must_use]
pub fn taken() -> Option<Trap> {
    RESUME.store(0, Relaxed);
    let [vector, error, cr2, rip, rflags, behind] = TRAPPED.each_ref().map(|slot| slot.load(Relaxed));
    (vector != NO_TRAP).then_some(Trap { vector, error, cr2, rip, rflags, behind: behind != 0 })
}

/// Runs one instruction and returns the exception that it raised, if any: `probe!("ud2")`,
/// `probe!("rdmsr", in("ecx") 7, out("eax") _, out("edx") _)`. Operands in braces must be named.
#[macro_export]
macro_rules! probe {
    ($instruction:literal $(, $($operands:tt)*)?) => {{
        $crate::trap::arm();
        // SAFETY: after a fault the program continues behind the instruction, with all registers unchanged.
        unsafe {
            core::arch::asm!(
                "lea {resume}, [rip + 2f]",
                "mov [rip + {slot}], {resume}",
                $instruction,
                "2:",
                resume = out(reg) _,
                slot = sym $crate::trap::RESUME,
                $($($operands)*)?
            );
        }
        $crate::trap::taken()
    }};
}
