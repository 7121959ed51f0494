//! Tests of control registers as guests access them.

use super::tests::{handle, place, vm};
use crate::virt::exit::{ControlOperation, Exit, GENERAL_PROTECTION};
use crate::virt::state::control_registers::{Cr0Flags, Cr4Flags};
use crate::virt::state::registers::{RAX, RBX, RCX};
use base::{GuestMemory, GuestPhysical};
use mmio::CpuMode;

#[test]
fn the_machine_status_word_is_loaded_from_and_stored_to_memory_and_registers() {
    let undecoded = |length| Exit::Control { register: 0, operation: ControlOperation::Undecoded, length };
    let mut vm = vm();
    vm.vcpu.cpu.paging.cr0 = Cr0Flags::from_bits_retain(0x6000_0011);
    vm.vcpu.cpu.general[RBX] = 0x3000;
    vm.vcpu.cpu.bytes.clear();
    place(&vm, &[0x0f, 0x01, 0x23]); // smsw [rbx]
    assert_eq!((handle(&mut vm, undecoded(3)), vm.vcpu.fault, vm.vcpu.cpu.rip), (None, None, 3));
    let mut stored = [0; 4];
    vm.memory.read(GuestPhysical(0x3000), &mut stored).unwrap();
    assert_eq!(stored, [0x11, 0, 0, 0]);

    vm.vcpu.cpu.general[RAX] = u64::MAX;
    place(&vm, &[0x66, 0x0f, 0x01, 0xe0, 0x0f, 0x01, 0xe0]); // smsw ax; smsw eax
    handle(&mut vm, undecoded(0));
    assert_eq!((vm.vcpu.cpu.general[RAX], vm.vcpu.cpu.rip), (0xffff_ffff_ffff_0011, 7));
    handle(&mut vm, undecoded(3));
    assert_eq!(vm.vcpu.cpu.general[RAX], 0x6000_0011);

    vm.memory.write(GuestPhysical(0x3000), &[0xf9, 0xff]).unwrap();
    place(&vm, &[0x0f, 0x01, 0x33]); // lmsw [rbx]
    handle(&mut vm, undecoded(3));
    assert_eq!((vm.vcpu.cpu.paging.cr0.bits(), vm.vcpu.fault), (0x6000_0019, None));
}

#[test]
fn an_instruction_that_changes_the_mode_is_stepped_over_in_its_own_mode() {
    // Whether the processor has told all of the exit, or the instruction had to be decoded.
    for (operation, length) in [(ControlOperation::Write(0), 3), (ControlOperation::Undecoded, 0)] {
        let mut vm = vm();
        vm.vcpu.cpu.rip = 0xfffd;
        place(&vm, &[0x0f, 0x22, 0xc0]); // mov cr0, rax
        vm.vcpu.cpu.general[RAX] = 0;
        assert_eq!(handle(&mut vm, Exit::Control { register: 0, operation, length }), None);
        assert_eq!((vm.vcpu.cpu.mode, vm.vcpu.cpu.rip), (CpuMode::Bits16, 0x1_0000));
    }
}

#[test]
fn a_write_to_cr0_in_pae_paging_loads_the_page_directory_pointers() {
    const TABLE: u64 = 0x4020;
    let on = 0x8000_0011u64;
    for (second, loads) in [(0x3001u64, true), (0x3003, false)] {
        let mut vm = vm();
        (vm.vcpu.cpu.paging.cr3, vm.vcpu.cpu.paging.cr4) = (TABLE, Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
        vm.vcpu.cpu.paging.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE;
        for (at, entry) in [(TABLE, 0x2001), (TABLE + 8, second)] {
            vm.memory.write(GuestPhysical(at), &entry.to_le_bytes()).unwrap();
        }
        vm.vcpu.cpu.general[RBX] = on;
        let write = Exit::Control { register: 0, operation: ControlOperation::Write(3), length: 3 };
        assert_eq!(handle(&mut vm, write), None);
        if loads {
            assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.pdptes), (None, [0x2001, 0x3001, 0, 0]));
        } else {
            assert_eq!(
                (vm.vcpu.fault, vm.vcpu.cpu.pdptes),
                (Some(GENERAL_PROTECTION), [0; 4]),
                "reserved bit"
            );
            assert!(!vm.vcpu.cpu.paging.cr0.contains(Cr0Flags::PAGING), "CR0 is as it was");
        }
    }
}

#[test]
fn cr8_takes_four_bits_and_gives_them_back() {
    let mut vm = vm();
    vm.vcpu.cpu.general[RBX] = 0xf;
    let cr8 = |operation| Exit::Control { register: 8, operation, length: 4 };
    assert_eq!(handle(&mut vm, cr8(ControlOperation::Write(3))), None);
    handle(&mut vm, cr8(ControlOperation::Read(0)));
    assert_eq!((vm.vcpu.cpu.general[RAX], vm.vcpu.cpu.rip, vm.vcpu.fault), (0xf, 8, None));
    vm.vcpu.cpu.general[RBX] = 0x10f;
    handle(&mut vm, cr8(ControlOperation::Write(3)));
    assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.rip), (Some(GENERAL_PROTECTION), 8));
}
