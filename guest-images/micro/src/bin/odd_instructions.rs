//! Accesses registers of its NIC with instructions that no driver uses, and checks that each does what it does to
//! memory, or raises an exception of its own; and that the NIC works again after a reset.
#![no_std]
#![no_main]

use core::arch::asm;
use micro::e1000::register::{IMC, MTA};
use micro::stack::Host;
use micro::{Boot, Failed, Verdict, ensure, line, mmio, probe, processor};

micro::guest!("odd_instructions", main);

const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
/// x87, SSE and AVX state [SDM1 13.3].
const STATE: u64 = 0b111;
const DIVIDE: u64 = 0;
const GENERAL_PROTECTION: u64 = 13;

/// Runs an instruction on the register `at`, which holds `before`, and checks what it holds then.
macro_rules! changes {
    ($at:expr, $instruction:literal, $before:expr, $after:expr $(, $($operands:tt)*)?) => {{
        mmio::write_dword($at, $before);
        let trap = probe!($instruction, at = in(reg) $at $(, $($operands)*)?);
        let now = mmio::read_dword($at);
        ensure!(trap.is_none() && now == $after, "{}: {now:#x} {trap:x?}", $instruction);
    }};
}

/// The multicast table has 128 registers without side effects, at this address.
fn general(at: u64) -> Result<(), Failed> {
    changes!(at, "shl dword ptr [{at}], 4", 0x81, 0x810);
    changes!(at, "sar dword ptr [{at}], cl", 0x8000_0000, 0xf800_0000, in("ecx") 4);
    changes!(at, "ror dword ptr [{at}], 8", 0x1234_5678, 0x7812_3456);
    changes!(at, "shld dword ptr [{at}], {fill:e}, 8", 0x1234_5678, 0x3456_78ab, fill = in(reg) 0xab00_0000u32);
    changes!(at, "movnti dword ptr [{at}], {value:e}", 0, 77, value = in(reg) 77);
    changes!(at, "bts dword ptr [{at}], 5", 1, 0x21);
    changes!(at, "xadd dword ptr [{at}], {value:e}", 5, 12, value = inout(reg) 7 => _);
    // Registers must be written whole [8254x 13.2].
    changes!(at, "setae byte ptr [{at}]", 5, 5);
    changes!(at, "clflush [{at}]", 6, 6);
    let mut value = 3u32;
    changes!(at, "mul dword ptr [{at}]", 7, 7, inout("eax") value, out("edx") _);
    ensure!(value == 21, "mul: {value}");
    changes!(at, "imul {value:e}, dword ptr [{at}], -2", 21, 21, value = out(reg) value);
    ensure!(value == 0u32.wrapping_sub(42), "imul: {value:#x}");
    value = 100;
    changes!(at, "div dword ptr [{at}]", 7, 7, inout("eax") value, inout("edx") 0 => _);
    ensure!(value == 14, "div: {value}");
    mmio::write_dword(at, 0);
    let trap = probe!("div dword ptr [{at}]", at = in(reg) at, inout("eax") 1 => _, inout("edx") 0 => _);
    ensure!(trap.is_some_and(|trap| trap.vector == DIVIDE), "a division by zero: {trap:x?}");
    Ok(())
}

fn strings_and_stack(at: u64) -> Result<(), Failed> {
    let memory = [0x1111_1111u32, 0x2222_2222, 0x3333_3333, 0x4444_4444];
    mmio::write_bytes(at, &[0x11; 4]);
    mmio::write_dword(at, 0x1111_1111);
    mmio::write_dword(at + 4, 0x2222_2222);
    mmio::write_dword(at + 8, 0x5555_5555);
    let (left, found): (u64, u64);
    // SAFETY: the strings are inside `memory` and the device.
    unsafe {
        asm!("repe cmpsd", inout("rsi") memory.as_ptr() => _, inout("rdi") at => _, inout("rcx") 4u64 => left);
        asm!("repne scasd", in("eax") 0x2222_2222, inout("rdi") at => _, inout("rcx") 4u64 => found);
    }
    ensure!((left, found) == (1, 2), "repe cmpsd left {left}, repne scasd {found}");

    let (pushed, came_back): (u64, u64);
    // SAFETY: the stack is as before at the end, and the device holds the address of a label.
    unsafe {
        asm!(
            "push qword ptr [{at}]",
            "pop {pushed}",
            "push 0x1234567",
            "pop qword ptr [{at}]",
            at = in(reg) at,
            pushed = out(reg) pushed,
        );
        ensure!(pushed == 0x2222_2222_1111_1111, "push: {pushed:#x}");
        ensure!(mmio::read_qword(at) == 0x123_4567, "pop: {:#x}", mmio::read_qword(at));
        asm!(
            "lea {there}, [rip + 2f]",
            "mov [{at}], {there}",
            "call qword ptr [{at}]",
            "lea {there}, [rip + 3f]",
            "mov [{at}], {there}",
            "jmp qword ptr [{at}]",
            "2:",
            "mov {back}, 1",
            "ret",
            "3:",
            "inc {back}",
            at = in(reg) at,
            there = out(reg) _,
            back = out(reg) came_back,
        );
    }
    ensure!(came_back == 2, "call and jmp: {came_back}");
    Ok(())
}

fn vectors(at: u64) -> Result<(), Failed> {
    let from: [u8; 32] = core::array::from_fn(|n| 0xa0 | n.to_le_bytes()[0]);
    let (mut device, mut again) = ([0; 32], [0; 32]);
    // SAFETY: the compiler uses no vector registers for this target, and the operands name all memory that is used.
    unsafe {
        asm!(
            "vmovdqu ymm1, [{from}]",
            "vpxor ymm2, ymm2, ymm2",
            "vmovdqu [{at}], ymm1",
            "movdqu xmm2, [{at} + 16]",
            "movhps xmm3, [{at}]",
            "movdqa [{at} + 64], xmm2",
            "vmovdqa ymm4, [{at}]",
            "vmovdqu [{again}], ymm4",
            at = in(reg) at,
            from = in(reg) from.as_ptr(),
            again = in(reg) again.as_mut_ptr(),
        );
    }
    mmio::read_bytes(at, &mut device);
    ensure!(device == from && again == from, "32 bytes: {device:x?}, {again:x?}");
    let mut half = [0; 16];
    mmio::read_bytes(at + 64, &mut half);
    ensure!(half == from[16..], "16 bytes: {half:x?}");
    Ok(())
}

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let peer = boot.command_line.address("peer");
    ensure!(peer.is_some(), "the command line has no peer=a.b.c.d");
    let peer = peer.unwrap_or_default();
    host.nic.write(IMC, u32::MAX);
    let at = host.nic.window() + MTA;

    general(at)?;
    strings_and_stack(at)?;
    line!("emulated");
    // SAFETY: CR0.EM and CR0.TS off, CR0.MP on: x87 and SSE instructions run without a fault.
    unsafe { asm!("mov {0}, cr0", "and {0:e}, 0xfffffff3", "or {0:e}, 2", "mov cr0, {0}", out(reg) _) };
    let features = processor::cpuid(1, 0).ecx;
    if features & 1 << 26 != 0 && features & 1 << 28 != 0 {
        processor::set_cr4(CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
        processor::set_xcr0(STATE);
        vectors(at)?;
        let trap = probe!("vpaddd xmm1, xmm1, [{at}]", at = in(reg) at);
        ensure!(trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION), "vpaddd: {trap:x?}");
    }
    for trap in [
        probe!("fild qword ptr [{at}]", at = in(reg) at),
        probe!("lgdt [{at}]", at = in(reg) at),
        probe!("call fword ptr [{at}]", at = in(reg) at),
    ] {
        ensure!(trap.is_some_and(|trap| (trap.vector, trap.error) == (GENERAL_PROTECTION, 0)), "{trap:x?}");
    }
    line!("refused");

    host.nic.initialise()?;
    let mac = host.resolve(peer, 10);
    ensure!(mac.is_some(), "{peer} does not answer after the reset");
    let answers = host.ping((mac.unwrap_or_default(), peer), 5);
    ensure!(answers > 0, "no ping of 5 was answered after the reset");
    Ok(())
}
