//! Accesses of more than 8 bytes, and those of vector registers: moves of SSE and AVX, and CMPXCHG16B.
//!
//! A driver does not use them on purpose; the copy routines of C libraries do.

use crate::alu::{RF, ZF};
use crate::decode::{DecodedInstruction, instruction, length};
use crate::register::Vector;
use crate::vex::Unvexed;
use crate::{CpuMode, DecodeError, Gpr, RegisterFile};
use base::Width;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// Bytes of an XMM register.
const XMM: usize = 16;

/// The access of one instruction with an operand of up to 32 bytes.
///
/// ```
/// use mmio::{CpuMode, Gpr, RegisterFile, wide};
/// use testkit::FakeRegisters;
///
/// let mut registers = FakeRegisters::numbered();
/// registers.set(Gpr::Rbx, 0xfebc_0000);
/// // movdqu [rbx], xmm1
/// let access = wide::decode(&[0xf3, 0x0f, 0x7f, 0x0b], CpuMode::Bits64, &registers)?;
/// assert_eq!((access.linear(), access.bytes()), (0xfebc_0000, 16));
/// assert!(access.writes() && !access.reads());
/// registers.set_vector(1, [7; 32]);
/// let written = access.complete(&[0; 32], &mut registers);
/// assert_eq!(written.map(|bytes| bytes[..16] == [7; 16]), Some(true));
/// # Ok::<(), mmio::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WideAccess {
    mode: CpuMode,
    length: u8,
    bytes: u8,
    linear: u64,
    operation: WideOperation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WideOperation {
    Load(VectorLoad),
    /// The bytes from `at` on are written.
    Store {
        from: u8,
        at: u8,
    },
    CompareExchange,
}

/// What a load leaves in its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VectorLoad {
    into: u8,
    /// Where the bytes go.
    at: u8,
    /// Where the other bytes of the low half come from; zeros if nowhere.
    rest: Option<u8>,
    /// The high half is cleared; otherwise it stays.
    clears_high: bool,
}

/// How an instruction moves.
enum MoveKind {
    /// The whole register: 16 bytes, or 32.
    Whole,
    /// This many bytes of the low end; a load clears what is above.
    Low(u8),
    /// 8 bytes at this place; a load keeps the other half.
    Half(u8),
}

impl WideAccess {
    /// The linear address of the operand.
    #[must_use]
    pub fn linear(&self) -> u64 {
        self.linear
    }

    /// Bytes of the operand: 4, 8, 16 or 32.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::from(self.bytes)
    }

    /// The length of the instruction in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The operand is read.
    #[must_use]
    pub fn reads(&self) -> bool {
        !matches!(self.operation, WideOperation::Store { .. })
    }

    /// The operand is written.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.operation, WideOperation::Load(_))
    }

    /// The pieces in which a device sees the access, in ascending order: linear address, offset in the operand, and
    /// width. Processors do not promise that wider accesses are made at once [SDM3A 9.1.1].
    pub fn pieces(&self) -> impl Iterator<Item = (u64, usize, Width)> + use<> {
        let Self { mode, linear, .. } = *self;
        let width = if self.bytes == 4 { Width::Dword } else { Width::Qword };
        (0..self.bytes())
            .step_by(8)
            .map(move |offset| (mode.wrap_linear(linear.wrapping_add(offset as u64)), offset, width))
    }

    /// Updates registers, flags and instruction pointer as the instruction does, and returns the bytes to write, of
    /// which the first [`bytes`](Self::bytes) count. `read` are the bytes read.
    pub fn complete(&self, read: &Vector, registers: &mut impl RegisterFile) -> Option<Vector> {
        let mut flags = registers.rflags();
        let written = match self.operation {
            WideOperation::Load(load) => {
                load.perform(&read[..self.bytes()], registers);
                None
            }
            WideOperation::Store { from, at } => {
                let mut value = registers.vector(from);
                value.rotate_left(usize::from(at));
                Some(value)
            }
            WideOperation::CompareExchange => Some(compare_exchange(read, &mut flags, registers)),
        };
        let next = registers.rip().wrapping_add(u64::from(self.length));
        registers.set_rip(self.mode.wrap_instruction_pointer(next));
        registers.set_rflags(flags & !RF);
        written
    }
}

impl VectorLoad {
    fn perform(self, read: &[u8], registers: &mut impl RegisterFile) {
        let before = registers.vector(self.into);
        let mut value = [0; 32];
        if let Some(rest) = self.rest {
            value[..XMM].copy_from_slice(&registers.vector(rest)[..XMM]);
        }
        if !self.clears_high {
            value[XMM..].copy_from_slice(&before[XMM..]);
        }
        let at = usize::from(self.at);
        value[at..at + read.len()].copy_from_slice(read);
        registers.set_vector(self.into, value);
    }
}

/// CMPXCHG16B with the bytes read: returns those to write, which are the same ones if they differ from RDX:RAX.
fn compare_exchange(read: &Vector, flags: &mut u64, registers: &mut impl RegisterFile) -> Vector {
    let half = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&read[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (low, high) = (half(0), half(8));
    if (low, high) != (registers.get(Gpr::Rax), registers.get(Gpr::Rdx)) {
        *flags &= !ZF;
        registers.set(Gpr::Rax, low);
        registers.set(Gpr::Rdx, high);
        return *read;
    }
    *flags |= ZF;
    let mut written = [0; 32];
    written[..8].copy_from_slice(&registers.get(Gpr::Rbx).to_le_bytes());
    written[8..XMM].copy_from_slice(&registers.get(Gpr::Rcx).to_le_bytes());
    written
}

/// Decodes the instruction at the beginning of `bytes`, for which [`decode`](crate::decode()) has no access.
///
/// # Errors
/// [`DecodeError`] when the bytes are not an instruction, or its access cannot be emulated.
pub fn decode(bytes: &[u8], mode: CpuMode, registers: &impl RegisterFile) -> Result<WideAccess, DecodeError> {
    let Some(vex) = Unvexed::new(bytes, mode) else {
        let instruction = instruction(bytes, mode, registers.rip())?;
        return access(&instruction, None, mode, registers)
            .ok_or(DecodeError::Unsupported(instruction.mnemonic()));
    };
    let unvexed = instruction(vex.bytes(), mode, vex.instruction_pointer(registers.rip()));
    // Without VEX the bytes are another instruction, or none, if they are no move.
    let access = unvexed.ok().and_then(|instruction| access(&instruction, Some(&vex), mode, registers));
    access.ok_or(DecodeError::UnsupportedVex)
}

fn access(
    instruction: &Instruction,
    vex: Option<&Unvexed>,
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> Option<WideAccess> {
    let (bytes, operand, operation) = match vex {
        None if instruction.mnemonic() == Mnemonic::Cmpxchg16b => (16, 0, WideOperation::CompareExchange),
        _ => vector_move(instruction, vex)?,
    };
    let decoded = DecodedInstruction { instruction, mode, registers, popped: 0 };
    let length = length(instruction);
    Some(WideAccess {
        mode,
        length: vex.map_or(length, |vex| vex.length(length)),
        bytes,
        linear: decoded.linear(operand, 0),
        operation,
    })
}

/// Bytes, memory operand and operation of a move.
fn vector_move(instruction: &Instruction, vex: Option<&Unvexed>) -> Option<(u8, u32, WideOperation)> {
    let kind = move_kind(instruction.mnemonic())?;
    let wide = vex.is_some_and(|vex| vex.wide);
    let (bytes, at) = match kind {
        MoveKind::Whole => (if wide { 32 } else { 16 }, 0),
        MoveKind::Low(bytes) => (bytes, 0),
        MoveKind::Half(at) => (8, at),
    };
    match (instruction.op0_kind(), instruction.op1_kind()) {
        (OpKind::Memory, OpKind::Register) => {
            Some((bytes, 0, WideOperation::Store { from: xmm(instruction.op1_register())?, at }))
        }
        (OpKind::Register, OpKind::Memory) => {
            let into = xmm(instruction.op0_register())?;
            let rest = match kind {
                MoveKind::Half(_) => Some(vex.map_or(into, |vex| vex.other)),
                MoveKind::Whole | MoveKind::Low(_) => None,
            };
            let load = VectorLoad { into, at, rest, clears_high: vex.is_some() };
            Some((bytes, 1, WideOperation::Load(load)))
        }
        _ => None,
    }
}

fn move_kind(mnemonic: Mnemonic) -> Option<MoveKind> {
    Some(match mnemonic {
        Mnemonic::Movaps
        | Mnemonic::Movapd
        | Mnemonic::Movups
        | Mnemonic::Movupd
        | Mnemonic::Movdqa
        | Mnemonic::Movdqu
        | Mnemonic::Lddqu
        | Mnemonic::Movntps
        | Mnemonic::Movntpd
        | Mnemonic::Movntdq
        | Mnemonic::Movntdqa => MoveKind::Whole,
        Mnemonic::Movss | Mnemonic::Movd | Mnemonic::Movntss => MoveKind::Low(4),
        Mnemonic::Movsd | Mnemonic::Movq | Mnemonic::Movntsd => MoveKind::Low(8),
        Mnemonic::Movlps | Mnemonic::Movlpd => MoveKind::Half(0),
        Mnemonic::Movhps | Mnemonic::Movhpd => MoveKind::Half(8),
        _ => return None,
    })
}

/// The number of an XMM register.
fn xmm(register: Register) -> Option<u8> {
    let number = (register as usize).checked_sub(Register::XMM0 as usize)?;
    u8::try_from(number).ok().filter(|number| *number < 16)
}
