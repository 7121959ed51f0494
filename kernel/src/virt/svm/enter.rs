//! The world switch itself.

use crate::virt::GeneralRegisters;

/// Enters the guest of the VMCB at `guest` with these registers (RAX and RSP are in the VMCB), and returns
/// after its exit. `host` is the VMCB in which Weir's own segments and system-call MSRs are saved.
///
/// Hardware interrupts end the guest's run and stay pending: the global interrupt flag is clear from CLGI to
/// STGI, and RFLAGS.IF, which masks physical interrupts while the guest runs, is set during that time
/// [APM2 15.13.1, 15.17].
///
/// # Safety
/// Both must be VMCBs of this processor, and the guest's VMCB must confine the guest.
#[cfg(not(test))]
#[unsafe(naked)]
pub unsafe extern "C" fn enter(registers: *mut GeneralRegisters, guest: u64, host: u64) {
    core::arch::naked_asm!(
        "push rbp; push rbx; push r12; push r13; push r14; push r15; push rdx; push rdi",
        "mov rax, rsi",
        "clgi",
        "sti",
        "vmload rax",
        "mov rcx, [rdi + 8]",
        "mov rdx, [rdi + 16]",
        "mov rbx, [rdi + 24]",
        "mov rbp, [rdi + 40]",
        "mov rsi, [rdi + 48]",
        "mov r8, [rdi + 64]",
        "mov r9, [rdi + 72]",
        "mov r10, [rdi + 80]",
        "mov r11, [rdi + 88]",
        "mov r12, [rdi + 96]",
        "mov r13, [rdi + 104]",
        "mov r14, [rdi + 112]",
        "mov r15, [rdi + 120]",
        "mov rdi, [rdi + 56]",
        "vmrun rax",
        // VMRUN has restored Weir's RAX and RSP.
        "vmsave rax",
        "mov rax, rdi",
        "pop rdi",
        "mov [rdi + 8], rcx",
        "mov [rdi + 16], rdx",
        "mov [rdi + 24], rbx",
        "mov [rdi + 40], rbp",
        "mov [rdi + 48], rsi",
        "mov [rdi + 56], rax",
        "mov [rdi + 64], r8",
        "mov [rdi + 72], r9",
        "mov [rdi + 80], r10",
        "mov [rdi + 88], r11",
        "mov [rdi + 96], r12",
        "mov [rdi + 104], r13",
        "mov [rdi + 112], r14",
        "mov [rdi + 120], r15",
        "pop rax",
        "vmload rax",
        "cli",
        "stgi",
        "pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp",
        "ret",
    )
}

/// On the host there is nothing to enter.
///
/// # Safety
/// No requirements; `unsafe` only matches the signature on the target.
#[cfg(test)]
pub unsafe extern "C" fn enter(_: *mut GeneralRegisters, _: u64, _: u64) {}
