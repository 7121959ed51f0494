// The real-mode part [Linux boot protocol, The Real-Mode Kernel Header]: 24 sectors, in which the header is at its place, the zero
// page at 0x1000, and the stack below 0x3000. Everything is addressed from where the loader has put it.
.section .setup,"",@progbits
.code16
.equ SECTORS, 24
.equ ZERO_PAGE, 0x1000
.equ E820_COUNT, ZERO_PAGE + 0x1e8
.equ E820_TABLE, ZERO_PAGE + 0x2d0
.equ MOST_ENTRIES, 128
.equ SMAP, 0x534d4150
.equ STACK, SECTORS * 512

setup:
.org 0x1f1
    .byte SECTORS - 1               // setup_sects: without the first
    .word 0                         // root_flags
    .long 0                         // syssize: by `boot image`
    .word 0, 0xffff, 0, 0xaa55      // ram_size, vid_mode, root_dev, boot_flag
    .byte 0xeb, start - setup - 0x202
    .ascii "HdrS"
    .word 0x020a                    // version 2.10
    .long 0                         // realmode_swtch
    .word 0x1000                    // start_sys_seg
    .word name - setup - 0x200      // kernel_version
    .byte 0, 1                      // type_of_loader, loadflags: LOADED_HIGH
    .word 0x8000                    // setup_move_size
    .long 0x100000                  // code32_start
    .long 0, 0, 0                   // ramdisk_image, ramdisk_size, bootsect_kludge
    .word 0, 0                      // heap_end_ptr, ext_loader_ver, ext_loader_type
    .long 0, 0x7fffffff, 0x1000     // cmd_line_ptr, initrd_addr_max, kernel_alignment
    .byte 0, 12                     // relocatable_kernel, min_alignment
    .word 0                         // xloadflags
    .long 255, 0                    // cmdline_size, hardware_subarch
    .quad 0                         // hardware_subarch_data
    .long 0, 0                      // payload_offset, payload_length
    .quad 0, 0x100000               // setup_data, pref_address
    .long 0, 0                      // init_size: by `boot image`; handover_offset

start:
    mov %cs, %ax
    sub $0x20, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK, %sp
    cld
    mov $(name - setup), %si
1:  lodsb
    test %al, %al
    jz 2f
    mov $0x0e, %ah                  // INT 10h: teletype
    mov $7, %bx
    push %si
    int $0x10
    pop %si
    jmp 1b
2:  mov $0x2401, %ax                // INT 15h: A20 on, in case that the loader has not
    int $0x15
    xor %ebx, %ebx
    mov $E820_TABLE, %di
3:  mov $0xe820, %eax
    mov $SMAP, %edx
    mov $20, %ecx
    push %ds
    pop %es
    int $0x15
    jc 4f
    cmp $SMAP, %eax
    jne 4f
    add $20, %di
    incb E820_COUNT
    cmpb $MOST_ENTRIES, E820_COUNT
    je 4f
    test %ebx, %ebx
    jnz 3b
4:  cli
    xor %eax, %eax
    mov %ds, %ax
    shl $4, %eax
    lea ZERO_PAGE(%eax), %esi
    add $(gdt - setup), %eax
    mov %eax, (gdt_base - setup)
    lidtl (no_idt - setup)
    lgdtl (gdt_limit - setup)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $0x10, $0x100000

// The x86 segments of the 32-bit boot protocol: code 0x10, data 0x18, both flat.
.balign 8
gdt:
    .quad 0, 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_limit:
    .word 31
gdt_base:
    .long 0
no_idt:
    .word 0
    .long 0
name:
    .asciz "Weir: its log is on the serial port\r\n"
.org SECTORS * 512
