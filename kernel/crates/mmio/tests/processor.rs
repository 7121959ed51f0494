//! Comparison with a real processor: random instructions are executed by the processor that runs this test, and
//! emulated with [`mmio::decode`] and `complete` on the same registers and memory. Both must leave the same
//! registers and memory behind.
//!
//! Only 64-bit mode can be compared this way.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use common::flags::{STATUS, defined, shift_count};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use mmio::{CpuMode, Gpr, RegisterFile, decode};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::collections::BTreeSet;
use testkit::FakeRegisters;

const DF: u64 = 1 << 10;

/// One page for code, one for register values, one for the memory that instructions access. All are below 4 GiB,
/// so that 32-bit addresses reach them.
struct Processor {
    pages: *mut u8,
}

const PAGE: usize = 4096;
/// Offset of the operands in the memory page, with room for bit offsets and repetition on both sides.
const TARGET: usize = PAGE / 2;

impl Processor {
    fn new() -> Self {
        // SAFETY: a new private mapping, which nothing else refers to.
        let pages = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                3 * PAGE,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                -1,
                0,
            )
        };
        assert_ne!(pages, libc::MAP_FAILED, "no executable memory");
        Self { pages: pages.cast() }
    }

    fn page(&mut self, number: usize) -> &mut [u8] {
        // SAFETY: the mapping has three pages, lives as long as self, and is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.pages.add(number * PAGE), PAGE) }
    }

    fn address(&self, page: usize, offset: usize) -> u64 {
        self.pages as u64 + (page * PAGE + offset) as u64
    }

    fn memory(&mut self) -> &mut [u8] {
        self.page(2)
    }

    /// Executes one instruction, which does not use RSP and accesses only the memory page.
    fn execute(&mut self, instruction: &[u8], registers: &mut FakeRegisters) {
        let slots = self.address(1, 0);
        for (slot, value) in registers.gprs.iter().chain([&registers.rflags]).enumerate() {
            self.page(1)[8 * slot..8 * slot + 8].copy_from_slice(&value.to_le_bytes());
        }
        let code = around(instruction, slots);
        self.page(0)[..code.len()].copy_from_slice(&code);
        // SAFETY: the page holds a function that preserves the registers that the calling convention requires,
        // and the instruction in it accesses only the memory page.
        let function: extern "sysv64" fn() = unsafe { core::mem::transmute(self.pages) };
        function();
        for slot in 0..17 {
            let value = u64::from_le_bytes(self.page(1)[8 * slot..8 * slot + 8].try_into().unwrap());
            match slot {
                4 => {}
                16 => registers.rflags = value,
                _ => registers.gprs[slot] = value,
            }
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing refers to it any more.
        unsafe { libc::munmap(self.pages.cast(), 3 * PAGE) };
    }
}

/// A function that loads the registers from 17 slots at `slots`, executes `instruction`, and stores them.
fn around(instruction: &[u8], slots: u64) -> Vec<u8> {
    use iced_x86::code_asm::*;
    let all = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
    let kept = [rbx, rbp, r12, r13, r14, r15];
    let mut code = CodeAssembler::new(64).unwrap();
    for register in kept {
        code.push(register).unwrap();
    }
    code.mov(rax, slots).unwrap();
    code.push(qword_ptr(rax + 8 * 16)).unwrap();
    code.popfq().unwrap();
    for (slot, register) in all.into_iter().enumerate().rev().filter(|(slot, _)| *slot != 4) {
        code.mov(register, qword_ptr(rax + 8 * slot)).unwrap();
    }
    code.db(instruction).unwrap();
    // MOV, PUSH and POP do not change flags.
    code.push(rax).unwrap();
    code.mov(rax, slots).unwrap();
    code.pop(qword_ptr(rax)).unwrap();
    for (slot, register) in all.into_iter().enumerate().skip(1).filter(|(slot, _)| *slot != 4) {
        code.mov(qword_ptr(rax + 8 * slot), register).unwrap();
    }
    code.pushfq().unwrap();
    code.pop(qword_ptr(rax + 8 * 16)).unwrap();
    code.cld().unwrap();
    for register in kept.into_iter().rev() {
        code.pop(register).unwrap();
    }
    code.ret().unwrap();
    code.assemble(0).unwrap()
}

/// Emulates the instruction, all iterations of a repeated one; false if it raises an exception.
fn emulate(instruction: &[u8], registers: &mut FakeRegisters, base: u64, memory: &mut [u8]) -> bool {
    let start = registers.rip;
    while registers.rip == start {
        let access = decode(instruction, CpuMode::Bits64, registers).expect("a supported instruction");
        let width = access.width().bytes();
        let at = |linear: u64| (linear - base) as usize;
        let read = |linear: Option<u64>, memory: &[u8]| {
            let mut value = [0; 8];
            if let Some(linear) = linear {
                value[..width].copy_from_slice(&memory[at(linear)..][..width]);
            }
            u64::from_le_bytes(value)
        };
        let value = read(access.source(), memory);
        let access = access.with_second(read(access.second(), memory));
        let Ok(written) = access.complete(value, registers) else { return false };
        if let (Some(written), Some(destination)) = (written, access.destination()) {
            memory[at(destination)..][..width].copy_from_slice(&written.to_le_bytes()[..width]);
        }
    }
    true
}

/// Opcodes of all emulated instructions, with the middle field of ModRM where it is part of the opcode.
fn opcodes() -> Vec<(Vec<u8>, Option<u8>)> {
    let mut opcodes = Vec::new();
    for group in 0..8 {
        for form in 0..4 {
            opcodes.push((vec![8 * group + form], None));
        }
        opcodes.push((vec![0x80], Some(group)));
        opcodes.push((vec![0x81], Some(group)));
        opcodes.push((vec![0x83], Some(group)));
        for shift in [0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3] {
            opcodes.push((vec![shift], Some(group)));
        }
    }
    for condition in 0..16 {
        opcodes.push((vec![0x0f, 0x90 + condition], Some(0)));
        opcodes.push((vec![0x0f, 0x40 + condition], None));
    }
    for opcode in [0xaf, 0xa4, 0xa5, 0xac, 0xad, 0xc3, 0xbc, 0xbd] {
        opcodes.push((vec![0x0f, opcode], None));
    }
    opcodes.extend([(vec![0x69], None), (vec![0x6b], None), (vec![0x0f, 0xc7], Some(1))]);
    opcodes.extend([(vec![0x0f, 0x38, 0xf0], None), (vec![0x0f, 0x38, 0xf1], None)]);
    for group in 4..8 {
        opcodes.extend([(vec![0xf6], Some(group)), (vec![0xf7], Some(group))]);
    }
    for opcode in [0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x63] {
        opcodes.push((vec![opcode], None));
    }
    for opcode in [0xb0, 0xb1, 0xc0, 0xc1, 0xb6, 0xb7, 0xbe, 0xbf, 0xa3, 0xab, 0xb3, 0xbb] {
        opcodes.push((vec![0x0f, opcode], None));
    }
    for group in 4..8 {
        opcodes.push((vec![0x0f, 0xba], Some(group)));
    }
    opcodes.extend([(vec![0xc6], Some(0)), (vec![0xc7], Some(0))]);
    opcodes.extend([(vec![0xf6], Some(0)), (vec![0xf7], Some(0))]);
    for (opcode, group) in
        [(0xf6, 2), (0xf6, 3), (0xf7, 2), (0xf7, 3), (0xfe, 0), (0xfe, 1), (0xff, 0), (0xff, 1)]
    {
        opcodes.push((vec![opcode], Some(group)));
    }
    opcodes
}

const PREFIXES: &[&[u8]] = &[&[], &[0x66], &[0x67], &[0xf0], &[0x66, 0xf0], &[0x67, 0x66]];
const STRING_PREFIXES: &[&[u8]] = &[&[], &[0x66], &[0x67], &[0xf3], &[0xf2], &[0xf3, 0x66], &[0x67, 0xf3]];

/// Prefixes, opcode, ModRM, SIB, displacement and immediate of an instruction with a memory operand.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let prefixes = prop::sample::select(PREFIXES);
    let rex = prop::option::of(0x40_u8..0x50);
    (prefixes, rex, prop::sample::select(opcodes()), any::<[u8; 10]>()).prop_map(
        |(prefixes, rex, (opcode, group), tail)| {
            let mut tail = tail;
            if let Some(group) = group {
                tail[0] = tail[0] & !0x38 | group << 3;
            }
            [prefixes, rex.as_slice(), &opcode, &tail].concat()
        },
    )
}

/// A string instruction.
fn string_instruction() -> impl Strategy<Value = Vec<u8>> {
    let prefix = prop::sample::select(STRING_PREFIXES);
    let opcode = prop::sample::select(&[0xa4_u8, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf][..]);
    (prefix, prop::option::of(0x40_u8..0x50), opcode)
        .prop_map(|(prefix, rex, opcode)| [prefix, rex.as_slice(), &[opcode]].concat())
}

/// Sets registers so that the memory operand of `instruction` is at `target`. Returns false when that is not
/// possible or the instruction would use the stack pointer.
fn aim(instruction: &Instruction, registers: &mut FakeRegisters, target: u64) -> bool {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    let number = |register: Register| register.full_register() as usize - Register::RAX as usize;
    let names_stack = (0..instruction.op_count())
        .filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
        .any(|operand| instruction.op_register(operand).full_register() == Register::RSP);
    if !base.is_gpr() || base.full_register() == Register::RSP || base == index || names_stack {
        return false;
    }
    let mut scaled = 0;
    if index != Register::None {
        registers.gprs[number(index)] %= 64;
        scaled = registers.gprs[number(index)] * u64::from(instruction.memory_index_scale());
    }
    if is_bit_string(instruction) {
        let register = instruction.op1_register();
        if [base, index].iter().any(|used| used.full_register() == register.full_register()) {
            return false;
        }
        // Offsets within the page on both sides of the operand.
        let value = &mut registers.gprs[number(register)];
        *value = (*value % 8192).wrapping_sub(4096);
    }
    let offset = target.wrapping_sub(scaled).wrapping_sub(instruction.memory_displacement64());
    registers.gprs[number(base)] = if base.size() == 4 { offset & 0xffff_ffff } else { offset };
    true
}

fn is_bit_string(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc)
        && instruction.op1_kind() == OpKind::Register
}

/// FakeRegisters with arbitrary values, sometimes equal, small or extreme ones.
fn registers() -> impl Strategy<Value = FakeRegisters> {
    let value = prop_oneof![
        4 => any::<u64>(),
        1 => (0_u64..4).prop_map(|n| n.wrapping_sub(2)),
        1 => (0_u64..3).prop_map(|n| 0x7fff_ffff_7fff_7f7f_u64.wrapping_add(n)),
    ];
    (prop::collection::vec(value, 16), any::<u64>()).prop_map(|(values, flags)| FakeRegisters {
        gprs: values.try_into().unwrap(),
        rip: 0x1000,
        rflags: flags & (STATUS | DF) | 0x202,
        ..FakeRegisters::numbered()
    })
}

/// Memory with arbitrary content.
fn memory() -> impl Strategy<Value = Vec<u8>> {
    any::<[u64; 4]>().prop_map(|seed| {
        (0..PAGE / 8).flat_map(|n| seed[n % 4].rotate_left(n as u32).to_le_bytes()).collect()
    })
}

/// The processor, with statistics of the comparison.
struct Witness {
    processor: Processor,
    compared: usize,
    kinds: BTreeSet<String>,
}

impl Witness {
    fn new() -> RefCell<Self> {
        RefCell::new(Self { processor: Processor::new(), compared: 0, kinds: BTreeSet::new() })
    }

    /// Executes and emulates an instruction and compares registers and memory afterwards.
    fn compare(
        &mut self,
        instruction: &Instruction,
        bytes: &[u8],
        before: &FakeRegisters,
        memory: &[u8],
    ) -> Result<(), TestCaseError> {
        let base = self.processor.address(2, 0);
        let mut emulated = before.clone();
        let mut emulated_memory = memory.to_vec();
        let undefined = matches!(instruction.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd)
            && shift_count(instruction, before) > 8 * instruction.memory_size().size() as u64;
        if undefined || !emulate(bytes, &mut emulated, base, &mut emulated_memory) {
            return Ok(());
        }

        let mut executed = before.clone();
        self.processor.memory().copy_from_slice(memory);
        self.processor.execute(bytes, &mut executed);
        executed.rip = before.rip + bytes.len() as u64;

        let mask = defined(instruction, before) | DF;
        emulated.rflags &= mask;
        executed.rflags &= mask;
        let code = instruction.code();
        prop_assert_eq!(&emulated, &executed, "{:02x?} {:?}", bytes, code);
        prop_assert!(emulated_memory == self.processor.memory(), "{:02x?} {:?}", bytes, code);
        self.compared += 1;
        self.kinds.insert(format!("{code:?}"));
        Ok(())
    }

    /// Fails when fewer than `least_kinds` kinds of instruction were compared: the test would prove little.
    fn finish(self, least_kinds: usize) {
        println!("{} instructions of {} kinds compared", self.compared, self.kinds.len());
        assert!(self.kinds.len() >= least_kinds, "{:?}", self.kinds);
    }
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("{error}");
    }
}

#[test]
fn instructions_do_what_the_processor_does() {
    let witness = Witness::new();
    let cases = (instruction(), registers(), memory(), 0..64_usize, any::<bool>());
    run(60_000, &cases, |(bytes, mut registers, memory, skew, equal)| {
        let instruction = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
        let mut witness = witness.borrow_mut();
        let target = TARGET + skew;
        let address = witness.processor.address(2, target);
        // CMPXCHG16B is in `wide.rs`.
        let other = instruction.is_invalid() || instruction.mnemonic() == Mnemonic::Cmpxchg16b;
        if other || !aim(&instruction, &mut registers, address) {
            return Ok(());
        }
        let addressed = [instruction.memory_base(), instruction.memory_index()];
        if instruction.mnemonic() == Mnemonic::Cmpxchg
            && equal
            && addressed.iter().all(|register| register.full_register() != Register::RAX)
        {
            registers.gprs[0] = u64::from_le_bytes(memory[target..target + 8].try_into().unwrap());
        }
        witness.compare(&instruction, &bytes[..instruction.len()], &registers, &memory)
    });
    witness.into_inner().finish(400);
}

#[test]
fn string_instructions_do_what_the_processor_does() {
    let witness = Witness::new();
    let cases = (string_instruction(), registers(), memory(), any::<[u64; 3]>());
    run(10_000, &cases, |(bytes, mut registers, memory, values)| {
        let instruction = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
        let mut witness = witness.borrow_mut();
        // At most 63 elements of 8 bytes from the middle of the page, up or down; the ranges may overlap.
        let address = |value| witness.processor.address(2, TARGET + value as usize % 1024);
        registers.set(Gpr::Rsi, address(values[0]));
        registers.set(Gpr::Rdi, address(values[1]));
        registers.set(Gpr::Rcx, values[2] % 64);
        witness.compare(&instruction, &bytes, &registers, &memory)
    });
    witness.into_inner().finish(20);
}
