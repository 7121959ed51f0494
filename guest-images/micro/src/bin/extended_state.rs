//! Tests that the registers that entries and exits need not switch keep their contents across exits and while another
//! guest runs: SSE and AVX registers, debug registers, and the MSRs of system calls. Two guests with different values of
//! `pattern=` show that they do not share these registers. And that XSAVEC and XRSTOR keep them, where CPUID shows these:
//! a guest's kernel switches tasks by them.
#![no_std]
#![no_main]

use core::arch::asm;
use micro::{Boot, Verdict, apic, ensure, line, pic, processor};

micro::guest!("extended_state", main);

const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
/// x87, SSE and AVX state [SDM1 13.3].
const STATE: u64 = 0b111;
/// In EAX of CPUID leaf 0Dh, subleaf 1 [SDM1 13.2].
const XSAVEC: u32 = 1 << 1;
/// Exits per round.
const EXITS: u64 = 50;

type Registers = [u64; 64];

/// IA32_STAR, LSTAR, CSTAR and FMASK, IA32_KERNEL_GS_BASE.
const SYSTEM_MSRS: [u32; 5] = [0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102];
type SystemRegisters = [u64; SYSTEM_MSRS.len() + 4];

/// Sets the MSRs and DR0 to DR3 to values made from `seed`. DR7 arms no breakpoint.
fn set_system_registers(seed: u64) {
    // Below 2^31: canonical, and without a bit that FMASK lacks.
    let value = |place: u32| seed.rotate_left(place) & 0x7fff_ffff;
    for (place, msr) in (0..).zip(SYSTEM_MSRS) {
        processor::write_msr(msr, value(place));
    }
    // SAFETY: no breakpoint is armed.
    unsafe {
        asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", in(reg) value(8), in(reg) value(9),
            in(reg) value(10), in(reg) value(11));
    }
}

fn system_registers() -> SystemRegisters {
    let (dr0, dr1, dr2, dr3): (u64, u64, u64, u64);
    // SAFETY: only reads registers.
    unsafe {
        asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3", out(reg) dr0, out(reg) dr1, out(reg) dr2,
            out(reg) dr3);
    }
    let [star, lstar, cstar, fmask, gs] = SYSTEM_MSRS.map(processor::read_msr);
    [star, lstar, cstar, fmask, gs, dr0, dr1, dr2, dr3]
}

/// Loads all YMM registers and MXCSR, causes exits, and stores the registers again.
fn across_exits(from: &Registers, into: &mut Registers, mxcsr: u32) -> u32 {
    let mut seen = mxcsr;
    // SAFETY: the compiler uses no vector registers for this target, and the operands name all memory that is
    // used.
    unsafe {
        asm!(
            "ldmxcsr [{mxcsr}]",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu ymm\\n, [{from} + 32 * \\n]",
            ".endr",
            "sti",
            "2:",
            "in al, 0x61",
            "xor eax, eax",
            "push rbx",
            "push rcx",
            "cpuid",
            "pop rcx",
            "pop rbx",
            "hlt",
            "dec {exits}",
            "jnz 2b",
            "cli",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu [{into} + 32 * \\n], ymm\\n",
            ".endr",
            "stmxcsr [{mxcsr}]",
            from = in(reg) from.as_ptr(),
            into = in(reg) into.as_mut_ptr(),
            mxcsr = in(reg) &raw mut seen,
            exits = inout(reg) EXITS => _,
            out("rax") _,
            out("rdx") _,
        );
    }
    seen
}

/// Loads all YMM registers, stores them in the compacted form, clears them, and takes them from there.
fn through_compacted_form(from: &Registers, into: &mut Registers) {
    #[repr(C, align(64))]
    struct Area([u8; 832]);
    let mut area = Area([0; 832]);
    // SAFETY: as in `across_exits`; the area has room for the three components.
    unsafe {
        asm!(
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu ymm\\n, [{from} + 32 * \\n]",
            ".endr",
            "xsavec64 [{area}]",
            "vzeroall",
            "xrstor64 [{area}]",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu [{into} + 32 * \\n], ymm\\n",
            ".endr",
            from = in(reg) from.as_ptr(),
            into = in(reg) into.as_mut_ptr(),
            area = in(reg) &raw mut area,
            in("rax") STATE,
            in("rdx") 0,
        );
    }
}

fn main(boot: &Boot) -> Verdict {
    let features = processor::cpuid(1, 0).ecx;
    ensure!(
        features & 1 << 26 != 0 && features & 1 << 28 != 0,
        "CPUID lists no XSAVE or no AVX: {features:#x}"
    );
    // SAFETY: CR0.EM and CR0.TS off, CR0.MP on: SSE instructions run without a fault.
    unsafe { asm!("mov {0}, cr0", "and {0:e}, 0xfffffff3", "or {0:e}, 2", "mov cr0, {0}", out(reg) _) };
    processor::set_cr4(CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
    let supported = processor::cpuid(0xd, 0);
    ensure!(u64::from(supported.eax) & STATE == STATE, "CPUID.0DH lists state {:#x}", supported.eax);
    processor::set_xcr0(STATE);

    pic::start();
    apic::start();
    pic::start_timer(500);
    let pattern = u64::from(boot.command_line.number("pattern", 1)).wrapping_mul(0x0123_4567_89ab_cdef);
    for round in 0..u64::from(boot.command_line.number("rounds", 20)) {
        let mut before: Registers = [0; 64];
        for (index, value) in (0..).zip(&mut before) {
            *value = pattern.rotate_left(index) ^ round;
        }
        // All exceptions masked, and a rounding mode that differs from round to round.
        let mxcsr = 0x1f80 | (processor::halves(pattern ^ round).0 & 3) << 13;
        let mut after = [0; 64];
        // Two guests have the same values in every other round.
        set_system_registers(if round % 2 == 0 { round } else { pattern ^ round });
        let system = system_registers();
        let seen = across_exits(&before, &mut after, mxcsr);
        ensure!(before == after, "round {round}: registers changed: {before:x?} became {after:x?}");
        ensure!(seen == mxcsr, "round {round}: MXCSR {mxcsr:#x} became {seen:#x}");
        let now = system_registers();
        ensure!(now == system, "round {round}: system registers changed: {system:x?} became {now:x?}");
    }
    if processor::cpuid(0xd, 1).eax & XSAVEC != 0 {
        let (mut before, mut after) = ([0; 64], [0; 64]);
        (0..).zip(&mut before).for_each(|(index, value)| *value = pattern.rotate_left(index));
        through_compacted_form(&before, &mut after);
        ensure!(before == after, "XSAVEC and XRSTOR: {before:x?} became {after:x?}");
    }
    line!("{} timer interrupts meanwhile", pic::ticks());
    Ok(())
}
