//! What has broken models of a PC's other devices: PCI, interrupt controllers, timers, serial line, power, ports.

use crate::{Action, BUFFERS, IA32_APIC_BASE, IO_APIC, LOCAL_APIC, Poker, RINGS};
use micro::e1000::register::{ICR, TDT};
use micro::trap::{self, NMI};
use micro::{apic, mmio, pci, ports, probe, processor};

pub const LIST: &[Action] = &[
    ("every-byte-of-the-configuration-space", configuration_bytes),
    ("a-base-address-over-other-devices", moved_bar),
    ("bus-mastering-decoding-and-power-off-and-on", off_and_on),
    ("configuration-addresses-of-nothing", no_function),
    ("every-register-of-the-local-APIC", local_apic),
    ("interrupts-to-itself-of-all-kinds", interrupts),
    ("NMIs-inside-of-NMIs", nmis),
    ("x2APIC-mode", x2apic),
    ("every-register-of-the-I/O-APIC", io_apic),
    ("fast-timers", fast_timers),
    ("half-a-set-up-of-the-8259s", pics),
    ("every-mode-of-the-8254", pit),
    ("every-register-of-the-clock", rtc),
    ("every-register-of-the-serial-port", uart),
    ("power-management-without-a-request", power),
    ("a-sample-of-all-ports", all_ports),
    ("strings-of-ports", strings),
];

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const EXTREMES: [u32; 6] = [0, 1, 0xff, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// A register of the vNIC's function, or another one on bus 0, as configuration mechanism 1 addresses it.
fn select(function: u32, offset: u32) {
    ports::write_dword(ADDRESS, 1 << 31 | function << 8 | offset);
}

/// The function number of the vNIC, device and function in one.
fn function() -> u32 {
    (0..256)
        .find(|function| {
            select(*function, 0);
            ports::read_dword(DATA) == 0x100e_8086
        })
        .unwrap_or(0)
}

fn configuration_bytes(poker: &mut Poker) {
    let function = function();
    for offset in poker.some((0..256).step_by(4)) {
        for (port, value) in (DATA..).zip([0xff, 0, 0x5a, 0xff]) {
            select(function, offset);
            let _ = (ports::read_byte(port), ports::read_word(port), ports::read_dword(port));
            ports::write_byte(port, value);
            ports::write_word(port, 0xffff);
            ports::write_dword(port, u32::MAX);
        }
    }
}

fn moved_bar(poker: &mut Poker) {
    for base in [LOCAL_APIC, IO_APIC, 0, RINGS, 0xa_0000, 0xf_0000, 0xffff_0000, 0xfffe_0000, 0xd000_0000] {
        let (low, _) = processor::halves(base);
        poker.function.write(0x10, low);
        poker.function.write(0x14, u32::MAX);
        poker.function.write(0x18, if low == 0 { 0x3f8 } else { 0xffff_ffff });
        poker.function.write(0x30, low | 1);
        // The window is where it says, if nothing else is.
        let _ = mmio::read_dword(base + ICR);
        mmio::write_dword(LOCAL_APIC + 0x80, 0);
        let _ = (mmio::read_dword(LOCAL_APIC + 0x30), mmio::read_dword(IO_APIC + 0x10));
    }
}

/// Doorbells while the NIC may not reach memory, and after it may again.
fn off_and_on(poker: &mut Poker) {
    for index in 0..128 {
        mmio::write_qword(RINGS + 16 * index, BUFFERS);
        mmio::write_qword(RINGS + 16 * index + 8, 60 | 0b11 << 24);
    }
    for (off, on) in [(0b011, 0b111), (0b101, 0b111), (0, 0b111), (0b111 | 1 << 10, 0b111)] {
        poker.transmit_from(RINGS, 128 * 16, 0, 60);
        poker.function.write(0x04, off);
        poker.nic.write(TDT, 100);
        poker.receive_from(RINGS, 128 * 16, 0, 127);
        // D3hot and back, in between.
        poker.function.write(0xe0, 3);
        poker.nic.write(TDT, 110);
        poker.function.write(0xe0, 0);
        poker.function.write(0x10, 0);
        poker.usable();
        poker.function.write(0x04, on);
        poker.nic.write(TDT, 120);
        let _ = poker.nic.read(ICR);
    }
}

fn no_function(_: &mut Poker) {
    for address in [0, 0x8000_0000, 0x80ff_ff00, 0x8001_0000, 0x8000_1803, 0xffff_ffff, 0x7fff_ffff] {
        ports::write_dword(ADDRESS, address);
        let _ = (ports::read_dword(DATA), ports::read_word(DATA + 3), ports::read_byte(ADDRESS + 2));
        ports::write_dword(DATA + 1, u32::MAX);
    }
    let _ = pci::find(0xffff, 0xffff).count();
    // The memory-mapped form of the configuration space, and beyond bus 0.
    for at in [0xd000_0000, 0xd001_8000, 0xd00f_fffc, 0xd010_0000] {
        let _ = (mmio::read_dword(at), mmio::read_qword(at + 2));
        mmio::write_qword(at + 1, u64::MAX);
    }
}

fn local_apic(poker: &mut Poker) {
    // All but the interrupt command.
    let all = (0..0x400).step_by(16).chain([0x404, 0xff8, 0xfff]).filter(|at| !matches!(at, 0x300 | 0x310));
    for at in poker.some(all) {
        for value in EXTREMES {
            let _ = mmio::read_dword(LOCAL_APIC + at);
            mmio::write_dword(LOCAL_APIC + at, value & !0x700);
        }
        mmio::write_byte(LOCAL_APIC + at + 1, 0);
        let _ = mmio::read_qword(LOCAL_APIC + at);
    }
}

/// Fixed, lowest priority and external, also with vectors that are not allowed, to itself and to all, level and edge.
fn interrupts(_: &mut Poker) {
    // An error of the local APIC interrupts with a vector that is an error.
    mmio::write_dword(LOCAL_APIC + 0x370, 3);
    for vector in [0, 1, 8, 14, 15, 0x50, 0xf0, 255] {
        for mode in [0, 1 << 8, 7 << 8] {
            for shorthand in [0, 1 << 18, 2 << 18, 3 << 18] {
                for bits in [0, 1 << 14, 1 << 14 | 1 << 15, 1 << 11 | 1 << 14] {
                    mmio::write_dword(LOCAL_APIC + 0x310, 0xff00_0000);
                    mmio::write_dword(LOCAL_APIC + 0x300, vector | mode | shorthand | bits);
                }
            }
        }
    }
    for _ in 0..300 {
        mmio::write_dword(LOCAL_APIC + 0xb0, 0);
        let _ = mmio::read_dword(LOCAL_APIC + 0x280);
    }
}

/// In the handler of the first NMIs, sends others.
fn another() {
    if trap::count(NMI) < 20 {
        apic::nmi_self();
        apic::nmi_self();
    }
}

fn nmis(_: &mut Poker) {
    trap::set_hook(NMI, another);
    apic::nmi_self();
    for _ in 0..20 {
        let _ = mmio::read_dword(LOCAL_APIC + 0x30);
    }
}

/// Base addresses that are refused, modes that cannot follow each other, reserved registers.
fn x2apic(poker: &mut Poker) {
    for low in [0xfee0_0c00_u32, 0xfee0_0800, 0xfed0_0900, 0xfee0_0400, 0xffff_ffff, 0xfee0_0d00] {
        let _ = probe!("wrmsr", in("ecx") IA32_APIC_BASE, in("eax") low, in("edx") 0);
        let _ = probe!("wrmsr", in("ecx") IA32_APIC_BASE, in("eax") low, in("edx") u32::MAX);
        // All registers but the interrupt command, in whatever mode this is.
        for msr in poker.some((0x800..0x840).chain([0x8ff]).filter(|msr| *msr != 0x830)) {
            let _ = probe!("rdmsr", in("ecx") msr, out("eax") _, out("edx") _);
            let _ = probe!("wrmsr", in("ecx") msr, in("eax") 0xf8ff_u32, in("edx") 0);
            let _ = probe!("wrmsr", in("ecx") msr, in("eax") 0, in("edx") 1);
        }
        let _ = mmio::read_dword(LOCAL_APIC + 0x20);
    }
}

/// Level and edge, both polarities, masked and not, external and fixed, with bad vectors; every index.
fn io_apic(poker: &mut Poker) {
    for index in poker.some(0..=255) {
        for value in [!0x700, 0, 1 << 15 | 0xff, 1 << 13 | 1 << 15 | 0x41, 0x700, 1 << 13 | 3, 1 << 16] {
            mmio::write_dword(IO_APIC, index);
            mmio::write_dword(IO_APIC + 0x10, value);
            let _ = mmio::read_dword(IO_APIC + 0x10);
        }
    }
    for at in [1, 4, 0x11, 0x20, 0x40, 0xff8] {
        let _ = mmio::read_qword(IO_APIC + at);
        mmio::write_qword(IO_APIC + at, u64::MAX);
    }
}

/// All timers as fast as they go, while the guest computes and while it sleeps.
fn fast_timers(poker: &mut Poker) {
    for (port, value) in [(0x43, 0x14), (0x40, 2), (0x70, 0xa), (0x71, 0x21), (0x70, 0xb), (0x71, 0x72)] {
        ports::write_byte(port, value);
    }
    // The local APIC's timer: every tick of its bus.
    for (at, value) in [(0x3e0, 0b1011), (0x320, 1 << 17 | 0x41), (0x380, 1)] {
        mmio::write_dword(LOCAL_APIC + at, value);
    }
    // With interrupts on, the guest would do nothing but to handle them.
    for _ in poker.some(0..5000) {
        let _ = mmio::read_dword(LOCAL_APIC + 0x390);
    }
    // Halted: the timers fire, but what wakes the guest comes late.
    mmio::write_dword(LOCAL_APIC + 0x380, 1 << 20);
    for _ in 0..3 {
        processor::sleep();
    }
}

fn pics(poker: &mut Poker) {
    for value in poker.some(0..=255) {
        for port in [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1] {
            ports::write_byte(port, value);
            let _ = ports::read_byte(port);
        }
    }
}

fn pit(poker: &mut Poker) {
    for control in poker.some(0..=255) {
        ports::write_byte(0x43, control);
        for counter in 0x40..0x43 {
            for count in [1, 0, 0xff] {
                ports::write_byte(counter, count);
                let _ = ports::read_byte(counter);
            }
        }
        ports::write_byte(0x61, control);
    }
}

fn rtc(poker: &mut Poker) {
    for index in poker.some(0..=255) {
        for value in [0xff, 0, 0x7f, 0xc0, 0x26] {
            ports::write_byte(0x70, index);
            ports::write_byte(0x71, value);
            let _ = (ports::read_byte(0x71), ports::read_word(0x70));
        }
    }
    ports::write_byte(0x70, 0);
}

/// In loopback mode, so that nothing of it is printed.
fn uart(poker: &mut Poker) {
    micro::console::drain();
    for value in poker.some(0..=255) {
        ports::write_byte(0x3fc, 0x10 | value);
        for port in [0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fd, 0x3fe, 0x3ff] {
            ports::write_byte(port, value);
            let _ = (ports::read_byte(port), ports::read_dword(port));
        }
    }
    ports::write_byte(0x3fb, 3);
    ports::write_string(0x3f8, &[0; 256]);
    // What is left in the receiver would be typed.
    micro::console::start();
    while micro::console::key().is_some() {}
}

/// Status, enables, timer and the ports beside them: no sleep is asked for.
fn power(poker: &mut Poker) {
    for port in poker.some(0x600..0x640) {
        let _ = (ports::read_byte(port), ports::read_word(port), ports::read_dword(port));
    }
    for port in [0x600, 0x602] {
        ports::write_word(port, 0xffff);
    }
    for _ in poker.some(0..2000) {
        let _ = ports::read_dword(0x608);
    }
    for (port, value) in
        [(0xcf9, 0), (0x92, 0xfe), (0x64, 0xaa), (0x64, 0xd1), (0x60, 0xff), (0x64, 0), (0xb2, 0xff)]
    {
        ports::write_byte(port, value);
    }
}

fn all_ports(poker: &mut Poker) {
    for port in poker.some((0..=u16::MAX).step_by(37)) {
        let _ = (ports::read_byte(port), ports::read_word(port), ports::read_dword(port));
    }
}

fn strings(poker: &mut Poker) {
    let mut bytes = [0; 256];
    for port in [0x40, 0x61, 0x71, ADDRESS, DATA, 0x608, 0xffff] {
        ports::read_string(port, &mut bytes);
    }
    for port in [0x80, 0x40, 0xed, 0xffff] {
        ports::write_string(port, &bytes);
    }
    let _ = poker.nic.read(ICR);
}
