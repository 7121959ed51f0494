//! The IDT and the 256 entry points behind it. An exception in Weir's own code is fatal. An interrupt is only
//! recorded as pending, for the main loop.

use super::pending;
use super::vectors::FIRST_INTERRUPT;
use crate::hardware::machine_check;
use crate::processor::{cpu, descriptors};
use base::bits::low_u8;
use silicon::machine_check::{Consequence, Interrupted};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::structures::idt::InterruptDescriptorTable;

const NMI: u64 = 2;
const MACHINE_CHECK: u64 = 18;
/// No exception has this vector [SDM3A 6.3.1]: it is where the gate for machine checks of processors that sleep leads.
const ASLEEP: u64 = 15;

/// What the entry code leaves on the stack.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct InterruptFrame {
    /// r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax.
    pub general: [u64; 15],
    /// Vector of the exception or interrupt.
    pub vector: u64,
    /// Its error code, or zero.
    pub error: u64,
    /// Instruction pointer of the interrupted code.
    pub rip: u64,
    /// Its code segment.
    pub cs: u64,
    /// Its flags.
    pub rflags: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// Its stack segment.
    pub ss: u64,
}

/// That of cores, and that of processors that only sleep: these have no TSS, so what interrupts them uses the stack they
/// sleep on.
static IDTS: Once<[InterruptDescriptorTable; 2]> = Once::new();
/// Reports an exception in Weir's own code.
static REPORT: Once<ExceptionReport> = Once::new();

/// A report of an exception in Weir's own code, which ends Weir.
pub type ExceptionReport = fn(&InterruptFrame) -> !;

/// Sets the function that reports an exception in Weir's own code. Call it before [`load`].
pub fn report_exceptions_with(report: ExceptionReport) {
    REPORT.call_once(|| report);
}

#[cfg(not(test))]
core::arch::global_asm!(
    // 256 entries of 16 bytes: push an error code if the processor pushes none [SDM3A 7.15], push the vector,
    // jump.
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

/// Loads the IDT on this processor, which is a core or only `asleep`.
#[cfg(not(test))]
pub fn load(asleep: bool) {
    let idts = IDTS.call_once(|| {
        let (mut idt, mut sleepers) = (InterruptDescriptorTable::new(), InterruptDescriptorTable::new());
        let entry = |vector: usize| {
            // SAFETY: only the address of the entry is taken, nothing is read.
            VirtAddr::from_ptr(unsafe { &raw const weir_interrupt_entries[vector] })
        };
        // SAFETY: every entry saves what it uses and ends in IRETQ; the stacks exist in the TSS of each core.
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
            sleepers.non_maskable_interrupt.set_handler_addr(entry(2));
            sleepers.machine_check.set_handler_addr(entry(15));
            for vector in FIRST_INTERRUPT..=255 {
                idt[vector].set_handler_addr(entry(vector.into()));
            }
        }
        [idt, sleepers]
    });
    idts[usize::from(asleep)].load();
    // SAFETY: the IDT has a gate for machine checks; without this bit they would shut the processor down.
    unsafe { Cr4::update(|cr4| cr4.insert(Cr4Flags::MACHINE_CHECK_EXCEPTION)) }
}

#[cfg_attr(test, expect(dead_code, reason = "called by the entry code, which is the target's"))]
extern "C" fn handle(frame: &InterruptFrame) {
    match frame.vector {
        NMI => pending::note_nmi(),
        // Another core's, or of data that nobody has used.
        MACHINE_CHECK if machine_check::take(Interrupted::Weir) == Consequence::GoOn => {}
        // It cannot end Weir by itself: the boot core, whose number it has, does when it finds the report.
        ASLEEP => _ = machine_check::take(Interrupted::Parked),
        vector if vector < u64::from(FIRST_INTERRUPT) => match REPORT.get() {
            Some(report) => report(frame),
            None => cpu::halt_forever(),
        },
        vector => pending::note(low_u8(vector)),
    }
}
