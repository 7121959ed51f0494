//! Exits handled on the host, with a virtual processor that counts what is read of it.

use super::{Action, dispatch};
use crate::meeting::vnic_slot::VnicSlot;
use crate::memory::guest::GuestRam;
use crate::virt::exit::{
    ControlOperation, Exit, GENERAL_PROTECTION, INVALID_OPCODE, InjectedEvent, MemoryAccess, PortAccess,
    StringOperand,
};
use crate::virt::fake::{FakeCpu, OWN_MSR};
use crate::virt::state::control_registers::{Cr0Flags, Cr4Flags};
use crate::virt::state::registers::{RAX, RBX, RCX, RDI, RDX, RSI};
use crate::vm::Vm;
use crate::vm::life::{Images, StopReason};
use crate::vm::machine::Identity;
use alloc::sync::Arc;
use base::{GuestMemory, GuestPhysical, HostPhysical, Instant, Width};
use core::cell::Cell;
use host_memory::MemoryPiece;
use mmio::CpuMode;
use platform::pc::PcConfig;
use schedule::restart::RestartPolicy;
use shell::VmState;

/// Memory of the guest.
const MEMORY: usize = 0x1_0000;
/// An address with neither memory nor a device.
const NOWHERE: u64 = 0x1000_0000;
/// A port without a device.
const NO_PORT: u16 = 0x9990;

/// A VM without vNICs, with 64 KiB of memory, whose guest runs.
pub(in crate::vm) fn vm() -> Vm<FakeCpu> {
    vm_with(None)
}

/// The same VM, with this vNIC.
pub(super) fn vm_with(vnic: Option<&config::VnicConfig>) -> Vm<FakeCpu> {
    let memory: &'static mut [u8] = vec![0; MEMORY].leak();
    // On the host the direct map begins at address 0.
    let host = HostPhysical(memory.as_mut_ptr() as u64);
    let piece = MemoryPiece { guest: GuestPhysical(0), host, bytes: MEMORY as u64 };
    let board = PcConfig {
        memory_bytes: MEMORY as u64,
        vcpus: 1,
        tsc_hz: 1_000_000_000,
        wall_clock_unix_seconds: 0,
        nics: vnic.map_or(0, |_| 1),
    };
    let images = Images {
        kernel: &[],
        initrd: &[],
        command_line: String::new(),
        acpi: platform::acpi::build(1),
        identity: platform::boot::DmiIdentity::default(),
        board,
    };
    let memory = GuestRam::new([piece].into_iter().collect());
    let identity = Identity { number: 0, name: "test".into(), shares: 1 };
    let vnics = vnic
        .map(|vnic| VnicSlot::new(0, platform::pci::FIRST_NIC_SLOT, vnic, memory.clone()))
        .into_iter()
        .unzip();
    let mut vm = Vm::assemble(identity, FakeCpu::new(), memory, vnics, images, RestartPolicy::Never);
    vm.switch_on(Instant::ZERO);
    vm
}

pub(super) fn handle(vm: &mut Vm<FakeCpu>, exit: Exit) -> Option<StopReason> {
    match dispatch(vm, exit, Instant::ZERO) {
        Action::Continue => None,
        Action::Stop(reason) => Some(reason),
    }
}

/// Puts code where the virtual processor is.
pub(super) fn place(vm: &Vm<FakeCpu>, code: &[u8]) {
    vm.memory.write(GuestPhysical(vm.vcpu.cpu.rip), code).unwrap();
}

/// Reads of code mode, privilege, paging and delivered instruction bytes.
fn reads(vm: &Vm<FakeCpu>) -> [u32; 4] {
    vm.vcpu.cpu.reads.each_ref().map(Cell::get)
}

const LOAD: Exit = Exit::Memory { at: GuestPhysical(NOWHERE), access: MemoryAccess::Read, operand: true };

#[test]
fn exits_of_the_machine_read_nothing() {
    let mut vm = vm();
    for exit in [Exit::HostInterrupt, Exit::Timer, Exit::InterruptWindow, Exit::NmiWindow] {
        assert_eq!(handle(&mut vm, exit), None);
    }
    assert_eq!((reads(&vm), vm.vcpu.cpu.rip, vm.vcpu.fault), ([0; 4], 0, None));
    assert_eq!(vm.vcpu.statistics.exits(), 4);
}

#[test]
fn an_instruction_without_operands_needs_the_code_mode_only() {
    let mut vm = vm();
    handle(&mut vm, Exit::Cpuid(2));
    assert_eq!((reads(&vm), vm.vcpu.cpu.rip), ([1, 0, 0, 0], 2));
    assert_ne!(vm.vcpu.cpu.general[RBX], 0, "the first letters of the vendor's name");
}

#[test]
fn one_operand_at_a_device_needs_no_walk_of_the_page_tables() {
    let mut vm = vm();
    (vm.vcpu.cpu.general[RBX], vm.vcpu.cpu.general[RAX]) = (NOWHERE, u64::MAX << 32);
    // mov eax, [rbx]
    vm.vcpu.cpu.bytes = [0x8b, 0x03].into_iter().collect();
    assert_eq!(handle(&mut vm, LOAD), None);
    assert_eq!((reads(&vm), vm.vcpu.cpu.rip), ([1, 0, 0, 1], 2));
    assert_eq!((vm.vcpu.cpu.general[RAX], vm.statistics.unmapped), (0xffff_ffff, 1));
}

#[test]
fn code_that_the_processor_does_not_deliver_is_fetched() {
    let mut vm = vm();
    vm.vcpu.cpu.general[RBX] = NOWHERE;
    place(&vm, &[0x8b, 0x03]);
    assert_eq!(handle(&mut vm, LOAD), None);
    assert_eq!((reads(&vm), vm.vcpu.cpu.rip), ([1, 0, 1, 1], 2));
}

#[test]
fn with_two_operands_each_part_is_still_read_once() {
    let mut vm = vm();
    (vm.vcpu.cpu.general[RSI], vm.vcpu.cpu.general[RDI]) = (NOWHERE, 0x2ffe);
    // movsd, over the end of a page
    place(&vm, &[0xa5]);
    assert_eq!(handle(&mut vm, LOAD), None);
    assert_eq!((reads(&vm), vm.vcpu.cpu.rip), ([1, 1, 1, 1], 1));
    let mut moved = [0; 6];
    vm.memory.read(GuestPhysical(0x2ffd), &mut moved).unwrap();
    assert_eq!(moved, [0, 0xff, 0xff, 0xff, 0xff, 0]);
}

#[test]
fn an_incomplete_exit_is_decoded_with_one_read_of_each_part() {
    let mut vm = vm();
    vm.vcpu.cpu.general[RDI] = 0x3000;
    // rep insw
    place(&vm, &[0xf3, 0x66, 0x6d]);
    vm.vcpu.cpu.general[RCX] = 2;
    let string = Some(StringOperand { linear: None, address: Width::Qword, repeated: true });
    let access = PortAccess { port: NO_PORT, width: Width::Word, input: true, string };
    assert_eq!(handle(&mut vm, Exit::Port { access, length: 0 }), None);
    assert_eq!(reads(&vm), [1, 1, 1, 0]);
    let general = &vm.vcpu.cpu.general;
    assert_eq!((vm.vcpu.cpu.rip, general[RDI], general[RCX]), (0, 0x3002, 1), "one element is left");
    handle(&mut vm, Exit::Port { access, length: 0 });
    assert_eq!((vm.vcpu.cpu.rip, vm.vcpu.cpu.general[RCX]), (3, 0));
}

#[test]
fn an_operand_whose_second_page_is_not_mapped_faults_before_anything_is_read() {
    let mut vm = vm();
    // A page directory at 0x4000; its table at 0x5000 maps page 1 only, for all.
    for (at, entry) in [(0x4000, 0x5007u32), (0x5004, 0x2007)] {
        vm.memory.write(GuestPhysical(at), &entry.to_le_bytes()).unwrap();
    }
    vm.vcpu.cpu.page_through(0x4000);
    (vm.vcpu.cpu.mode, vm.vcpu.cpu.user) = (CpuMode::Bits32, true);
    let string = Some(StringOperand { linear: Some(0x1ffe), address: Width::Dword, repeated: false });
    let access = PortAccess { port: NO_PORT, width: Width::Dword, input: false, string };
    handle(&mut vm, Exit::Port { access, length: 1 });
    assert_eq!((vm.vcpu.cpu.cr2, vm.vcpu.cpu.rip), (0x2000, 0));
    assert_eq!(vm.vcpu.fault, Some(InjectedEvent::Exception { vector: 14, error: Some(1 << 2) }));
}

#[test]
fn the_instruction_pointer_wraps_at_the_width_of_the_code() {
    for (mode, last) in
        [(CpuMode::Bits16, 0xffff), (CpuMode::Bits32, 0xffff_ffff), (CpuMode::Bits64, u64::MAX)]
    {
        let mut vm = vm();
        (vm.vcpu.cpu.mode, vm.vcpu.cpu.rip) = (mode, last);
        handle(&mut vm, Exit::Pause(2));
        assert_eq!(vm.vcpu.cpu.rip, 1, "{mode:?}");
    }
}

#[test]
fn an_msr_that_does_not_exist_is_a_fault_and_no_step() {
    for exit in [Exit::ReadMsr(2), Exit::WriteMsr(2)] {
        let mut vm = vm();
        (vm.vcpu.cpu.general[RCX], vm.vcpu.cpu.general[RAX]) = (0xdead, 7);
        assert_eq!(handle(&mut vm, exit), None);
        assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.rip), (Some(GENERAL_PROTECTION), 0));
        assert_eq!((vm.vcpu.cpu.general[RAX], reads(&vm)), (7, [0; 4]));
    }
}

#[test]
fn an_msr_is_read_and_written_in_halves() {
    let mut vm = vm();
    let high = 0xaaaa_bbbb_0000_0000;
    (vm.vcpu.cpu.general[RCX], vm.vcpu.cpu.general[RDX], vm.vcpu.cpu.general[RAX]) =
        (high | u64::from(OWN_MSR), high | 0x0007_0406, high | 0x0006_0504);
    assert_eq!(handle(&mut vm, Exit::WriteMsr(2)), None);
    assert_eq!((vm.vcpu.cpu.msr, vm.vcpu.cpu.rip), (0x0007_0406_0006_0504, 2));
    handle(&mut vm, Exit::ReadMsr(2));
    let general = &vm.vcpu.cpu.general;
    assert_eq!((general[RDX], general[RAX], vm.vcpu.cpu.rip), (0x0007_0406, 0x0006_0504, 4));
}

#[test]
fn a_guest_that_halts_is_idle_behind_the_instruction() {
    let mut vm = vm();
    assert_eq!(handle(&mut vm, Exit::Halt(1)), None);
    assert_eq!((vm.state(), vm.vcpu.halted, vm.vcpu.cpu.rip), (VmState::Idle, true, 1));
}

#[test]
fn what_is_not_allowed_or_not_offered_faults() {
    let mut vm = vm();
    vm.vcpu.cpu.paging.cr4 = Cr4Flags::OSXSAVE;
    vm.vcpu.cpu.user = true;
    handle(&mut vm, Exit::SetXcr(3));
    assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.rip, reads(&vm)), (Some(GENERAL_PROTECTION), 0, [0, 1, 0, 0]));
    handle(&mut vm, Exit::NotOffered);
    assert_eq!(vm.vcpu.fault, Some(INVALID_OPCODE));
}

#[test]
fn xsetbv_without_osxsave_is_undefined_before_anything_else_is_wrong_with_it() {
    for (osxsave, user, which, fault) in [
        (false, true, 7, Some(INVALID_OPCODE)),
        (false, false, 0, Some(INVALID_OPCODE)),
        (true, true, 0, Some(GENERAL_PROTECTION)),
        (true, false, 7, Some(GENERAL_PROTECTION)),
        (true, false, 0, None),
    ] {
        let mut vm = vm();
        vm.vcpu.cpu.paging.cr4.set(Cr4Flags::OSXSAVE, osxsave);
        vm.vcpu.cpu.user = user;
        (vm.vcpu.cpu.general[RAX], vm.vcpu.cpu.general[RCX]) = (3, which);
        handle(&mut vm, Exit::SetXcr(3));
        assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.rip), (fault, if fault.is_none() { 3 } else { 0 }));
    }
}

#[test]
fn a_task_switch_ends_the_guest_with_a_reason_of_its_own() {
    assert_eq!(handle(&mut vm(), Exit::TaskSwitch), Some(StopReason::TaskSwitch));
}

#[test]
fn code_outside_memory_stops_the_guest_unless_it_is_a_program_of_its_own() {
    let mut vm = vm();
    let at = GuestPhysical(NOWHERE);
    let fetch = Exit::Memory { at, access: MemoryAccess::Fetch, operand: true };
    assert_eq!(handle(&mut vm, fetch), Some(StopReason::NotMemory { at, access: MemoryAccess::Fetch }));
    vm.vcpu.cpu.user = true;
    assert_eq!((handle(&mut vm, fetch), vm.vcpu.fault), (None, Some(GENERAL_PROTECTION)));
}

#[test]
fn an_instruction_that_is_not_emulated_gives_the_guest_an_exception() {
    let fault = |vector, error| Some(InjectedEvent::Exception { vector, error });
    for (code, expected) in [
        (&[0x0f, 0x0b][..], fault(13, Some(0))), // ud2, which has no operand
        (&[0x06, 0x00], fault(6, None)),         // push es, which 64-bit code cannot have
        (&[0xdf, 0x28], fault(13, Some(0))),     // fild qword [rax]
        (&[0xc5, 0xf9, 0xfe, 0x00], fault(13, Some(0))), // vpaddd xmm0, xmm0, [rax]
        (&[0x8b], fault(14, Some(0))),           // ends in front of a page that is gone
    ] {
        let mut vm = vm();
        vm.vcpu.cpu.bytes = code.iter().copied().collect();
        assert_eq!((handle(&mut vm, LOAD), vm.vcpu.fault), (None, expected), "{code:x?}");
        assert_eq!((vm.vcpu.cpu.rip, vm.statistics.refused), (0, 1));
        assert_eq!(vm.vcpu.cpu.cr2, if code.len() == 1 { 1 } else { 0 });
    }
}

#[test]
fn a_division_by_what_a_device_holds_can_fail() {
    let mut vm = vm();
    vm.vcpu.cpu.general[RBX] = platform::layout::IO_APIC;
    vm.vcpu.cpu.bytes = [0xf7, 0x33].into_iter().collect(); // div dword [rbx], whose index is 0
    let at = GuestPhysical(platform::layout::IO_APIC);
    assert_eq!(handle(&mut vm, Exit::Memory { at, access: MemoryAccess::Read, operand: true }), None);
    assert_eq!(vm.vcpu.fault, Some(InjectedEvent::Exception { vector: 0, error: None }));
    assert_eq!(vm.vcpu.cpu.rip, 0);
}

#[test]
fn vector_registers_move_to_and_from_devices_and_memory() {
    let mut vm = vm();
    vm.vcpu.cpu.general[RBX] = NOWHERE - 8;
    vm.vcpu.cpu.bytes = [0xc5, 0xfe, 0x6f, 0x0b].into_iter().collect(); // vmovdqu ymm1, [rbx]
    assert_eq!((handle(&mut vm, LOAD), vm.statistics.unmapped), (None, 4));
    assert_eq!((vm.vcpu.cpu.vectors[1], vm.vcpu.cpu.rip), ([0xff; 32], 4));
    // movdqu [rbx], xmm1 over the end of a page of memory
    vm.vcpu.cpu.general[RBX] = 0x2ff9;
    vm.vcpu.cpu.bytes = [0xf3, 0x0f, 0x7f, 0x0b].into_iter().collect();
    assert_eq!(handle(&mut vm, LOAD), None);
    let mut written = [0; 18];
    vm.memory.read(GuestPhysical(0x2ff8), &mut written).unwrap();
    assert_eq!((written[0], &written[1..17], written[17]), (0, &[0xff; 16][..], 0));
}

#[test]
fn two_operands_are_read_where_a_string_comparison_finds_them() {
    let mut vm = vm();
    vm.memory.write(GuestPhysical(0x3000), &[0xff, 0xff, 0xff, 0xff]).unwrap();
    (vm.vcpu.cpu.general[RSI], vm.vcpu.cpu.general[RDI], vm.vcpu.cpu.general[RCX]) = (0x3000, NOWHERE, 9);
    vm.vcpu.cpu.bytes = [0xf3, 0xa7].into_iter().collect(); // repe cmpsd
    for (rip, left) in [(0, 8), (2, 7)] {
        assert_eq!(handle(&mut vm, LOAD), None);
        assert_eq!((vm.vcpu.cpu.rip, vm.vcpu.cpu.general[RCX]), (rip, left), "equal, then different");
    }
}

#[test]
fn what_cannot_be_decoded_any_more_is_an_exception() {
    let mut vm = vm();
    place(&vm, &[0x06]); // no instruction of 64-bit code
    assert_eq!(handle(&mut vm, Exit::Cpuid(0)), None);
    assert_eq!((vm.vcpu.fault, vm.vcpu.cpu.rip), (Some(INVALID_OPCODE), 0));
}

#[test]
fn a_guest_that_locks_the_bus_does_not_run_for_a_while() {
    let (mut vm, now) = (vm(), Instant::ZERO);
    assert!(vm.is_runnable());
    // A single step behind the instruction comes in the place of the bus lock's own exit.
    vm.vcpu.cpu.locked_bus = true;
    let debug = InjectedEvent::Exception { vector: 1, error: None };
    assert!(matches!(dispatch(&mut vm, Exit::Exception(debug), now), Action::Continue));
    assert!(!vm.is_runnable());
    let until = vm.next_deadline().unwrap();
    assert!(until > now && until <= now + base::Duration::from_millis(1));
    vm.advance(until);
    assert!(vm.is_runnable());
}
