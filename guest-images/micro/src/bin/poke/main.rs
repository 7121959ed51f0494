//! Pokes the registers of its NIC, its PCI configuration, its board's devices and its processor, and gives its NIC rings
//! of descriptors: first by the list of what has broken device models and hypervisors (`nic.rs`, `board.rs`,
//! `machine.rs`), then at random, `rounds=` times. It passes if it is still running afterwards. `seed=` decides on
//! everything, so that a run can be repeated. Of long rows of registers the list takes each `every=`th. With `only=` it
//! does one action of the list and nothing else, with `only=random` none; with `without=` all but one.
//!
//! The NIC's rings and buffers are in memory that nothing else uses, so that it cannot overwrite the program, and
//! interrupts stay disabled. No value asks for the end: resets, INIT, SMI, a jump into a device and the power-off port
//! are left out.
#![no_std]
#![no_main]

mod board;
mod machine;
mod nic;
mod random;

use micro::e1000::register::{
    CTRL, ICR, IMC, RCTL, RDBAH, RDBAL, RDH, RDLEN, RDT, TCTL, TDBAH, TDBAL, TDH, TDLEN, TDT,
};
use micro::e1000::{Nic, WINDOW};
use micro::processor::halves;
use micro::{Boot, Verdict, apic, console, line, mmio, pci, pic, ports, probe, processor};
use random::Random;

micro::guest!("poke", main);

/// Rings, and what receive buffers and transmit buffers point to. Rings never overlap buffers: bytes of a frame would
/// be addresses.
const RINGS: u64 = 0x0100_0000;
const BUFFERS: u64 = 0x0180_0000;
/// Size of each of the two, a power of two that leaves room for the longest ring or buffer.
const SPREAD: u64 = 0x0040_0000;
/// Descriptors that are written each round.
const DESCRIPTORS: u64 = 128;
const IA32_APIC_BASE: u32 = 0x1b;
const APIC_ENABLE: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const LOCAL_APIC: u64 = 0xfee0_0000;
const IO_APIC: u64 = 0xfec0_0000;

/// Model-specific registers that no value ends the guest with: identity, speculation control, performance counters,
/// MTRRs, PAT, debugging, TSC deadline, x2APIC registers, system calls, AMD's, and one that does not exist.
const MSRS: [u32; 22] = [
    0x1b0,
    0x48,
    0x49,
    0x8b,
    0xc1,
    0xfe,
    0x179,
    0x17a,
    0x1a0,
    0x1d9,
    0x200,
    0x201,
    0x277,
    0x2ff,
    0x38f,
    0x6e0,
    0x802,
    0x830,
    0xc000_0081,
    0xc000_0082,
    0xc001_0004,
    0xdead_beef,
];
/// Ports of the PICs, the PIT, the real-time clock, the serial line and PCI's address register.
const PORTS: [u16; 16] =
    [0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0xa0, 0xa1, 0x3f9, 0x3fa, 0x3fb, 0x4d0, 0xcf8];
/// Registers of the local APIC: task priority, end of interrupt, error status, commands, the local vector table, timer.
const APIC_REGISTERS: [u64; 14] =
    [0x20, 0x80, 0xb0, 0xd0, 0xe0, 0x280, 0x300, 0x310, 0x320, 0x350, 0x360, 0x380, 0x3e0, 0x3f0];

/// The guest's NIC, and what decides.
struct Poker {
    nic: Nic,
    function: pci::Function,
    bar: u32,
    memory_end: u64,
    /// Of long rows, one in this many is taken.
    every: u32,
    random: Random,
}

/// One action of the list, and its name.
type Action = (&'static str, fn(&mut Poker));

fn main(boot: &Boot) -> Verdict {
    let (seed, rounds) = (boot.command_line.number("seed", 1), boot.command_line.number("rounds", 100));
    apic::start();
    let (nic, function) = Nic::find()?;
    let (bar, random) = (function.read(0x10), Random::new(seed));
    let every = boot.command_line.number("every", 1).max(1);
    let mut poker = Poker { nic, function, bar, memory_end: boot.memory_end, every, random };
    line!("GO seed {seed} rounds {rounds}");
    let (only, without) = (boot.command_line.value("only"), boot.command_line.value("without"));
    for (name, act) in nic::LIST.iter().chain(board::LIST).chain(machine::LIST) {
        if only.is_none_or(|only| only == *name) && without != Some(*name) {
            poker.settle();
            line!("{name}");
            act(&mut poker);
            poker.settle();
        }
    }
    for round in (0..rounds).filter(|_| only.is_none_or(|only| only == "random")) {
        poker.registers();
        poker.descriptors();
        poker.doorbells();
        poker.board();
        poker.model_specific();
        poker.configuration();
        poker.usable();
        if round % 16 == 15 {
            line!("seed {seed} round {}", round + 1);
        }
    }
    poker.settle();
    Ok(())
}

impl Poker {
    /// Those of a long row that the seed chooses.
    fn some<T, I: Iterator<Item = T>>(&mut self, all: I) -> impl Iterator<Item = T> + use<T, I> {
        let first = self.random.below(self.every.into());
        all.skip(usize::try_from(first).unwrap_or(0)).step_by(usize::try_from(self.every).unwrap_or(1))
    }

    /// Makes the NIC's configuration space usable again, and the console.
    fn usable(&mut self) {
        // D0 again, and where it was.
        self.function.write(0xe0, 0);
        self.function.write(0x10, self.bar);
        self.function.enable();
        console::start();
    }

    /// Resets the NIC, and stops what else may interrupt.
    fn settle(&mut self) {
        self.usable();
        self.nic.write(CTRL, 1 << 26);
        self.nic.write(IMC, u32::MAX);
        let _ = self.nic.read(ICR);
        pic::start();
        // Off and on, so that it forgets what is pending and in service.
        let base = processor::read_msr(IA32_APIC_BASE);
        processor::write_msr(IA32_APIC_BASE, base & !(APIC_ENABLE | X2APIC));
        apic::start();
        for input in 0..24 {
            mmio::write_dword(IO_APIC, 0x10 + 2 * input);
            mmio::write_dword(IO_APIC + 0x10, 1 << 16);
        }
    }

    /// Registers and values, such that rings stay where they may be.
    fn registers(&mut self) {
        let random = &mut self.random;
        for _ in 0..64 {
            let at = random.below(0x6000) & !3;
            let value = match at {
                RDBAL | TDBAL => random.ring(),
                _ => random.word(),
            };
            match random.below(4) {
                0 => mmio::write_byte(self.nic.window() + at + random.below(4), random.byte()),
                1 => drop(self.nic.read(at)),
                // Two registers at once, or across two: not where rings would leave their region.
                2 if !(0x2700..0x2900).contains(&at) && !(0x3700..0x3900).contains(&at) => {
                    let at = (at + random.below(8)).min(WINDOW - 8);
                    mmio::write_qword(self.nic.window() + at, random.next());
                }
                _ => self.nic.write(at, value),
            }
        }
        if random.below(4) == 0 {
            self.nic.write(CTRL, random.of(&[1 << 26, 1 << 31, 1 << 26 | 1 << 31, u32::MAX]));
        }
    }

    /// Descriptors of all kinds over each other: legacy, contexts, data with and without segmentation, empty ones.
    fn descriptors(&mut self) {
        let random = &mut self.random;
        let base = RINGS + (random.below(SPREAD) & !0xf);
        for index in 0..DESCRIPTORS {
            let length = random.of(&[0, 1, 13, 14, 60, 1514, 16_288, 0xf_ffff]);
            let command = random.below(256) << 24;
            let options = random.next() & 0xffff_ff00_0000_0000;
            let buffer = random.buffer(self.memory_end);
            let [low, high] = match random.below(4) {
                // A context: offsets in and out of order, odd header lengths and segment sizes. Its first half is in no
                // memory, since the receiver may take it for an address.
                0 => [random.next() | 1 << 62, length | 1 << 29 | command | options],
                1 => [buffer, length | 1 << 20 | 1 << 29 | command | options],
                // A receive descriptor, or one of a reserved type.
                2 => [buffer, random.next()],
                _ => [buffer, length & 0xffff | command & !(1 << 29) | options],
            };
            mmio::write_qword(base + 16 * index, low);
            mmio::write_qword(base + 16 * index + 8, high);
        }
        // Where the rings begin most often.
        for at in [RINGS, RINGS + 0x800] {
            for offset in (0..2048).step_by(8) {
                mmio::write_qword(at + offset, mmio::read_qword(base + offset));
            }
        }
    }

    /// Rings that overlap, end outside of memory or have odd lengths; heads and tails inside and outside.
    fn doorbells(&mut self) {
        let (nic, random) = (&self.nic, &mut self.random);
        // SLU: without a link nothing is sent.
        nic.write(CTRL, 1 << 6);
        let same = random.below(2) == 0;
        for [low, high, length, head, tail] in
            [[RDBAL, RDBAH, RDLEN, RDH, RDT], [TDBAL, TDBAH, TDLEN, TDH, TDT]]
        {
            nic.write(low, if same { halves(RINGS).0 } else { random.ring() });
            nic.write(high, if random.below(8) == 0 { random.word() } else { 0 });
            nic.write(length, random.of(&[0, 16, 128, 2048, 0xf_ff80, u32::MAX]));
            nic.write(head, random.of(&[0, 1, 127, 0xffff]));
            nic.write(tail, random.of(&[0, 1, 7, 127, 128, 0xffff, u32::MAX]));
        }
        // EN is set, and at random bits that let frames pass: promiscuous, long frames, loopback, buffer sizes.
        nic.write(RCTL, random.word() | 1 << 1);
        nic.write(TCTL, random.word() | 1 << 1);
        for tail in [TDT, RDT, TDT] {
            nic.write(tail, random.of(&[3, 64, 127, 0xffff]));
            let _ = nic.read(ICR);
        }
    }

    /// Ports, local APIC and I/O APIC.
    fn board(&mut self) {
        let random = &mut self.random;
        for _ in 0..16 {
            let port = random.of(&PORTS);
            if random.below(3) == 0 {
                let _ = (ports::read_byte(port), ports::read_word(port));
            } else {
                ports::write_byte(port, random.byte());
            }
        }
        for _ in 0..8 {
            // Without delivery modes SMI, NMI, INIT and start-up.
            let value = random.word() & !0x700;
            mmio::write_dword(LOCAL_APIC + random.of(&APIC_REGISTERS), value);
            mmio::write_dword(IO_APIC, halves(random.below(0x42)).0);
            mmio::write_dword(IO_APIC + 0x10, value);
        }
    }

    fn model_specific(&mut self) {
        let random = &mut self.random;
        for _ in 0..8 {
            let (number, low, high) = (random.of(&MSRS), random.word(), random.word());
            let _ = probe!("rdmsr", in("ecx") number, out("eax") _, out("edx") _);
            let _ = probe!("wrmsr", in("ecx") number, in("eax") low, in("edx") high);
        }
        apic::set_deadline(0x40, random.next());
    }

    /// The vNIC's configuration space.
    fn configuration(&mut self) {
        for _ in 0..8 {
            let at =
                self.random.of(&[0x04, 0x0c, 0x10, 0x14, 0x18, 0x30, 0x3c, 0xdc, 0xe0, 0xe4, 0xf0, 0xfc]);
            self.function.write(at, self.random.word());
            let _ = self.function.read(at);
        }
    }
}
