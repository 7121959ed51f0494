//! What a trapped instruction does to memory, and completing it.

use crate::alu::{Binary, Bit, DF, RF, Unary};
use crate::register::Part;
use crate::{CpuMode, Gpr, RegisterFile};
use base::Width;

/// What one instruction, or one step of a repeated one, does to memory.
///
/// The caller translates [`Access::source`] and [`Access::destination`] with the guest's paging, so that
/// nothing can fail later; reads the source, be it memory or a device; calls [`Access::complete`]; and
/// writes what that returns to the destination. Where both are given and are equal (`or [x], 1`) they are
/// the faulting access; where they differ (MOVS) at least one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub(crate) mode: CpuMode,
    pub(crate) length: u8,
    pub(crate) width: Width,
    pub(crate) source: Option<u64>,
    pub(crate) destination: Option<u64>,
    pub(crate) action: Action,
    pub(crate) string: Option<StringStep>,
}

/// What is done with the value read, if any, to get the value to write, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Neither: a repeated instruction with a count of zero.
    Nothing,
    /// The value read goes to a register, which may be wider.
    Load { into: Part, signed: bool },
    /// The value was in a register or the instruction.
    Store { value: u64 },
    /// The value read is written elsewhere.
    Copy,
    /// Memory is the left operand.
    Binary { operation: Binary, right: u64 },
    /// A register is the left operand, and receives the result if `keep`.
    RegisterBinary { operation: Binary, left: Part, keep: bool },
    /// Memory is the only operand.
    Unary(Unary),
    /// One bit of memory.
    Bit { operation: Bit, mask: u64 },
    /// XCHG.
    Exchange { with: Part },
    /// XADD.
    ExchangeAdd { with: Part },
    /// CMPXCHG.
    CompareExchange { replacement: u64 },
}

/// How a string instruction moves on [SDM1 7.3.9].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StringStep {
    /// The part of RSI, RDI and RCX that counts.
    pub address_width: Width,
    /// RSI points to the source.
    pub uses_rsi: bool,
    /// RDI points to the destination.
    pub uses_rdi: bool,
    /// RCX counts.
    pub repeated: bool,
}

impl Access {
    /// How many bytes are read, written, or both.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    /// The length of the instruction in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The linear address that is read, or `None` when nothing is.
    #[must_use]
    pub fn source(&self) -> Option<u64> {
        self.source
    }

    /// The linear address that is written, or `None` when nothing is.
    #[must_use]
    pub fn destination(&self) -> Option<u64> {
        self.destination
    }

    /// Changes the registers, flags and instruction pointer as the instruction does, given the value `read`
    /// from the source (ignored when there is none), and returns the value to write to the destination.
    ///
    /// A repeated instruction that has not finished keeps its instruction pointer: the guest executes it
    /// again, and takes interrupts in between. What is not in the [`RegisterFile`] stays with the caller:
    /// the interrupt shadow of STI and MOV SS ends, and a single-step trap may be due.
    pub fn complete(&self, read: u64, registers: &mut impl RegisterFile) -> Option<u64> {
        let before = registers.rflags();
        let mut flags = before;
        let written = self.act(read & self.width.mask(), &mut flags, registers);
        let finished = self.string.is_none_or(|string| self.step(string, before, registers));
        if finished {
            let next = registers.rip().wrapping_add(u64::from(self.length));
            registers.set_rip(self.mode.wrap_instruction_pointer(next));
            flags &= !RF;
        }
        if flags != before {
            registers.set_rflags(flags);
        }
        self.destination.map(|_| written & self.width.mask())
    }

    fn act(&self, read: u64, flags: &mut u64, registers: &mut impl RegisterFile) -> u64 {
        let width = self.width;
        match self.action {
            Action::Nothing => 0,
            Action::Load { into, signed } => {
                into.write(registers, if signed { sign_extend(width, read) } else { read });
                0
            }
            Action::Store { value } => value,
            Action::Copy => read,
            Action::Binary { operation, right } => operation.apply(width, read, right, flags),
            Action::RegisterBinary { operation, left, keep } => {
                let result = operation.apply(width, left.read(registers), read, flags);
                if keep {
                    left.write(registers, result);
                }
                0
            }
            Action::Unary(operation) => operation.apply(width, read, flags),
            Action::Bit { operation, mask } => operation.apply(read, mask, flags),
            Action::Exchange { with } => {
                let value = with.read(registers);
                with.write(registers, read);
                value
            }
            Action::ExchangeAdd { with } => {
                let sum = Binary::Add.apply(width, read, with.read(registers), flags);
                with.write(registers, read);
                sum
            }
            Action::CompareExchange { replacement } => {
                let accumulator = Part::low(Gpr::Rax, width);
                let expected = accumulator.read(registers);
                Binary::Sub.apply(width, expected, read, flags);
                if read == expected {
                    return replacement;
                }
                // The processor writes back what it read [SDM2A CMPXCHG].
                accumulator.write(registers, read);
                read
            }
        }
    }

    /// Moves the registers of a string instruction on; returns whether it has finished.
    fn step(&self, string: StringStep, flags: u64, registers: &mut impl RegisterFile) -> bool {
        if self.action == Action::Nothing {
            return true;
        }
        let bytes = self.width.bytes() as u64;
        let delta = if flags & DF == 0 { bytes } else { bytes.wrapping_neg() };
        let mut advance = |register, delta| {
            let part = Part::low(register, string.address_width);
            let value = part.read(registers).wrapping_add(delta) & string.address_width.mask();
            part.write(registers, value);
            value
        };
        if string.uses_rsi {
            advance(Gpr::Rsi, delta);
        }
        if string.uses_rdi {
            advance(Gpr::Rdi, delta);
        }
        !string.repeated || advance(Gpr::Rcx, u64::MAX) == 0
    }
}

/// Extends the sign of the low `width` of `value` to 64 bits.
pub(crate) fn sign_extend(width: Width, value: u64) -> u64 {
    let unused = 64 - 8 * width.bytes() as u32;
    ((value << unused) as i64 >> unused) as u64
}
