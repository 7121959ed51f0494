//! Tests that CPUID reports a hypervisor and hides VMX and SVM, and that the hidden instructions and registers
//! fault as on a processor without them.
#![no_std]
#![no_main]

use micro::processor::{cpuid, read_cr4};
use micro::{Boot, Verdict, ensure, line, probe};

micro::guest!("cpuid_msr", main);

const UNDEFINED_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
/// Not defined in any Intel manual, and outside the ranges that hypervisors use.
const UNKNOWN_MSR: u32 = 0x1234_5678;
const IA32_VMX_BASIC: u32 = 0x480;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const IA32_EFER: u32 = 0xc000_0080;
const EFER_SVME: u32 = 1 << 12;

fn main(_: &Boot) -> Verdict {
    let features = cpuid(1, 0).ecx;
    ensure!(features & 1 << 31 != 0, "CPUID.1:ECX[31], a hypervisor is present, is clear");
    ensure!(features & 1 << 5 == 0, "CPUID.1:ECX[5], VMX, is set");
    ensure!(cpuid(0x8000_0001, 0).ecx & 1 << 2 == 0, "CPUID.8000_0001:ECX[2], SVM, is set");
    let leaf = cpuid(0x4000_0000, 0);
    ensure!(leaf.eax >= 0x4000_0000, "highest hypervisor leaf is {:#x}", leaf.eax);
    let mut name = [0; 12];
    for (part, register) in name.chunks_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        part.copy_from_slice(&register.to_le_bytes());
    }
    line!("hypervisor: {}", core::str::from_utf8(&name).unwrap_or("not text").trim_end_matches('\0'));

    for msr in [UNKNOWN_MSR, IA32_VMX_BASIC, VM_HSAVE_PA] {
        let trap = probe!("rdmsr", in("ecx") msr, out("eax") _, out("edx") _);
        ensure!(
            trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION && trap.error == 0),
            "RDMSR {msr:#x}: {trap:?}"
        );
        let trap = probe!("wrmsr", in("ecx") msr, in("eax") 0, in("edx") 0);
        ensure!(
            trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION && trap.error == 0),
            "WRMSR {msr:#x}: {trap:?}"
        );
    }

    let with_vmxe = read_cr4() | 1 << 13;
    let trap = probe!("mov cr4, {value}", value = in(reg) with_vmxe);
    ensure!(trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION), "setting CR4.VMXE: {trap:?}");
    ensure!(read_cr4() & 1 << 13 == 0, "CR4.VMXE is set");
    let efer: u32;
    let trap = probe!("rdmsr", in("ecx") IA32_EFER, out("eax") efer, out("edx") _);
    ensure!(trap.is_none() && efer & EFER_SVME == 0, "EFER is {efer:#x}, {trap:?}");
    let trap = probe!("wrmsr", in("ecx") IA32_EFER, in("eax") efer | EFER_SVME, in("edx") 0);
    ensure!(trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION), "setting EFER.SVME: {trap:?}");

    // Only the instructions of the processor's vendor: Weir does not decide how this processor treats the others.
    let traps = if &vendor() == b"GenuineIntel" {
        let mut region = 0_u64;
        [
            ("VMXON", probe!("vmxon [{region}]", region = in(reg) &raw mut region)),
            ("VMCALL", probe!("vmcall", in("eax") 0)),
        ]
    } else {
        [("VMRUN", probe!("vmrun rax", in("rax") 0_u64)), ("VMMCALL", probe!("vmmcall", in("eax") 0))]
    };
    for (instruction, trap) in traps {
        ensure!(trap.is_some_and(|trap| trap.vector == UNDEFINED_OPCODE), "{instruction}: {trap:?}");
    }
    Ok(())
}

/// The processor's vendor string, twelve letters.
fn vendor() -> [u8; 12] {
    let leaf = cpuid(0, 0);
    let mut name = [0; 12];
    for (part, register) in name.chunks_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        part.copy_from_slice(&register.to_le_bytes());
    }
    name
}
