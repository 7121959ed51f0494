//! From instruction bytes to an [`Access`].

use crate::access::{Action, StringStep, sign_extend};
use crate::alu::{Binary, Bit, Unary};
use crate::register::Part;
use crate::{Access, CpuMode, DecodeError, Gpr, RegisterFile, Segment};
use base::Width;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Builds the decoder's tables, which are allocated once: call at boot, so that [`decode`] never allocates.
pub fn prepare() {
    let _ = Decoder::new(64, &[], DecoderOptions::NONE);
}

/// Decodes the instruction at the beginning of `bytes`, which was fetched from the instruction pointer of
/// `registers` and accessed memory that trapped.
///
/// `bytes` may go on behind the instruction, and may be short of the 15 that an instruction can have when
/// the next page cannot be read.
///
/// # Errors
/// [`DecodeError`] when there is no such instruction, or its access cannot be emulated.
pub fn decode(bytes: &[u8], mode: CpuMode, registers: &impl RegisterFile) -> Result<Access, DecodeError> {
    let instruction = instruction(bytes, mode, registers.rip())?;
    let context = Context { instruction: &instruction, mode, registers };
    context.string().or_else(|| context.access()).ok_or(DecodeError::Unsupported(instruction.mnemonic()))
}

/// The instruction at the beginning of `bytes`, which stands at `rip`. AMD's encodings are taken where the
/// vendors differ: LOCK MOV CR0 is CR8 there, and invalid, which the processor has seen before, on Intel's.
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

/// The linear address of a string operand.
pub(crate) fn string_linear(
    instruction: &Instruction,
    operand: u32,
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> u64 {
    Context { instruction, mode, registers }.linear(operand, 0)
}

/// The operands of an instruction with one explicit memory operand.
enum Operands {
    /// `neg [x]`
    Memory,
    /// `mov [x], ecx`
    MemoryRegister(Part),
    /// `mov [x], 5`, sign-extended as the encoding says.
    MemoryImmediate(u64),
    /// `mov ecx, [x]`
    RegisterMemory(Part),
}

/// Which ways data flows between the instruction and its memory operand.
enum Flow {
    In,
    Out,
    Both,
}

struct Context<'a, R> {
    instruction: &'a Instruction,
    mode: CpuMode,
    registers: &'a R,
}

impl<R: RegisterFile> Context<'_, R> {
    /// The access of an instruction with one explicit memory operand.
    fn access(&self) -> Option<Access> {
        let width = Width::from_bytes(self.instruction.memory_size().size())?;
        let operands = self.operands()?;
        let (action, flow) = self.bit(&operands, width).or_else(|| self.action(&operands, width))?;
        let operand = u32::from(matches!(operands, Operands::RegisterMemory(_)));
        let linear = self.linear(operand, self.bit_string_offset(&operands, width));
        Some(Access {
            mode: self.mode,
            length: self.length(),
            width,
            source: matches!(flow, Flow::In | Flow::Both).then_some(linear),
            destination: matches!(flow, Flow::Out | Flow::Both).then_some(linear),
            action,
            string: None,
        })
    }

    fn operands(&self) -> Option<Operands> {
        let instruction = self.instruction;
        match (instruction.op_count(), instruction.op0_kind(), instruction.op1_kind()) {
            (1, OpKind::Memory, _) => Some(Operands::Memory),
            (2, OpKind::Memory, OpKind::Register) => {
                Part::of(instruction.op1_register()).map(Operands::MemoryRegister)
            }
            (2, OpKind::Register, OpKind::Memory) => {
                Part::of(instruction.op0_register()).map(Operands::RegisterMemory)
            }
            (2, OpKind::Memory, _) => instruction.try_immediate(1).ok().map(Operands::MemoryImmediate),
            _ => None,
        }
    }

    fn action(&self, operands: &Operands, width: Width) -> Option<(Action, Flow)> {
        let right = match *operands {
            Operands::MemoryRegister(part) => Some(part.read(self.registers)),
            Operands::MemoryImmediate(value) => Some(value & width.mask()),
            Operands::Memory | Operands::RegisterMemory(_) => None,
        };
        let mnemonic = self.instruction.mnemonic();
        if let Some((operation, keep)) = binary(mnemonic) {
            return match (operands, right) {
                (Operands::RegisterMemory(left), _) => {
                    Some((Action::RegisterBinary { operation, left: *left, keep }, Flow::In))
                }
                (_, Some(right)) => {
                    let flow = if keep { Flow::Both } else { Flow::In };
                    Some((Action::Binary { operation, right }, flow))
                }
                _ => None,
            };
        }
        match (mnemonic, operands) {
            (Mnemonic::Mov | Mnemonic::Movzx, Operands::RegisterMemory(into)) => {
                Some((Action::Load { into: *into, signed: false }, Flow::In))
            }
            (Mnemonic::Movsx | Mnemonic::Movsxd, Operands::RegisterMemory(into)) => {
                Some((Action::Load { into: *into, signed: true }, Flow::In))
            }
            (Mnemonic::Mov, _) => Some((Action::Store { value: right? }, Flow::Out)),
            (Mnemonic::Xchg, Operands::MemoryRegister(with)) => {
                Some((Action::Exchange { with: *with }, Flow::Both))
            }
            (Mnemonic::Xadd, Operands::MemoryRegister(with)) => {
                Some((Action::ExchangeAdd { with: *with }, Flow::Both))
            }
            (Mnemonic::Cmpxchg, _) => Some((Action::CompareExchange { replacement: right? }, Flow::Both)),
            (_, Operands::Memory) => unary(mnemonic).map(|unary| (Action::Unary(unary), Flow::Both)),
            _ => None,
        }
    }

    /// BT, BTS, BTR and BTC.
    fn bit(&self, operands: &Operands, width: Width) -> Option<(Action, Flow)> {
        let (operation, flow) = match self.instruction.mnemonic() {
            Mnemonic::Bt => (Bit::Keep, Flow::In),
            Mnemonic::Bts => (Bit::Set, Flow::Both),
            Mnemonic::Btr => (Bit::Reset, Flow::Both),
            Mnemonic::Btc => (Bit::Complement, Flow::Both),
            _ => return None,
        };
        let offset = match *operands {
            Operands::MemoryRegister(part) => part.read(self.registers),
            Operands::MemoryImmediate(value) => value,
            Operands::Memory | Operands::RegisterMemory(_) => return None,
        };
        Some((Action::Bit { operation, mask: 1 << (offset % (8 * width.bytes() as u64)) }, flow))
    }

    /// A bit offset in a register is signed and reaches beyond the operand: how many bytes beyond, in whole
    /// operands [SDM2A 3.1.1.9 "Bit(BitBase, BitOffset)"]. Zero for all other instructions.
    fn bit_string_offset(&self, operands: &Operands, width: Width) -> u64 {
        match (self.instruction.mnemonic(), operands) {
            (
                Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc,
                Operands::MemoryRegister(part),
            ) => {
                let offset = sign_extend(width, part.read(self.registers)) as i64;
                let bytes = width.bytes() as i64;
                (offset.div_euclid(8 * bytes) * bytes) as u64
            }
            _ => 0,
        }
    }

    /// MOVS, STOS and LODS.
    fn string(&self) -> Option<Access> {
        let instruction = self.instruction;
        let stores = address_width(instruction.op0_kind());
        let loads = address_width(instruction.op1_kind());
        let address_width = stores.or(loads)?;
        let width = Width::from_bytes(instruction.memory_size().size())?;
        let mut action = match instruction.mnemonic() {
            Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => Action::Copy,
            Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
                Action::Store { value: Part::low(Gpr::Rax, width).read(self.registers) }
            }
            Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => {
                Action::Load { into: Part::low(Gpr::Rax, width), signed: false }
            }
            _ => return None,
        };
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        if repeated && Part::low(Gpr::Rcx, address_width).read(self.registers) == 0 {
            action = Action::Nothing;
        }
        let acts = action != Action::Nothing;
        Some(Access {
            mode: self.mode,
            length: self.length(),
            width,
            source: loads.filter(|_| acts).map(|_| self.linear(1, 0)),
            destination: stores.filter(|_| acts).map(|_| self.linear(0, 0)),
            action,
            string: Some(StringStep {
                address_width,
                uses_rsi: loads.is_some(),
                uses_rdi: stores.is_some(),
                repeated,
            }),
        })
    }

    /// The linear address of memory operand `operand`, `beyond` bytes further on.
    fn linear(&self, operand: u32, beyond: u64) -> u64 {
        let instruction = self.instruction;
        let kind = instruction.op_kind(operand);
        // Segment bases count as zero here, so that `beyond` wraps within the segment. Every other register
        // of an address is a general-purpose one, or the instruction pointer, which the decoder has added.
        let offset = instruction
            .virtual_address(operand, 0, |register, _, _| {
                Some(
                    Gpr::containing(register)
                        .map_or(0, |gpr| Part::low(gpr, size_of(register)).read(self.registers)),
                )
            })
            .unwrap_or(0);
        let mask = address_width(kind).unwrap_or_else(|| self.address_width()).mask();
        let segment = match kind {
            OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI => Register::ES,
            _ => instruction.memory_segment(),
        };
        let base = self.segment_base(segment);
        self.mode.wrap_linear(base.wrapping_add(offset.wrapping_add(beyond) & mask))
    }

    /// In 64-bit mode the bases of all segments but FS and GS are zero [SDM1 3.3.4].
    fn segment_base(&self, segment: Register) -> u64 {
        let segment = match segment {
            Register::FS => Segment::Fs,
            Register::GS => Segment::Gs,
            _ if self.mode == CpuMode::Bits64 => return 0,
            Register::ES => Segment::Es,
            Register::CS => Segment::Cs,
            Register::SS => Segment::Ss,
            _ => Segment::Ds,
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

    fn length(&self) -> u8 {
        // At most 15.
        self.instruction.len() as u8
    }
}

/// Instructions with two operands, and whether the result is kept.
fn binary(mnemonic: Mnemonic) -> Option<(Binary, bool)> {
    Some(match mnemonic {
        Mnemonic::Add => (Binary::Add, true),
        Mnemonic::Adc => (Binary::Adc, true),
        Mnemonic::Sub => (Binary::Sub, true),
        Mnemonic::Sbb => (Binary::Sbb, true),
        Mnemonic::And => (Binary::And, true),
        Mnemonic::Or => (Binary::Or, true),
        Mnemonic::Xor => (Binary::Xor, true),
        Mnemonic::Cmp => (Binary::Sub, false),
        Mnemonic::Test => (Binary::And, false),
        _ => return None,
    })
}

fn unary(mnemonic: Mnemonic) -> Option<Unary> {
    Some(match mnemonic {
        Mnemonic::Inc => Unary::Inc,
        Mnemonic::Dec => Unary::Dec,
        Mnemonic::Not => Unary::Not,
        Mnemonic::Neg => Unary::Neg,
        _ => return None,
    })
}

/// The address width of a string operand, or `None` when the operand is not one.
fn address_width(kind: OpKind) -> Option<Width> {
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
