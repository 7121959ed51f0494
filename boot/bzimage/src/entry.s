// The entry of the 32-bit boot protocol [Linux boot protocol, 32-bit Boot Protocol]: flat x86 segments, paging off, the zero page
// in ESI. Makes identity tables for 4 GiB, and goes on in 64-bit mode [SDM3A 10.8.5].
.section .entry,"ax",@progbits
.code32
.globl entry
entry:
    jmp 1f
.balign 16
.globl weir_parts
weir_parts:
    .ascii "WEIRPART"
    .quad 0, 0, 0, 0                // by `boot image`: kernel and bundle, each with address and size
1:  cli
    cld
    mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $stack_end, %esp
    mov $tables + 0x2000, %edi      // four page directories: 2048 large pages
    mov $0x83, %eax                 // present, writable, large
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    loop 2b
    mov $tables + 0x2003, %eax      // the directories' pointers
    mov $tables + 0x1000, %edi
    mov $4, %ecx
3:  mov %eax, (%edi)
    add $8, %edi
    add $0x1000, %eax
    loop 3b
    movl $tables + 0x1003, tables
    mov $tables, %eax
    mov %eax, %cr3
    mov $0x20, %eax                 // CR4.PAE
    mov %eax, %cr4
    mov $0xc0000080, %ecx           // IA32_EFER.LME
    rdmsr
    or $0x100, %eax
    wrmsr
    lgdt gdt64_limit
    mov %cr0, %eax
    or $0x80000001, %eax            // PG, PE
    mov %eax, %cr0
    ljmp $0x10, $4f
.code64
4:  mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %esi, %edi
    mov $weir_parts + 8, %esi
    call stage
    ud2

.balign 8
gdt64:
    .quad 0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt64_limit:
    .word 31
    .quad gdt64

.section .bss
.balign 4096
tables:
    .skip 6 * 4096
    .skip 64 * 1024
stack_end:
