//! The world switch itself.

use crate::virt::GeneralRegisters;
#[cfg(not(test))]
use crate::virt::guards;
use silicon::measures::Guards;

/// The world switch; the arguments are what the guarded one does in addition: push and pop the guards, look at them
/// before they are overwritten, clear buffers last, and put the predictors right before the first return and before an
/// NMI can arrive.
#[cfg(not(test))]
macro_rules! world_switch {
    ($push:literal, $look:literal, $clear:literal, $settle:expr, $pop:literal $(, { $($operands:tt)* })?) => {
        core::arch::naked_asm!(
            "push rbp; push rbx; push r12; push r13; push r14; push r15",
            $push,
            "push rdx; push rdi",
            "mov rax, rsi",
            // What follows leaves ZF, which the guards are in, as it is.
            $look,
            "clgi",
            "sti",
            "vmload rax",
            "mov rcx, [rdi + 8]; mov rdx, [rdi + 16]; mov rbx, [rdi + 24]; mov rbp, [rdi + 40]",
            "mov rsi, [rdi + 48]; mov r8, [rdi + 64]; mov r9, [rdi + 72]; mov r10, [rdi + 80]",
            "mov r11, [rdi + 88]; mov r12, [rdi + 96]; mov r13, [rdi + 104]; mov r14, [rdi + 112]",
            "mov r15, [rdi + 120]; mov rdi, [rdi + 56]",
            $clear,
            "vmrun rax",
            // VMRUN has restored Weir's RAX and RSP.
            "vmsave rax",
            "mov rax, rdi",
            "pop rdi",
            "mov [rdi + 8], rcx; mov [rdi + 16], rdx; mov [rdi + 24], rbx; mov [rdi + 40], rbp",
            "mov [rdi + 48], rsi; mov [rdi + 56], rax; mov [rdi + 64], r8; mov [rdi + 72], r9",
            "mov [rdi + 80], r10; mov [rdi + 88], r11; mov [rdi + 96], r12; mov [rdi + 104], r13",
            "mov [rdi + 112], r14; mov [rdi + 120], r15",
            $settle,
            "pop rax",
            $pop,
            "vmload rax",
            "cli",
            "stgi",
            "pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp",
            "ret",
            $($($operands)*)?
        )
    };
}

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
    world_switch!("", "", "", "", "")
}

/// The same on a processor whose flaws demand more.
///
/// # Safety
/// As for [`enter`]; the processor must announce the registers that `guards` write.
#[cfg(not(test))]
#[unsafe(naked)]
pub unsafe extern "C" fn enter_guarded(
    registers: *mut GeneralRegisters,
    guest: u64,
    host: u64,
    guards: Guards,
) {
    world_switch!(
        "push rcx",
        "test cl, {clear}",
        // VERW changes ZF only [APM3 VERW]. Its operand in memory is what clears buffers.
        "jz 7f; verw word ptr [rip + {data}]; 7:",
        guards::settle_predictors!(),
        "pop rcx",
        {
            clear = const Guards::CLEAR_BUFFERS.bits(),
            data = sym guards::DATA_SELECTOR,
            ibrs = const Guards::IBRS.bits(),
            barrier = const Guards::BARRIER.bits(),
            fill = const Guards::FILL_RETURN_STACK.bits(),
            one_call = const Guards::ONE_CALL.bits(),
        }
    )
}

/// On the host there is nothing to enter.
///
/// # Safety
/// No requirements; `unsafe` only matches the signature on the target.
#[cfg(test)]
pub unsafe extern "C" fn enter(_: *mut GeneralRegisters, _: u64, _: u64) {}

/// On the host there is nothing to enter.
///
/// # Safety
/// As for [`enter`].
#[cfg(test)]
pub unsafe extern "C" fn enter_guarded(_: *mut GeneralRegisters, _: u64, _: u64, _: Guards) {}
