//! What has broken models of NICs: rings, descriptors, registers and how they are accessed.

use crate::{Action, BUFFERS, IO_APIC, LOCAL_APIC, Poker, RINGS};
use core::arch::asm;
use micro::descriptor::{self, DATA, DEXT, EOP, IFCS, LONGEST, TSE};
use micro::e1000::WINDOW;
use micro::e1000::register::{
    CTRL, EERD, ICR, IMC, IMS, MTA, RCTL, RDBAH, RDBAL, RDH, RDLEN, RDT, TCTL, TDBAH, TDBAL, TDH, TDLEN, TDT,
};
use micro::processor::{self, halves};
use micro::{mmio, ports, probe};

pub const LIST: &[Action] = &[
    ("a-packet-of-a-million-segments", |p| {
        p.long_ring(descriptor::PACKET, |index| descriptor::cut(index, BUFFERS))
    }),
    ("a-ring-of-frames", |p| p.long_ring(1, |_| [BUFFERS, 60 | EOP | IFCS])),
    ("a-ring-of-broadcasts", broadcasts),
    ("a-ring-of-empty-fragments", |p| p.long_ring(1, |_| [BUFFERS, IFCS])),
    ("a-ring-of-contexts", |p| p.long_ring(1, |_| [0, DEXT])),
    ("a-ring-of-reserved-descriptors", |p| p.long_ring(1, |_| [BUFFERS, 60 | DEXT | EOP | 2 << 20])),
    ("a-ring-of-the-longest-frames-without-their-check", |p| p.long_ring(1, |_| [BUFFERS, LONGEST | EOP])),
    ("a-packet-without-an-end", |p| p.long_ring(1, |_| [BUFFERS, LONGEST | DATA | DEXT])),
    ("a-receive-ring-without-buffers", receive_without_buffers),
    ("a-full-receive-ring-of-8", |p| p.receive_from(RINGS, 128, 0, 0)),
    ("rings-of-odd-lengths", odd_rings),
    ("rings-outside-memory", rings_outside),
    ("buffers-outside-memory", buffers_outside),
    ("one-ring-for-both-which-is-its-own-buffer", own_buffer),
    ("contexts-that-fit-no-packet", contexts),
    ("all-bits-of-RCTL-and-TCTL", control_bits),
    ("interrupt-causes-masks-and-delays", causes),
    ("the-PHY", phy),
    ("every-register", every_register),
    ("registers-in-odd-widths", odd_widths),
    ("strings-of-registers", strings),
    ("odd-instructions-on-doorbells", instructions),
    ("the-I/O-BAR", io_bar),
    ("an-erased-EEPROM", eeprom),
];

/// Further command bits of a descriptor [8254x 3.3.3.1].
const RS: u64 = 1 << 27;
const VLE: u64 = 1 << 30;
/// A port without a device in any PC.
const UNUSED_PORT: u16 = 0x1fe8;
/// A ring as long as can be: a multiple of 60 descriptors, and of 128 bytes.
const LONG: u32 = 32_760;
const CTRL_SLU: u32 = 1 << 6;
const EN: u32 = 1 << 1;
const EECD: u64 = 0x10;
const CTRL_EXT: u64 = 0x18;
const MDIC: u64 = 0x20;
const ITR: u64 = 0xc4;
const ICS: u64 = 0xc8;
const TIDV: u64 = 0x3820;
const TADV: u64 = 0x382c;
const RDTR: u64 = 0x2820;
const RADV: u64 = 0x282c;

fn write_descriptor(index: u32, [low, high]: [u64; 2]) {
    let at = RINGS + 16 * u64::from(index);
    mmio::write_qword(at, low);
    mmio::write_qword(at + 8, high);
}

/// Fills the longest ring. In Bochs, only an exit of its own ends the turn of a guest that has its interrupts off.
fn fill(descriptor: fn(u32) -> [u64; 2]) {
    for index in 0..LONG {
        write_descriptor(index, descriptor(index));
        if index % 256 == 0 {
            let _ = ports::read_byte(UNUSED_PORT);
        }
    }
}

impl Poker {
    /// A transmit ring at `base`, enabled, with this tail.
    pub fn transmit_from(&self, base: u64, bytes: u32, head: u32, tail: u32) {
        self.nic.write(CTRL, CTRL_SLU);
        self.nic.write(TCTL, EN);
        self.ring([TDBAL, TDBAH, TDLEN, TDH, TDT], base, bytes, head, tail);
    }

    /// A receive ring at `base`, enabled for all frames, with this tail.
    pub fn receive_from(&self, base: u64, bytes: u32, head: u32, tail: u32) {
        self.nic.write(CTRL, CTRL_SLU);
        // EN, SBP, UPE, MPE, LPE, BAM.
        self.nic.write(RCTL, EN | 0b1111 << 2 | 1 << 15);
        self.ring([RDBAL, RDBAH, RDLEN, RDH, RDT], base, bytes, head, tail);
    }

    fn ring(&self, registers: [u64; 5], base: u64, bytes: u32, head: u32, tail: u32) {
        let [low, high, length, first, last] = registers;
        let (base_low, base_high) = halves(base);
        for (register, value) in
            [(low, base_low), (high, base_high), (length, bytes), (first, head), (last, tail)]
        {
            self.nic.write(register, value);
        }
    }

    /// The NIC works while the guest reads a register.
    fn wait(&self) {
        for _ in 0..20 {
            let _ = self.nic.read(ICR);
        }
    }

    /// Fills the longest ring with these descriptors, as one packet after `unit` of them, and gives them to the NIC twice.
    /// The reset that follows comes in the middle of its work.
    fn long_ring(&mut self, unit: u32, descriptor: fn(u32) -> [u64; 2]) {
        fill(descriptor);
        self.transmit_from(RINGS, 16 * LONG, 0, LONG - unit);
        self.wait();
        self.nic.write(TDT, unit);
        self.wait();
    }

    /// Sends these descriptors.
    fn send(&self, descriptors: &[[u64; 2]]) {
        (0..).zip(descriptors).for_each(|(index, descriptor)| write_descriptor(index, *descriptor));
        self.transmit_from(RINGS, 128 * 16, 0, halves(descriptors.len() as u64).0);
        let _ = self.nic.read(TDH);
    }
}

fn broadcasts(poker: &mut Poker) {
    mmio::write_bytes(BUFFERS, &[0xff; 6]);
    mmio::write_bytes(BUFFERS + 6, &[0x52, 0x54, 0, 0, 1, 3]);
    poker.long_ring(1, |_| [BUFFERS, 60 | EOP | IFCS]);
    mmio::write_bytes(BUFFERS, &[0; 12]);
}

fn receive_without_buffers(poker: &mut Poker) {
    fill(|_| [0; 2]);
    poker.receive_from(RINGS, 16 * LONG, 0, LONG - 1);
    poker.wait();
}

fn odd_rings(poker: &mut Poker) {
    for bytes in [0, 16, 127, 128, 0xf_ff80, u32::MAX] {
        for (head, tail) in [(0, 1), (1, 0), (7, 8), (8, 7), (0xffff, 0), (0, 0xffff), (u32::MAX, u32::MAX)] {
            poker.transmit_from(RINGS, bytes, head, tail);
            poker.receive_from(RINGS, bytes, head, tail);
            let _ = poker.nic.read(ICR);
        }
    }
}

/// Beyond the end of memory, across it, in devices, in the NIC itself, and around the end of the address space.
fn outside(poker: &Poker) -> [u64; 8] {
    let end = poker.memory_end;
    let window = poker.nic.window();
    [end, end - 16, LOCAL_APIC, IO_APIC, window, window + TDT, 1 << 63, u64::MAX - 15]
}

fn rings_outside(poker: &mut Poker) {
    for base in outside(poker) {
        poker.transmit_from(base, 0xf_ff80, 0, 100);
        poker.receive_from(base, 0xf_ff80, 0, 100);
        poker.wait();
    }
}

fn buffers_outside(poker: &mut Poker) {
    for buffer in outside(poker) {
        poker.send(&[[buffer, 1514 | EOP | IFCS | RS], [buffer - 1, 1 | DATA | DEXT | EOP | IFCS | RS]]);
        // In loopback mode the NIC receives into that buffer, too.
        poker.receive_from(RINGS, 128 * 16, 0, 100);
        poker.nic.write(RCTL, EN | 0b1111 << 2 | 1 << 15 | 0b11 << 6);
        poker.send(&[[BUFFERS, 1514 | EOP | IFCS], [buffer, 1514 | EOP | IFCS]]);
        poker.wait();
    }
}

fn own_buffer(poker: &mut Poker) {
    (0..128).for_each(|index| write_descriptor(index, [RINGS, 2048 | EOP | IFCS | RS]));
    poker.receive_from(RINGS, 128 * 16, 0, 127);
    poker.nic.write(RCTL, EN | 0b1111 << 2 | 1 << 15 | 0b11 << 6);
    poker.transmit_from(RINGS, 128 * 16, 0, 127);
    poker.wait();
    // Bytes of a frame are no addresses for those that follow.
    poker.nic.write(RCTL, 0);
    (0..256).for_each(|index| write_descriptor(index, [0; 2]));
}

/// The offsets, lengths and orders with which models have read or written outside their buffers, or never ended.
fn contexts(poker: &mut Poker) {
    let all = u64::MAX;
    let data = |length, more| [BUFFERS, length | DATA | DEXT | TSE | more | 0b11 << 40];
    for offsets in [0, 14 | 24 << 8 | 34 << 32 | 50 << 40, all, 255 | 1 << 32, 1 << 16 | 1 << 48] {
        for (payload, header, mss) in
            [(0, 0, 0), (0, 54, 1460), (1, 255, 1), (0xf_ffff, 54, 0xffff), (0xf_ffff, 0, 1), (60, 61, 0)]
        {
            let context = descriptor::context(offsets, payload, header, mss);
            poker.send(&[context, data(60, EOP)]);
            poker.send(&[context, data(0, EOP), context, data(LONGEST, 0), data(1, EOP)]);
            // A context, and a legacy descriptor, in the midst of a packet.
            poker.send(&[context, data(54, 0), context, data(100, VLE), [BUFFERS, 14], data(1, EOP)]);
            // Data before its context.
            poker.send(&[data(1514, EOP), context, [BUFFERS, 1514 | EOP | 255 << 16 | 1 << 26 | 254 << 40]]);
        }
    }
}

fn control_bits(poker: &mut Poker) {
    for bit in poker.some(0..32) {
        for value in [1 << bit | EN, u32::MAX ^ 1 << bit] {
            poker.receive_from(RINGS, 128 * 16, 0, 127);
            poker.nic.write(RCTL, value);
            poker.nic.write(TCTL, value);
            poker.send(&[[BUFFERS, 60 | EOP | IFCS], [BUFFERS, LONGEST | EOP | IFCS]]);
        }
    }
}

fn causes(poker: &mut Poker) {
    for value in [1, 0x81, 0xffff, u32::MAX, 0] {
        for register in [ITR, RDTR, RADV, TIDV, TADV, IMS, ICS] {
            poker.nic.write(register, value);
        }
        poker.send(&[[BUFFERS, 60 | EOP | IFCS | RS | 1 << 31]]);
        poker.wait();
        poker.nic.write(IMC, value);
    }
}

fn phy(poker: &mut Poker) {
    for register in poker.some(0..32) {
        for value in [0, 0xffff, 0x8000, 0x4000, 0x0800, 0x0400, 0x1140] {
            // Write, read, neither and both; with and without an interrupt; another PHY.
            for operation in [1 << 26, 1 << 27, 0, 3 << 26, 1 << 26 | 1 << 29, 1 << 30] {
                let place = if operation & 1 << 30 != 0 { 31 << 21 } else { 1 << 21 };
                poker.nic.write(MDIC, value | register << 16 | place | operation);
            }
        }
    }
}

/// The base addresses of the rings are written first, and are nowhere.
fn every_register(poker: &mut Poker) {
    for register in [RDBAL, RDBAH, TDBAL, TDBAH] {
        poker.nic.write(register, u32::MAX);
    }
    for at in poker.some((0..0x6000).step_by(4).chain([0x8000, 0x1_0000, WINDOW - 4])) {
        let _ = poker.nic.read(at);
        poker.nic.write(at, u32::MAX);
    }
}

fn odd_widths(poker: &mut Poker) {
    let window = poker.nic.window();
    for register in [0, ICR, RCTL, TDT, RDT, WINDOW - 8, WINDOW - 1, WINDOW, 0x2000 - 4, 0x5ffc] {
        for offset in 0..4 {
            let at = window + register + offset;
            let _ = (mmio::read_byte(at), mmio::read_word(at), mmio::read_dword(at), mmio::read_qword(at));
            mmio::write_byte(at, 0xff);
            mmio::write_word(at, 0x00ff);
            mmio::write_dword(at, 0x0bad_cafe);
            mmio::write_qword(at, 0x0bad_cafe_0bad_cafe);
        }
    }
}

fn strings(poker: &mut Poker) {
    let window = poker.nic.window();
    for (from, to) in
        [(window, BUFFERS), (BUFFERS, window), (window, window + MTA), (window + 0x1_fff0, window + 0x1_ffe0)]
    {
        // SAFETY: both ends are outside of all memory that Rust manages.
        unsafe {
            asm!("rep movsd", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") 64u64 => _);
            asm!("std; rep movsb; cld", inout("rsi") from + 63 => _, inout("rdi") to + 63 => _,
                 inout("rcx") 64u64 => _);
            asm!("rep stosq", inout("rdi") to => _, in("rax") u64::MAX, inout("rcx") 9u64 => _);
        }
    }
}

fn instructions(poker: &mut Poker) {
    let window = poker.nic.window();
    for register in [TDT, ICR, RCTL, CTRL_EXT] {
        let at = window + register;
        let _ = probe!("shl dword ptr [{at}], 31", at = in(reg) at);
        let _ = probe!("lock xadd qword ptr [{at}], {v}", at = in(reg) at, v = inout(reg) u64::MAX => _);
        let _ = probe!("lock cmpxchg8b [{at}]", at = in(reg) at,
            inout("eax") 0 => _, inout("edx") 0 => _, in("ecx") 1);
        let _ = probe!("push qword ptr [{at}]; pop qword ptr [{at}]", at = in(reg) at);
        let _ = probe!("xchg byte ptr [{at} + 3], {v}", at = in(reg) at, v = inout(reg_byte) 0xff_u8 => _);
        let _ = probe!("movbe dword ptr [{at}], {v:e}", at = in(reg) at, v = in(reg) 7);
        let _ =
            probe!("idiv dword ptr [{at}]", at = in(reg) at, inout("eax") 1 => _, inout("edx") 1 << 31 => _);
        let _ = probe!("fnstenv [{at}]", at = in(reg) at);
        let _ = probe!("fxsave [{at}]", at = in(reg) at & !15);
        let _ = probe!("movdqu [{at}], xmm0", at = in(reg) at);
        let _ = probe!("smsw word ptr [{at}]", at = in(reg) at);
        let _ = probe!("sidt [{at}]", at = in(reg) at);
        let _ = probe!("lgdt [{at}]", at = in(reg) at);
        let _ = probe!("call fword ptr [{at}]", at = in(reg) at);
        let _ = probe!("clflush [{at}]; prefetcht0 [{at}]", at = in(reg) at);
        let _ = probe!("bts dword ptr [{at}], {v:e}", at = in(reg) at, v = in(reg) 0x7f_u32);
    }
}

/// IOADDR and IODATA [8254x 13.3].
fn io_bar(poker: &mut Poker) {
    let [low, high, ..] = (poker.function.read(0x18) & !3).to_le_bytes();
    let port = u16::from_le_bytes([low, high]);
    for register in [0, 0x3818, 0x1_fffc, 0x1_fffd, 0x2_0000, u32::MAX] {
        ports::write_dword(port, register);
        let _ = (ports::read_dword(port), ports::read_dword(port + 4), ports::read_word(port + 5));
        ports::write_dword(port + 4, 0x7fff_ffff);
        ports::write_byte(port + 1, 0xff);
        ports::write_word(port + 3, 0xffff);
        ports::write_dword(port + 7, u32::MAX);
        ports::write_string(port + 4, &[0xff; 16]);
    }
}

/// Reads and writes beyond the end, and the commands that erase all of it.
fn eeprom(poker: &mut Poker) {
    for word in [0, 63, 64, 255] {
        poker.nic.write(EERD, word << 8 | 1);
        let _ = poker.nic.read(EERD);
    }
    // EWEN, ERAL, WRAL with a word, EWDS [8254x 5.3]: start bit, opcode and six bits of address, then the data.
    for (command, bits) in
        [(0b1_0011_0000, 9), (0b1_0010_0000, 9), (0b1_0001_0000_u32 << 16 | 0xdead, 25), (0b1_0000_0000, 9)]
    {
        // EE_REQ and the chip select.
        poker.nic.write(EECD, 1 << 6 | 1 << 1);
        for bit in (0..bits).rev() {
            let data = (command >> bit & 1) << 2;
            poker.nic.write(EECD, 1 << 6 | 1 << 1 | data);
            poker.nic.write(EECD, 1 << 6 | 1 << 1 | data | 1);
        }
        poker.nic.write(EECD, 1 << 6);
    }
    // EE_RST: the address is read from it again.
    poker.nic.write(CTRL_EXT, 1 << 13);
    poker.nic.write(EECD, 0);
    processor::wait_ticks(1000);
}
