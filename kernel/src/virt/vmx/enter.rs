//! The world switch itself.

use super::exit::ENTRY_FAILURE;
use crate::virt::GeneralRegisters;
#[cfg(not(test))]
use crate::virt::guards;
use silicon::measures::Guards;

/// Whether the VMCS has been entered since it was last cleared.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// VMLAUNCH.
    First = 0,
    /// VMRESUME.
    Again = 1,
}

impl Launch {
    /// What enters the VMCS after an exit with this reason. An entry that fails while guest state is loaded leaves the
    /// launch state "clear" [SDM3C 27.8].
    pub fn after(self, reason: u32) -> Self {
        if reason & ENTRY_FAILURE == 0 { Self::Again } else { self }
    }
}

/// The world switch; the arguments are what the guarded one does in addition: push and pop the guards, look at them
/// before they are overwritten, clear buffers last, and put the predictors right before the first return.
#[cfg(not(test))]
macro_rules! world_switch {
    ($push:literal, $look:literal, $clear:literal, $settle:expr, $pop:literal $(, { $($operands:tt)* })?) => {
        // HOST_RSP and HOST_RIP are written here, where they are known, and only when they change: under a hypervisor
        // that shadows the VMCS, each write may be an exit to it. The slot of RSP, which the guest's registers leave
        // free, has the stack pointer that was written last. The kernel has no extended state to save.
        core::arch::naked_asm!(
            "push rbp; push rbx; push r12; push r13; push r14; push r15",
            $push,
            "push rdi",
            "cmp rsp, [rdi + 32]",
            "je 6f",
            "mov [rdi + 32], rsp",
            "mov eax, 0x6c14", // HOST_RSP
            "vmwrite rax, rsp",
            "lea rax, [rip + 2f]",
            "mov ecx, 0x6c16", // HOST_RIP
            "vmwrite rcx, rax",
            "6:",
            // BT leaves ZF, which the guards are in, as it is, and so do the loads [SDM2A BT].
            $look,
            "bt esi, 0",
            "mov rax, [rdi]; mov rcx, [rdi + 8]; mov rdx, [rdi + 16]; mov rbx, [rdi + 24]",
            "mov rbp, [rdi + 40]; mov rsi, [rdi + 48]; mov r8, [rdi + 64]; mov r9, [rdi + 72]",
            "mov r10, [rdi + 80]; mov r11, [rdi + 88]; mov r12, [rdi + 96]; mov r13, [rdi + 104]",
            "mov r14, [rdi + 112]; mov r15, [rdi + 120]; mov rdi, [rdi + 56]",
            $clear,
            "jc 3f",
            "vmlaunch",
            "jmp 4f",
            "3:",
            "vmresume",
            "4:",
            "mov eax, 1",
            "jmp 5f",
            // Exits arrive here with HOST_RSP loaded: the pointer to the registers is on top of the stack.
            "2:",
            "push rdi",
            "mov rdi, [rsp + 8]",
            "mov [rdi], rax; mov [rdi + 8], rcx; mov [rdi + 16], rdx; mov [rdi + 24], rbx",
            "mov [rdi + 40], rbp; mov [rdi + 48], rsi",
            "pop qword ptr [rdi + 56]",
            "mov [rdi + 64], r8; mov [rdi + 72], r9; mov [rdi + 80], r10; mov [rdi + 88], r11",
            "mov [rdi + 96], r12; mov [rdi + 104], r13; mov [rdi + 112], r14; mov [rdi + 120], r15",
            $settle,
            "xor eax, eax",
            "5:",
            "pop rdi",
            $pop,
            "pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp",
            "ret",
            $($($operands)*)?
        )
    };
}

/// Enters the guest of the current VMCS with these registers. Returns 0 after the guest's exit, 1 when the entry
/// failed.
///
/// # Safety
/// The current VMCS must describe this processor's host state, and its controls must confine the guest.
#[cfg(not(test))]
#[unsafe(naked)]
pub unsafe extern "C" fn enter(registers: *mut GeneralRegisters, launch: Launch) -> u64 {
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
    launch: Launch,
    guards: Guards,
) -> u64 {
    world_switch!(
        "push rdx",
        "test dl, {clear}",
        // VERW changes ZF only [SDM2B VERR/VERW]. Its operand in memory is what clears buffers.
        "jz 7f; verw word ptr [rip + {data}]; 7:",
        guards::settle_predictors!(),
        "pop rdx",
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
pub unsafe extern "C" fn enter(_: *mut GeneralRegisters, _: Launch) -> u64 {
    1
}

/// On the host there is nothing to enter.
///
/// # Safety
/// As for [`enter`].
#[cfg(test)]
pub unsafe extern "C" fn enter_guarded(_: *mut GeneralRegisters, _: Launch, _: Guards) -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_entry_that_fails_is_still_to_be_made() {
        assert_eq!(Launch::First.after(ENTRY_FAILURE | 33), Launch::First);
        assert_eq!(Launch::Again.after(ENTRY_FAILURE | 33), Launch::Again);
        assert_eq!(Launch::First.after(48), Launch::Again);
    }
}
