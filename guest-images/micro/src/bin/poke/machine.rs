//! What has broken hypervisors: instructions and registers of the processor, and addresses of nothing.

use crate::{Action, BUFFERS, MSRS, Poker};
use core::arch::asm;
use micro::{apic, mmio, probe, processor};

pub const LIST: &[Action] = &[
    ("all-model-specific-registers-of-the-first-thousands", model_specific),
    ("AMD's-registers-that-no-CPUID-bit-announces", amd),
    ("TSC-deadlines", deadlines),
    ("a-clock-page-outside-memory", clock_page),
    ("the-machine-status-word-with-caches-off", machine_status),
    ("every-bit-of-CR0-and-CR4", control_registers),
    ("reserved-bits-of-CR3", page_tables),
    ("task-priorities", task_priorities),
    ("extended-state-without-its-enable", extended_state),
    ("debug-registers", debug),
    ("a-watchpoint-on-a-device", watchpoint),
    ("single-steps-over-instructions-that-exit", steps),
    ("every-leaf-of-CPUID", leaves),
    ("instructions-of-hypervisors", hypervisors),
    ("instructions-that-cost-other-cores", costly),
    ("addresses-of-nothing", nothing),
    ("locked-accesses-across-borders", locked),
];

fn read(msr: u32) -> (bool, u32, u32) {
    let (low, high);
    let trap = probe!("rdmsr", in("ecx") msr, inout("eax") 0 => low, inout("edx") 0 => high);
    (trap.is_none(), low, high)
}

fn write(msr: u32, low: u32, high: u32) {
    let _ = probe!("wrmsr", in("ecx") msr, in("eax") low, in("edx") high);
}

fn model_specific(poker: &mut Poker) {
    for msr in poker.some((0..0x1000).chain(0x4b56_4d00..0x4b56_4d08).chain(0xc000_0080..0xc000_0105)) {
        // What it holds is what it may hold.
        if let (true, low, high) = read(msr) {
            write(msr, low, high);
        }
    }
    for msr in MSRS {
        for value in [0, u32::MAX] {
            write(msr, value, value);
        }
    }
    // IA32_PAT as it is after reset, for the other actions' sake.
    write(0x277, 0x0007_0406, 0x0007_0406);
}

fn amd(poker: &mut Poker) {
    for msr in (0xc001_0000..0xc001_0010)
        .chain(poker.some((0xc001_0010..0xc001_0220).chain(0xc001_1000..0xc001_1040)))
    {
        let (known, ..) = read(msr);
        if known {
            write(msr, 0, 0);
            write(msr, u32::MAX, u32::MAX);
        }
    }
}

/// In the past, at once, and beyond all time; in each mode of the timer.
fn deadlines(_: &mut Poker) {
    let now = processor::time_stamp();
    for time in [0, 1, now, now + 1, now + 1000, u64::MAX, u64::MAX >> 1, 1 << 63] {
        apic::set_deadline(0x41, time);
        let _ = apic::deadline();
    }
    apic::start_timer(0x41, apic::TimerMode::Periodic, u32::MAX);
    write(0x6e0, 1, 0);
}

/// KVM's clock, which the host writes into memory of the guest's choice.
fn clock_page(poker: &mut Poker) {
    let end = poker.memory_end;
    for at in [BUFFERS, BUFFERS + 0xffc, end - 16, end, 0xfee0_0000, poker.nic.window(), 1 << 52, u64::MAX] {
        let (low, high) = processor::halves(at);
        for msr in [0x11, 0x12, 0x4b56_4d00, 0x4b56_4d01, 0x4b56_4d02, 0x4b56_4d03, 0x4b56_4d04] {
            write(msr, low | 1, high);
            write(msr, low & !3, high);
        }
    }
    write(0x4b56_4d01, 0, 0);
}

fn machine_status(_: &mut Poker) {
    let at = BUFFERS;
    for bits in [1_u64 << 30, 1 << 29, 3 << 29] {
        let _ =
            probe!("mov {cr0}, cr0; or {cr0}, {bits}; mov cr0, {cr0}", cr0 = out(reg) _, bits = in(reg) bits);
        let _ = probe!("smsw word ptr [{at}]; smsw {v:e}; lmsw word ptr [{at}]; lmsw {v:x}",
            at = in(reg) at, v = out(reg) _);
        let _ = probe!("clts; mov {cr0}, cr0; and {cr0:e}, 0x9fffffff; mov cr0, {cr0}", cr0 = out(reg) _);
    }
}

/// Toggles each bit, and back: what must not change raises an exception.
fn control_registers(_: &mut Poker) {
    for bit in 0..64_u64 {
        // Neither PG nor PE; and not WP nor AM, which the processor lets change at any time.
        if !matches!(bit, 0 | 31) {
            let _ = probe!("mov {cr}, cr0; btc {cr}, {bit}; mov cr0, {cr}; btc {cr}, {bit}; mov cr0, {cr}",
                cr = out(reg) _, bit = in(reg) bit);
        }
        let _ = probe!("mov {cr}, cr4; btc {cr}, {bit}; mov cr4, {cr}; btc {cr}, {bit}; mov cr4, {cr}",
            cr = out(reg) _, bit = in(reg) bit);
    }
}

fn page_tables(_: &mut Poker) {
    for bit in 52..64_u64 {
        let _ = probe!("mov {cr}, cr3; bts {cr}, {bit}; mov cr3, {cr}; btr {cr}, {bit}; mov cr3, {cr}",
            cr = out(reg) _, bit = in(reg) bit);
    }
}

fn task_priorities(_: &mut Poker) {
    for value in [0_u64, 15, 16, 255, 1 << 63] {
        let _ = probe!("mov cr8, {v}; mov {v}, cr8", v = inout(reg) value => _);
    }
    processor::write_cr8(0);
}

fn extended_state(_: &mut Poker) {
    for (register, low) in [(0_u32, 7_u32), (0, 0), (0, u32::MAX), (1, 0), (7, 0)] {
        let _ = probe!("xsetbv", in("ecx") register, in("eax") low, in("edx") 0);
        let _ = probe!("xgetbv", in("ecx") register, out("eax") _, out("edx") _);
    }
    for low in [0_u32, u32::MAX] {
        write(0xda0, low, low);
    }
}

fn debug(_: &mut Poker) {
    let _ = probe!("mov dr7, {v}; mov {v}, dr0", v = inout(reg) 0x2400_u64 => _);
    let _ = probe!("mov dr7, {v}", v = in(reg) u64::MAX);
    let _ = probe!("mov dr6, {v}; mov {v}, dr6", v = inout(reg) 0xffff_0ff0_u64 => _);
}

/// On the local APIC's page, which Weir accesses for the guest.
fn watchpoint(_: &mut Poker) {
    let _ = probe!("mov dr0, {at}; mov dr7, {v}; mov {x:e}, [{at}]",
        at = in(reg) 0xfee0_0030_u64, v = in(reg) 0x000f_0403_u64, x = out(reg) _);
    let _ = probe!("mov dr7, {v}", v = in(reg) 0x400_u64);
}

fn steps(_: &mut Poker) {
    let _ = probe!("pushfq; or dword ptr [rsp], 0x100; popfq; rdmsr; nop",
        in("ecx") 0x1b, out("eax") _, out("edx") _);
}

fn leaves(poker: &mut Poker) {
    for first in [0, 0x4000_0000, 0x4000_0100, 0x8000_0000, 0xc000_0000, 0xffff_ff00] {
        for leaf in poker.some(first..=first + 0x40) {
            for subleaf in [0, 1, 63, u32::MAX] {
                let _ = processor::cpuid(leaf, subleaf);
            }
        }
    }
}

fn hypervisors(_: &mut Poker) {
    let at = BUFFERS;
    for call in [0_u64, 1, u64::MAX] {
        let _ = probe!("vmcall", in("rax") call);
        let _ = probe!("vmmcall", in("rax") call);
    }
    let _ = probe!("vmxon [{at}]", at = in(reg) at);
    let _ = probe!("vmptrld [{at}]", at = in(reg) at);
    let _ = probe!("vmclear [{at}]", at = in(reg) at);
    let _ = probe!("vmread [{at}], {at}", at = in(reg) at);
    let _ = probe!("vmlaunch");
    let _ = probe!("vmresume");
    let _ = probe!("vmxoff");
    let _ = probe!("vmfunc", in("rax") 0_u64, in("rcx") 0_u64);
    let _ = probe!("invept {at}, [{at}]", at = in(reg) at);
    let _ = probe!("invvpid {at}, [{at}]", at = in(reg) at);
    let _ = probe!("invpcid {at}, [{at}]", at = in(reg) at);
    let _ = probe!("vmrun rax", in("rax") at);
    let _ = probe!("vmload rax", in("rax") at);
    let _ = probe!("vmsave rax", in("rax") at);
    let _ = probe!("stgi");
    let _ = probe!("clgi");
    let _ = probe!("invlpga rax, ecx", in("rax") at, in("ecx") 1);
    let _ = probe!("skinit eax", in("eax") 0);
    let _ = probe!("getsec", inout("eax") 0 => _);
    // ENCLS, XSAVES, TPAUSE, UMWAIT, PCONFIG, WBNOINVD.
    let _ = probe!(".byte 0x0f, 0x01, 0xcf", inout("eax") 0 => _);
    let _ = probe!("xsaves [{at}]", at = in(reg) at, in("eax") 0, in("edx") 0);
    let _ = probe!(".byte 0x66, 0x0f, 0xae, 0xf0", in("eax") 0, in("edx") 0);
    let _ = probe!(".byte 0xf2, 0x0f, 0xae, 0xf0", in("eax") 0, in("edx") 0);
    let _ = probe!(".byte 0x0f, 0x01, 0xc5", inout("eax") 0 => _);
    let _ = probe!("monitor", in("rax") at, in("ecx") 0, in("edx") 0);
    let _ = probe!("mwait", in("eax") 0, in("ecx") 0);
    let _ = probe!("rdpmc", in("ecx") 0, out("eax") _, out("edx") _);
    let _ = probe!("rdtscp", out("eax") _, out("edx") _, out("ecx") _);
    let _ = probe!("rsm");
}

fn costly(_: &mut Poker) {
    for _ in 0..20 {
        let _ = probe!("wbinvd");
        let _ = probe!("invd");
        let _ = probe!("invlpg [{at}]", at = in(reg) BUFFERS);
        let _ = probe!(".byte 0xf3, 0x0f, 0x09");
    }
    (0..100_000).for_each(|_| processor::relax());
}

/// Holes between devices, firmware, the TPM, the HPET, the reset window, and the end of the four gigabytes.
fn nothing(poker: &mut Poker) {
    for at in
        [0xa_0000, 0xc_0000, 0xf_fff0, poker.memory_end, 0xe7ff_fff8, 0xfec1_0000, 0xfed0_0000, 0xfed4_0000]
            .into_iter()
            .chain([0xfee0_1000, 0xfef0_0000, 0xffff_fff0, 0xffff_fff8])
    {
        let _ = (mmio::read_byte(at + 7), mmio::read_word(at + 3), mmio::read_qword(at));
        mmio::write_byte(at + 7, 0xff);
        mmio::write_qword(at, u64::MAX);
        // SAFETY: there is no memory of this program.
        unsafe { asm!("rep stosb", inout("rdi") at => _, in("al") 1u8, inout("rcx") 8u64 => _) }
    }
}

fn locked(poker: &mut Poker) {
    for at in [BUFFERS + 63, BUFFERS + 0xffd, poker.memory_end - 2, 0xfee0_02fe, poker.nic.window() + 0xffe] {
        let _ = probe!("lock inc dword ptr [{at}]", at = in(reg) at);
        let _ = probe!("xchg [{at}], {v:e}", at = in(reg) at, v = inout(reg) 1 => _);
    }
}
