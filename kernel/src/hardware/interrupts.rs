//! IDT and the 256 entries behind it. Exceptions are fatal; interrupts are only noted here, and worked on
//! by the main loop.

use super::cores::{self, PerCore, per_core};
use super::{descriptors, interrupt_controllers, io_apic};
use crate::panic;
use config::MAX_NICS;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::structures::idt::InterruptDescriptorTable;

/// First vector that is not an exception [SDM3A 7.2].
pub const FIRST_INTERRUPT: u8 = 32;
/// Ends an idle processor's wait, or a guest's run, when the next deadline is due. Nothing else comes of it.
pub const TIMER_VECTOR: u8 = 0x40;
/// The serial port has a byte.
pub const SERIAL_VECTOR: u8 = 0x41;
/// Another core has left something for this one.
pub const WAKE_VECTOR: u8 = 0x42;
/// First of the vectors that physical NICs raise by messages, in the order of their discovery.
pub const NIC_VECTOR: u8 = 0x50;
/// First of the vectors that physical NICs raise by their lines.
pub const LINE_VECTOR: u8 = NIC_VECTOR + MAX_NICS as u8;
/// Spurious interrupts of the local APIC; low four bits set, as older ones demand [SDM3A 11.9].
pub const SPURIOUS_VECTOR: u8 = 0xff;

const NMI: u64 = 2;

/// What the entry code leaves on the stack.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Frame {
    /// r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax.
    pub general: [u64; 15],
    /// Which exception or interrupt.
    pub vector: u64,
    /// Its error code, or zero.
    pub error: u64,
    /// Where it struck.
    pub rip: u64,
    /// Code segment there.
    pub cs: u64,
    /// Flags there.
    pub rflags: u64,
    /// Stack pointer there.
    pub rsp: u64,
    /// Stack segment there.
    pub ss: u64,
}

/// One bit a vector: interrupts that have arrived at this core and wait to be worked on.
static PENDING: PerCore<[AtomicU32; 8]> = per_core!([const { AtomicU32::new(0) }; 8]);
/// All interrupts that this core has taken.
static TAKEN: PerCore<AtomicU64> = per_core!(AtomicU64::new(0));
static NMIS: PerCore<AtomicU32> = per_core!(AtomicU32::new(0));
static IDT: Once<InterruptDescriptorTable> = Once::new();

#[cfg(not(test))]
core::arch::global_asm!(
    // 256 entries of 16 bytes: an error code where the processor pushes none [SDM3A 7.15], the vector, on.
    ".align 16",
    ".globl weir_interrupt_entries",
    "weir_interrupt_entries:",
    ".set vector, 0",
    ".rept 256",
    "  .align 16",
    "  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30",
    "  .else",
    "  push 0",
    "  .endif",
    "  push vector",
    "  jmp weir_interrupt_common",
    "  .set vector, vector + 1",
    ".endr",
    "weir_interrupt_common:",
    "  push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp",
    "  push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15",
    "  cld",
    "  mov rdi, rsp",
    "  mov rbp, rsp",
    "  and rsp, -16",
    "  call {handler}",
    "  mov rsp, rbp",
    "  pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8",
    "  pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax",
    "  add rsp, 16",
    "  iretq",
    handler = sym handle,
);

#[cfg(not(test))]
unsafe extern "C" {
    static weir_interrupt_entries: [[u8; 16]; 256];
}

/// Loads the IDT on this processor.
#[cfg(not(test))]
pub fn load() {
    let idt = IDT.call_once(|| {
        let mut idt = InterruptDescriptorTable::new();
        let entry = |vector: usize| {
            // SAFETY: only the address of the entry is taken.
            VirtAddr::from_ptr(unsafe { &raw const weir_interrupt_entries[vector] })
        };
        // SAFETY: every entry saves what it uses and ends in IRETQ; the stacks exist in the TSS.
        unsafe {
            idt.divide_error.set_handler_addr(entry(0));
            idt.debug.set_handler_addr(entry(1));
            idt.non_maskable_interrupt
                .set_handler_addr(entry(2))
                .set_stack_index(descriptors::NMI_STACK.into());
            idt.breakpoint.set_handler_addr(entry(3));
            idt.overflow.set_handler_addr(entry(4));
            idt.bound_range_exceeded.set_handler_addr(entry(5));
            idt.invalid_opcode.set_handler_addr(entry(6));
            idt.device_not_available.set_handler_addr(entry(7));
            idt.double_fault
                .set_handler_addr(entry(8))
                .set_stack_index(descriptors::DOUBLE_FAULT_STACK.into());
            idt.invalid_tss.set_handler_addr(entry(10));
            idt.segment_not_present.set_handler_addr(entry(11));
            idt.stack_segment_fault.set_handler_addr(entry(12));
            idt.general_protection_fault.set_handler_addr(entry(13));
            idt.page_fault.set_handler_addr(entry(14));
            idt.x87_floating_point.set_handler_addr(entry(16));
            idt.alignment_check.set_handler_addr(entry(17));
            idt.machine_check
                .set_handler_addr(entry(18))
                .set_stack_index(descriptors::MACHINE_CHECK_STACK.into());
            idt.simd_floating_point.set_handler_addr(entry(19));
            for vector in FIRST_INTERRUPT..=255 {
                idt[vector].set_handler_addr(entry(vector.into()));
            }
        }
        idt
    });
    idt.load();
    // SAFETY: machine checks now come to their gate instead of shutting the processor down.
    unsafe { Cr4::update(|cr4| cr4.insert(Cr4Flags::MACHINE_CHECK_EXCEPTION)) }
}

#[cfg_attr(test, expect(dead_code, reason = "called by the entry code, which is the target's"))]
extern "C" fn handle(frame: &Frame) {
    match frame.vector {
        NMI => note_nmi(),
        vector if vector < u64::from(FIRST_INTERRUPT) => panic::exception(frame),
        vector => note(vector as u8),
    }
}

/// Notes an NMI: a guest has no part in it, and nothing is lost by looking at it later.
///
/// Unless another core is panicking: its NMI ends this one.
pub fn note_nmi() {
    panic::halt_if_elsewhere();
    NMIS.here().fetch_add(1, Ordering::Relaxed);
}

/// Takes the count of NMIs since the last call.
pub fn take_nmis() -> u32 {
    NMIS.here().swap(0, Ordering::Relaxed)
}

/// Notes an interrupt as arrived and tells the local APIC. Also called for those that ended a guest's run,
/// which the processor has acknowledged already.
pub fn note(vector: u8) {
    if vector == SPURIOUS_VECTOR {
        return; // not acknowledged [SDM3A 11.9]
    }
    TAKEN.here().fetch_add(1, Ordering::Relaxed);
    if vector == TIMER_VECTOR {
        interrupt_controllers::timer_expired();
    } else {
        if (LINE_VECTOR..LINE_VECTOR + MAX_NICS as u8).contains(&vector) {
            io_apic::hold(vector);
        }
        PENDING.here()[usize::from(vector / 32)].fetch_or(1 << (vector % 32), Ordering::Relaxed);
    }
    interrupt_controllers::end_of_interrupt();
}

/// How many interrupts the cores have taken, NMIs left out.
pub fn taken() -> u64 {
    (0..cores::count()).filter_map(|core| TAKEN.of(core)).map(|taken| taken.load(Ordering::Relaxed)).sum()
}

/// Takes note of `vector` back: true when it had arrived.
pub fn take(vector: u8) -> bool {
    let word = &PENDING.here()[usize::from(vector / 32)];
    let bit = 1 << (vector % 32);
    // A plain load first: this is asked at every exit, and nearly always answered no.
    word.load(Ordering::Relaxed) & bit != 0 && word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
}
