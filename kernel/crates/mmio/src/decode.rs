//! Decodes the bytes of an instruction into a [`TrappedAccess`].

use crate::access::{AccessForm, DataOperation, sign_extend};
use crate::operation::{OperandUse, Operands, binary, bit, rare, unary};
use crate::register::RegisterPart;
use crate::{CpuMode, DecodeError, Gpr, RegisterFile, SegmentRegister, TrappedAccess};
use base::Width;
use base::bits::low_u8;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Builds the decoder's tables, which are allocated once. Call it at boot, so that [`decode`] never allocates.
pub fn prepare() {
    let _ = Decoder::new(64, &[], DecoderOptions::NONE);
}

/// Decodes the instruction at the beginning of `bytes`, which was fetched from the instruction pointer of
/// `registers` and made a memory access that trapped.
///
/// `bytes` may extend beyond the instruction. It may be shorter than 15 bytes, the longest instruction, when the
/// next page cannot be read.
///
/// # Errors
/// [`DecodeError`] when the bytes are not an instruction, or its access cannot be emulated.
///
/// ```
/// use base::Width;
/// use mmio::{CpuMode, Gpr, RegisterFile, decode};
/// use testkit::FakeRegisters;
///
/// let mut registers = FakeRegisters::numbered();
/// registers.set(Gpr::Rax, 0xfebc_0000);
/// registers.set(Gpr::Rcx, 0x1234_5678);
/// // mov [rax+0x3818], ecx: writes register 0x3818 of a device.
/// let access = decode(&[0x89, 0x88, 0x18, 0x38, 0, 0], CpuMode::Bits64, &registers)?;
/// assert_eq!((access.width(), access.source()), (Width::Dword, None));
/// assert_eq!(access.destination(), Some(0xfebc_3818));
/// assert_eq!(access.complete(0, &mut registers), Ok(Some(0x1234_5678)));
/// # Ok::<(), mmio::DecodeError>(())
/// ```
pub fn decode(
    bytes: &[u8],
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> Result<TrappedAccess, DecodeError> {
    trapped(&instruction(bytes, mode, registers.rip())?, mode, registers)
}

/// The access that an instruction made.
fn trapped(
    instruction: &Instruction,
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> Result<TrappedAccess, DecodeError> {
    let decoded = DecodedInstruction { instruction, mode, registers, popped: 0 };
    decoded
        .string()
        .or_else(|| decoded.access())
        .or_else(|| decoded.stack())
        .ok_or(DecodeError::Unsupported(instruction.mnemonic()))
}

/// The longest instruction in bytes [SDM2A 2.3.11].
const LONGEST: usize = 15;
/// Instructions that are remembered.
const REMEMBERED: usize = 8;

/// Where an instruction is, how the processor reads it, and its bytes: all that decoding depends on.
type DecoderInput = (u64, CpuMode, [u8; LONGEST]);

/// Instructions as they were decoded last: drivers access their devices from a few places, again and again. A guest may
/// change its code at any time, so its bytes are fetched each time, and compared.
#[derive(Debug, Default)]
pub struct DecoderMemory {
    /// By the low bits of the instruction pointer.
    known: [Option<(DecoderInput, Instruction)>; REMEMBERED],
}

impl DecoderMemory {
    /// As [`decode`](fn@decode).
    ///
    /// # Errors
    /// As [`decode`](fn@decode).
    pub fn decode(
        &mut self,
        bytes: &[u8],
        mode: CpuMode,
        registers: &impl RegisterFile,
    ) -> Result<TrappedAccess, DecodeError> {
        let rip = registers.rip();
        // Near the end of what the guest has mapped, there are fewer.
        let Some(whole) = bytes.first_chunk() else { return decode(bytes, mode, registers) };
        let known = &mut self.known[usize::from(low_u8(rip)) % REMEMBERED];
        if let Some((input, instruction)) = known
            && *input == (rip, mode, *whole)
        {
            return trapped(instruction, mode, registers);
        }
        let (_, instruction) = known.insert(((rip, mode, *whole), instruction(bytes, mode, rip)?));
        trapped(instruction, mode, registers)
    }
}

/// The instruction at the beginning of `bytes`, located at `rip`. Where the vendors differ, AMD's encodings are
/// used: LOCK MOV CR0 accesses CR8 there. On Intel processors it is invalid and faults before it can exit.
pub(crate) fn instruction(bytes: &[u8], mode: CpuMode, rip: u64) -> Result<Instruction, DecodeError> {
    let mut decoder = Decoder::try_with_ip(mode.bits(), bytes, rip, DecoderOptions::AMD)
        .map_err(|_| DecodeError::Invalid)?;
    let instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => Ok(instruction),
        DecoderError::NoMoreBytes => Err(DecodeError::Truncated(bytes.len())),
        _ => Err(DecodeError::Invalid),
    }
}

/// The linear address of memory operand `operand`.
pub(crate) fn operand_linear(
    instruction: &Instruction,
    operand: u32,
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> u64 {
    DecodedInstruction { instruction, mode, registers, popped: 0 }.linear(operand, 0)
}

/// An instruction with the processor state that its operands depend on.
pub(crate) struct DecodedInstruction<'a, R> {
    pub(crate) instruction: &'a Instruction,
    pub(crate) mode: CpuMode,
    pub(crate) registers: &'a R,
    /// Bytes that POP takes from the stack before it computes the address of its operand [SDM2B POP].
    pub(crate) popped: u64,
}

impl<R: RegisterFile> DecodedInstruction<'_, R> {
    /// The access of an instruction with one explicit memory operand.
    fn access(&self) -> Option<TrappedAccess> {
        let width = Width::from_bytes(self.instruction.memory_size().size())?;
        let operands = self.operands()?;
        let (operation, operand_use) = self
            .bit(&operands, width)
            .or_else(|| self.operation(&operands, width))
            .or_else(|| self.rare(&operands, width))?;
        let operand = u32::from(matches!(operands, Operands::RegisterMemory(_)));
        let linear = self.linear(operand, self.bit_string_offset(&operands, width));
        Some(TrappedAccess {
            mode: self.mode,
            length: length(self.instruction),
            width,
            source: matches!(operand_use, OperandUse::Read | OperandUse::ReadWrite).then_some(linear),
            destination: matches!(operand_use, OperandUse::Write | OperandUse::ReadWrite).then_some(linear),
            operation,
            form: AccessForm::Plain,
        })
    }

    /// The kinds of the operands, or `None` when they are not of a supported kind.
    fn operands(&self) -> Option<Operands> {
        let instruction = self.instruction;
        match (instruction.op_count(), instruction.op0_kind(), instruction.op1_kind()) {
            (1, OpKind::Memory, _) => Some(Operands::Memory),
            (2 | 3, OpKind::Memory, OpKind::Register) => {
                RegisterPart::of(instruction.op1_register()).map(Operands::MemoryRegister)
            }
            (2 | 3, OpKind::Register, OpKind::Memory) => {
                RegisterPart::of(instruction.op0_register()).map(Operands::RegisterMemory)
            }
            (2, OpKind::Memory, _) => instruction.try_immediate(1).ok().map(Operands::MemoryImmediate),
            _ => None,
        }
    }

    /// What the instruction does to its memory operand, or `None` when that is not emulated.
    fn operation(&self, operands: &Operands, width: Width) -> Option<(DataOperation, OperandUse)> {
        let right = match *operands {
            Operands::MemoryRegister(part) => Some(part.read(self.registers)),
            Operands::MemoryImmediate(value) => Some(value & width.mask()),
            Operands::Memory | Operands::RegisterMemory(_) => None,
        };
        let mnemonic = self.instruction.mnemonic();
        if let Some((operation, keep)) = binary(mnemonic) {
            return match (operands, right) {
                (Operands::RegisterMemory(left), _) => {
                    Some((DataOperation::RegisterBinary { operation, left: *left, keep }, OperandUse::Read))
                }
                (_, Some(right)) => {
                    let operand_use = if keep { OperandUse::ReadWrite } else { OperandUse::Read };
                    Some((DataOperation::Binary { operation, right }, operand_use))
                }
                _ => None,
            };
        }
        match (mnemonic, operands) {
            (Mnemonic::Mov | Mnemonic::Movzx, Operands::RegisterMemory(into)) => {
                Some((DataOperation::Load { into: *into, signed: false }, OperandUse::Read))
            }
            (Mnemonic::Movsx | Mnemonic::Movsxd, Operands::RegisterMemory(into)) => {
                Some((DataOperation::Load { into: *into, signed: true }, OperandUse::Read))
            }
            (Mnemonic::Mov, _) => Some((DataOperation::Store { value: right? }, OperandUse::Write)),
            (Mnemonic::Xchg, Operands::MemoryRegister(with)) => {
                Some((DataOperation::Exchange { with: *with }, OperandUse::ReadWrite))
            }
            (Mnemonic::Xadd, Operands::MemoryRegister(with)) => {
                Some((DataOperation::ExchangeAdd { with: *with }, OperandUse::ReadWrite))
            }
            (Mnemonic::Cmpxchg, _) => {
                Some((DataOperation::CompareExchange { replacement: right? }, OperandUse::ReadWrite))
            }
            (_, Operands::Memory) => {
                unary(mnemonic).map(|unary| (DataOperation::Unary(unary), OperandUse::ReadWrite))
            }
            _ => None,
        }
    }

    /// The operation of an instruction that drivers do not use on device registers.
    fn rare(&self, operands: &Operands, width: Width) -> Option<(DataOperation, OperandUse)> {
        let instruction = self.instruction;
        let right = match *operands {
            Operands::MemoryRegister(part) => Some(part.read(self.registers)),
            Operands::MemoryImmediate(value) => Some(value),
            Operands::Memory | Operands::RegisterMemory(_) => None,
        };
        let third = match instruction.op_count() {
            3 if instruction.op2_kind() == OpKind::Register => {
                RegisterPart::of(instruction.op2_register()).map(|part| part.read(self.registers))
            }
            3 => instruction.try_immediate(2).ok(),
            _ => None,
        };
        let register = match *operands {
            Operands::RegisterMemory(part) => part.read(self.registers),
            _ => 0,
        };
        rare(instruction.mnemonic(), operands, (right, third, register), width, self.registers.rflags())
    }

    /// The operation of BT, BTS, BTR and BTC; `None` for other instructions.
    fn bit(&self, operands: &Operands, width: Width) -> Option<(DataOperation, OperandUse)> {
        let (operation, operand_use) = bit(self.instruction.mnemonic())?;
        let offset = match *operands {
            Operands::MemoryRegister(part) => part.read(self.registers),
            Operands::MemoryImmediate(value) => value,
            Operands::Memory | Operands::RegisterMemory(_) => return None,
        };
        Some((
            DataOperation::Bit { operation, mask: 1 << (offset % (8 * width.bytes() as u64)) },
            operand_use,
        ))
    }

    /// Distance in bytes from the encoded address to the operand that holds the bit. A bit offset in a register
    /// is signed and can select a bit outside of the operand; the distance is then a multiple of the operand's
    /// size [SDM2A 3.1.1.9 "Bit(BitBase, BitOffset)"]. Zero for all other instructions.
    fn bit_string_offset(&self, operands: &Operands, width: Width) -> u64 {
        match (self.instruction.mnemonic(), operands) {
            (
                Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc,
                Operands::MemoryRegister(part),
            ) => {
                let offset = sign_extend(width, part.read(self.registers)).cast_signed();
                let bytes = (width.bytes() as u64).cast_signed();
                (offset.div_euclid(8 * bytes) * bytes).cast_unsigned()
            }
            _ => 0,
        }
    }

    /// The linear address `beyond` bytes above memory operand `operand`.
    pub(crate) fn linear(&self, operand: u32, beyond: u64) -> u64 {
        let instruction = self.instruction;
        let kind = instruction.op_kind(operand);
        // Registers in an address are general-purpose ones, or the instruction pointer, which the decoder has added.
        let part = |register: Register| {
            Gpr::containing(register).map_or(0, |gpr| {
                let popped = if gpr == Gpr::Rsp { self.popped } else { 0 };
                let width = size_of(register);
                RegisterPart::low(gpr, width).read(self.registers).wrapping_add(popped) & width.mask()
            })
        };
        let offset = if kind == OpKind::Memory {
            let index =
                part(instruction.memory_index()).wrapping_mul(instruction.memory_index_scale().into());
            instruction
                .memory_displacement64()
                .wrapping_add(part(instruction.memory_base()))
                .wrapping_add(index)
        } else {
            // Segment bases are taken as zero here, so that `beyond` wraps within the segment.
            instruction.virtual_address(operand, 0, |register, _, _| Some(part(register))).unwrap_or(0)
        };
        let mask = address_width(kind).unwrap_or_else(|| self.address_width()).mask();
        let segment = match kind {
            OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI => Register::ES,
            _ => instruction.memory_segment(),
        };
        let base = self.segment_base(segment);
        self.mode.wrap_linear(base.wrapping_add(offset.wrapping_add(beyond) & mask))
    }

    /// The base of a segment. In 64-bit mode, the bases of all segments but FS and GS are zero [SDM1 3.3.4].
    pub(crate) fn segment_base(&self, segment: Register) -> u64 {
        let segment = match segment {
            Register::FS => SegmentRegister::Fs,
            Register::GS => SegmentRegister::Gs,
            _ if self.mode == CpuMode::Bits64 => return 0,
            Register::ES => SegmentRegister::Es,
            Register::CS => SegmentRegister::Cs,
            Register::SS => SegmentRegister::Ss,
            _ => SegmentRegister::Ds,
        };
        self.registers.segment_base(segment)
    }

    /// The width of the explicit memory operand's address.
    fn address_width(&self) -> Width {
        let instruction = self.instruction;
        let register = match (instruction.memory_base(), instruction.memory_index()) {
            (Register::None, index) => index,
            (base, _) => base,
        };
        let displacement = instruction.memory_displ_size() as usize;
        let bytes = if register == Register::None { displacement } else { register.size() };
        Width::from_bytes(bytes).unwrap_or(Width::Qword)
    }
}

/// The length of an instruction in bytes.
#[expect(clippy::cast_possible_truncation, reason = "an instruction has at most 15 bytes")]
pub(crate) fn length(instruction: &Instruction) -> u8 {
    instruction.len() as u8
}

/// The address width of a string operand, or `None` when the operand is of another kind.
pub(crate) fn address_width(kind: OpKind) -> Option<Width> {
    Some(match kind {
        OpKind::MemorySegSI | OpKind::MemoryESDI => Width::Word,
        OpKind::MemorySegESI | OpKind::MemoryESEDI => Width::Dword,
        OpKind::MemorySegRSI | OpKind::MemoryESRDI => Width::Qword,
        _ => return None,
    })
}

fn size_of(register: Register) -> Width {
    Width::from_bytes(register.size()).unwrap_or(Width::Qword)
}
