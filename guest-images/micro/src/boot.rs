//! From the first instruction to `main`.
//!
//! There are two entry points. Weir uses the 64-bit Linux boot protocol [Linux boot protocol, 64-bit]: long mode,
//! the first 4 GiB identity-mapped, `RSI` pointing to `boot_params`. Plain QEMU uses PVH: 32-bit protected mode
//! without paging, `EBX` pointing to `hvm_start_info` [PVH, x86/HVM direct boot ABI].

use crate::command_line::CommandLine;
use crate::{Verdict, acpi, console, line, mmio, processor, trap};

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                  # name size, value size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

    .section .bss.boot, "aw", @nobits
    .balign 4096
    pml4:  .skip 4096
    pdpt:  .skip 4096
    directories: .skip 4 * 4096
    stack: .skip 65536
    stack_top:

    .section .rodata.boot, "a"
    .balign 8
    gdt:
    .quad 0, 0                      # selectors 0x10 and 0x18, as in the Linux boot protocol
    .quad 0x00af9b000000ffff        # 64-bit code
    .quad 0x00cf93000000ffff        # data
    gdt_pointer:
    .word gdt_pointer - gdt - 1
    .quad gdt

    .section .text.boot, "ax"
    .code32
    pvh_start:
    cld
    mov $directories, %edi          # 4 GiB of 2 MiB pages, present and writable
    mov $0x83, %eax
    mov $2048, %ecx
    1:
    mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    dec %ecx
    jnz 1b
    mov $pdpt, %edi
    mov $directories + 3, %eax
    mov $4, %ecx
    2:
    mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    dec %ecx
    jnz 2b
    movl $pdpt + 3, pml4
    mov %cr4, %eax
    or $0x20, %eax                  # CR4.PAE
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx           # IA32_EFER.LME
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax            # CR0.PG, CR0.PE
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $0x10, $pvh_long

    .code64
    pvh_long:
    mov %ebx, %esi
    mov $1, %edi
    jmp enter

    .globl _start
    _start:
    cli
    cld
    xor %edi, %edi
    enter:
    lea stack_top(%rip), %rsp
    lgdt gdt_pointer(%rip)
    mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    pushq $0x10
    lea 3f(%rip), %rax
    push %rax
    lretq
    3:
    xor %ebp, %ebp
    call micro_start
    "#,
    options(att_syntax)
);

/// Protocol number that the entry code passes for PVH; 0 is the Linux boot protocol.
const PVH: u64 = 1;

/// Maximum number of memory ranges that are examined.
const MAX_RANGES: u64 = 128;
/// Type of a usable range, the same in the E820 map and in PVH's map.
const USABLE: u32 = 1;

/// Boot information that the guest was started with.
pub struct Boot {
    /// The guest's command line.
    pub command_line: CommandLine,
    /// Address of the ACPI root pointer, if one was found.
    pub rsdp: Option<u64>,
    /// End of the memory below 4 GiB.
    pub memory_end: u64,
}

impl Boot {
    /// Reads `boot_params`: acpi_rsdp_addr at 0x70, e820_entries at 0x1e8, cmd_line_ptr at 0x228, e820_table at
    /// 0x2d0 [Linux boot protocol, zero page].
    fn from_linux(info: u64) -> Self {
        let entries = u64::from(mmio::read_byte(info + 0x1e8));
        Self {
            command_line: CommandLine::read(mmio::read_dword(info + 0x228).into()),
            rsdp: acpi::root_pointer(mmio::read_qword(info + 0x70)),
            memory_end: memory_end((0..entries.min(MAX_RANGES)).map(|index| {
                let entry = info + 0x2d0 + 20 * index;
                (mmio::read_qword(entry), mmio::read_qword(entry + 8), mmio::read_dword(entry + 16))
            })),
        }
    }

    /// Reads `hvm_start_info`: cmdline_paddr at 24, rsdp_paddr at 32, memmap_paddr at 40, memmap_entries at 48.
    fn from_pvh(info: u64) -> Self {
        let table = mmio::read_qword(info + 40);
        let entries = u64::from(mmio::read_dword(info + 48));
        Self {
            command_line: CommandLine::read(mmio::read_qword(info + 24)),
            rsdp: acpi::root_pointer(mmio::read_qword(info + 32)),
            memory_end: memory_end((0..entries.min(MAX_RANGES)).map(|index| {
                let entry = table + 24 * index;
                (mmio::read_qword(entry), mmio::read_qword(entry + 8), mmio::read_dword(entry + 16))
            })),
        }
    }
}

/// Returns the end of the highest usable range below 4 GiB; ranges are given as start, length and type.
fn memory_end(ranges: impl Iterator<Item = (u64, u64, u32)>) -> u64 {
    ranges
        .filter(|&(_, _, kind)| kind == USABLE)
        .filter_map(|(start, length, _)| start.checked_add(length))
        .filter(|&end| end <= 1 << 32)
        .max()
        .unwrap_or(0)
}

/// Runs `main`, prints the verdict, and powers the machine off. Called only by [`crate::guest!`].
pub fn run(name: &'static str, protocol: u64, info: u64, main: fn(&Boot) -> Verdict) -> ! {
    console::start();
    trap::start();
    let boot = if protocol == PVH { Boot::from_pvh(info) } else { Boot::from_linux(info) };
    trap::set_rsdp(boot.rsdp);
    line!("START {name}");
    if boot.command_line.value("start") == Some("key") {
        console::wait_for_key();
    }
    if main(&boot).is_ok() {
        line!("PASS {name}");
    }
    stop(boot.rsdp)
}

/// Powers the machine off, and halts for ever if that fails.
pub fn stop(rsdp: Option<u64>) -> ! {
    console::drain();
    if let Err(reason) = acpi::power_off(rsdp) {
        line!("FAIL power-off: {reason}");
    }
    loop {
        processor::halt_for_good();
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    line!("FAIL panic: {info}");
    stop(trap::rsdp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ends_at_the_highest_usable_range_below_four_gigabytes() {
        let ranges =
            [(0, 0x9fc00, 1), (0x10_0000, 0x3ff0_0000, 1), (0xfec0_0000, 0x1000, 2), (1 << 32, 1 << 30, 1)];
        assert_eq!(memory_end(ranges.into_iter()), 0x4000_0000);
    }

    #[test]
    fn a_range_that_wraps_around_is_ignored() {
        assert_eq!(memory_end([(u64::MAX, 2, 1)].into_iter()), 0);
    }
}
