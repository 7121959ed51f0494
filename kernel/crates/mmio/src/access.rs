//! What a trapped instruction reads and writes, and how it completes.

use crate::alu::{Binary, Bit, DF, RF, Unary, ZF};
use crate::multiply;
use crate::operation::Count;
use crate::register::RegisterPart;
use crate::shift::{DoubleShift, Shift};
use crate::{AccessFault, CpuMode, Gpr, RegisterFile};
use base::Width;

/// The memory access of one instruction, or of one iteration of a repeated one.
///
/// The caller first translates [`source`](Self::source) and [`destination`](Self::destination) with the guest's
/// paging, so that no later step can fail. It then reads the source, which may be memory or a device, calls
/// [`complete`](Self::complete), and writes the value that this returns to the destination. If both addresses
/// are given and equal (`or [x], 1`), they are the address that trapped. If they differ (MOVS, PUSH), at least one of
/// them is. CMPS reads a [`second`](Self::second) operand, which the caller hands over by
/// [`with_second`](Self::with_second).
///
/// ```
/// use mmio::{CpuMode, Gpr, RegisterFile, decode};
/// use testkit::FakeRegisters;
///
/// let mut registers = FakeRegisters::numbered();
/// registers.set(Gpr::Rbx, 0xfebc_0000);
/// // or dword [rbx], 1: reads a register of the device and writes it back.
/// let access = decode(&[0x83, 0x0b, 0x01], CpuMode::Bits64, &registers)?;
/// assert_eq!(access.source(), Some(0xfebc_0000));
/// assert_eq!(access.destination(), Some(0xfebc_0000));
///
/// let before = registers.rip();
/// let read = 0x80; // from the device
/// assert_eq!(access.complete(read, &mut registers), Ok(Some(0x81)));
/// assert_eq!(registers.rip(), before + 3);
/// # Ok::<(), mmio::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrappedAccess {
    pub(crate) mode: CpuMode,
    pub(crate) length: u8,
    pub(crate) width: Width,
    pub(crate) source: Option<u64>,
    pub(crate) destination: Option<u64>,
    pub(crate) operation: DataOperation,
    pub(crate) form: AccessForm,
}

/// What an instruction does besides its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessForm {
    /// Nothing.
    Plain,
    /// It advances the registers of a string instruction.
    String(StringStep),
    /// It leaves the stack pointer at this value.
    Stack { pointer: RegisterPart, value: u64 },
}

/// How the value written, if any, is computed from the value read, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataOperation {
    /// Nothing is read or written: a repeated instruction with a count of zero.
    Nothing,
    /// The value read is loaded into a register, which may be wider.
    Load { into: RegisterPart, signed: bool },
    /// A value from a register or from the instruction is written.
    Store { value: u64 },
    /// The value read is written to the destination.
    Copy,
    /// Memory is the left operand.
    Binary { operation: Binary, right: u64 },
    /// A register is the left operand, and receives the result if `keep` is set.
    RegisterBinary { operation: Binary, left: RegisterPart, keep: bool },
    /// Memory is the only operand.
    Unary(Unary),
    /// One bit of memory.
    Bit { operation: Bit, mask: u64 },
    /// XCHG.
    Exchange { with: RegisterPart },
    /// XADD.
    ExchangeAdd { with: RegisterPart },
    /// CMPXCHG.
    CompareExchange { replacement: u64 },
    /// CMPXCHG8B.
    CompareExchangePair,
    /// CMPS: the second operand lies at `at`, and is `value` once the caller has read it.
    CompareStrings { at: u64, value: u64 },
    /// CMOVcc: the register is written in any case.
    LoadIf { into: RegisterPart, condition: bool },
    /// MOVBE into a register.
    LoadSwapped { into: RegisterPart },
    /// Shifts and rotations.
    Shift { kind: Shift, count: u64 },
    /// SHLD and SHRD.
    DoubleShift { kind: DoubleShift, fill: u64, count: u64 },
    /// MUL and IMUL of the accumulator.
    Multiply { signed: bool },
    /// IMUL with a register as its destination.
    MultiplyInto { into: RegisterPart, factor: u64 },
    /// DIV and IDIV.
    Divide { signed: bool },
    /// POPCNT, TZCNT, LZCNT, BSF, BSR.
    Count { kind: Count, into: RegisterPart },
    /// JMP to the address that is read.
    Jump,
    /// CALL to the address that is read; this address is pushed.
    Call { back: u64 },
}

/// How a string instruction advances its registers [SDM1 7.3.9].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StringStep {
    /// The part of RSI, RDI and RCX that is used.
    pub address_width: Width,
    /// RSI points to the source.
    pub uses_rsi: bool,
    /// RDI points to the destination.
    pub uses_rdi: bool,
    /// RCX counts the iterations.
    pub repeated: bool,
    /// The iterations end when ZF is no longer this: REPE and REPNE of CMPS and SCAS.
    pub while_zero: Option<bool>,
}

impl TrappedAccess {
    /// The width of the value read, written, or both.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    /// The length of the instruction in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The linear address that is read, or `None` when nothing is read.
    #[must_use]
    pub fn source(&self) -> Option<u64> {
        self.source
    }

    /// The linear address that is written, or `None` when nothing is written.
    #[must_use]
    pub fn destination(&self) -> Option<u64> {
        self.destination
    }

    /// The linear address of the second operand that is read; it is read after the source.
    #[must_use]
    pub fn second(&self) -> Option<u64> {
        match self.operation {
            DataOperation::CompareStrings { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The same access with the value of the second operand.
    #[must_use]
    pub fn with_second(self, read: u64) -> Self {
        let value = read & self.width.mask();
        match self.operation {
            DataOperation::CompareStrings { at, .. } => {
                Self { operation: DataOperation::CompareStrings { at, value }, ..self }
            }
            _ => self,
        }
    }

    /// Updates registers, flags and instruction pointer as the instruction does, and returns the value to write
    /// to the destination. `read` is the value read from the source; it is ignored when there is no source.
    ///
    /// # Errors
    /// The exception that the instruction raises for this value.
    ///
    /// A repeated instruction that is not finished leaves the instruction pointer where it is: the guest
    /// executes the instruction again, and can take interrupts between iterations. State that is not in the
    /// [`RegisterFile`] is left to the caller: the interrupt shadow of STI and MOV SS ends, and a single-step
    /// trap may be due.
    pub fn complete(&self, read: u64, registers: &mut impl RegisterFile) -> Result<Option<u64>, AccessFault> {
        let before = registers.rflags();
        let mut flags = before;
        let read = read & self.width.mask();
        let jump = self.jump(read)?;
        let written = self.operate(read, &mut flags, registers)?;
        let finished = match self.form {
            AccessForm::Plain => true,
            AccessForm::String(string) => self.advance(string, flags, registers),
            AccessForm::Stack { pointer, value } => {
                pointer.write(registers, value);
                true
            }
        };
        if finished {
            let next = registers.rip().wrapping_add(u64::from(self.length));
            registers.set_rip(jump.unwrap_or_else(|| self.mode.wrap_instruction_pointer(next)));
            flags &= !RF;
        }
        if flags != before {
            registers.set_rflags(flags);
        }
        Ok(self.destination.map(|_| written & self.width.mask()))
    }

    /// Where a jump or call goes, if it is one.
    fn jump(&self, read: u64) -> Result<Option<u64>, AccessFault> {
        if !matches!(self.operation, DataOperation::Jump | DataOperation::Call { .. }) {
            return Ok(None);
        }
        // Guests have linear addresses of 48 bits.
        let canonical = ((read << 16).cast_signed() >> 16).cast_unsigned() == read;
        if self.mode == CpuMode::Bits64 && !canonical {
            return Err(AccessFault::GeneralProtection);
        }
        Ok(Some(read))
    }

    /// Performs the operation on registers and `flags` and returns the value to write.
    fn operate(
        &self,
        read: u64,
        flags: &mut u64,
        registers: &mut impl RegisterFile,
    ) -> Result<u64, AccessFault> {
        let width = self.width;
        Ok(match self.operation {
            DataOperation::Nothing | DataOperation::Jump => 0,
            DataOperation::Load { into, signed } => {
                into.write(registers, if signed { sign_extend(width, read) } else { read });
                0
            }
            DataOperation::Store { value } => value,
            DataOperation::Copy => read,
            DataOperation::Binary { operation, right } => operation.apply(width, read, right, flags),
            DataOperation::RegisterBinary { operation, left, keep } => {
                let result = operation.apply(width, left.read(registers), read, flags);
                if keep {
                    left.write(registers, result);
                }
                0
            }
            DataOperation::Unary(operation) => operation.apply(width, read, flags),
            DataOperation::Bit { operation, mask } => operation.apply(read, mask, flags),
            DataOperation::Exchange { with } => {
                let value = with.read(registers);
                with.write(registers, read);
                value
            }
            DataOperation::ExchangeAdd { with } => {
                let sum = Binary::Add.apply(width, read, with.read(registers), flags);
                with.write(registers, read);
                sum
            }
            DataOperation::CompareExchange { replacement } => {
                let accumulator = RegisterPart::low(Gpr::Rax, width);
                let expected = accumulator.read(registers);
                Binary::Sub.apply(width, expected, read, flags);
                if read == expected {
                    return Ok(replacement);
                }
                // The processor writes back what it read [SDM2A CMPXCHG].
                accumulator.write(registers, read);
                read
            }
            _ => self.operate_rarely(read, flags, registers)?,
        })
    }

    /// The operations that drivers do not use.
    fn operate_rarely(
        &self,
        read: u64,
        flags: &mut u64,
        registers: &mut impl RegisterFile,
    ) -> Result<u64, AccessFault> {
        let width = self.width;
        Ok(match self.operation {
            DataOperation::CompareExchangePair => compare_exchange_pair(read, flags, registers),
            DataOperation::CompareStrings { value, .. } => Binary::Sub.apply(width, read, value, flags),
            DataOperation::LoadIf { into, condition } => {
                let value = if condition { read } else { into.read(registers) };
                into.write(registers, value);
                0
            }
            DataOperation::LoadSwapped { into } => {
                into.write(registers, swap_bytes(width, read));
                0
            }
            DataOperation::Shift { kind, count } => kind.apply(width, read, count, flags),
            DataOperation::DoubleShift { kind, fill, count } => kind.apply(width, read, fill, count, flags),
            DataOperation::Multiply { signed } => {
                multiply::accumulator(width, signed, read, flags, registers);
                0
            }
            DataOperation::MultiplyInto { into, factor } => {
                into.write(registers, multiply::product(width, read, factor, flags));
                0
            }
            DataOperation::Divide { signed } => {
                multiply::divide(width, signed, read, registers)?;
                0
            }
            DataOperation::Count { kind, into } => {
                let value = kind.apply(width, read, into.read(registers), flags);
                into.write(registers, value);
                0
            }
            DataOperation::Call { back } => back,
            _ => 0,
        })
    }

    /// Advances the registers of a string instruction; returns whether the instruction is finished.
    fn advance(&self, string: StringStep, flags: u64, registers: &mut impl RegisterFile) -> bool {
        if self.operation == DataOperation::Nothing {
            return true;
        }
        let bytes = self.width.bytes() as u64;
        let delta = if flags & DF == 0 { bytes } else { bytes.wrapping_neg() };
        let mut add = |register, delta| {
            let part = RegisterPart::low(register, string.address_width);
            let value = part.read(registers).wrapping_add(delta) & string.address_width.mask();
            part.write(registers, value);
            value
        };
        if string.uses_rsi {
            add(Gpr::Rsi, delta);
        }
        if string.uses_rdi {
            add(Gpr::Rdi, delta);
        }
        let counted = !string.repeated || add(Gpr::Rcx, u64::MAX) == 0;
        counted || string.while_zero.is_some_and(|zero| (flags & ZF != 0) != zero)
    }
}

/// CMPXCHG8B with the value read: returns the value to write, which is the one read if they differ.
fn compare_exchange_pair(read: u64, flags: &mut u64, registers: &mut impl RegisterFile) -> u64 {
    let low = |gpr| RegisterPart::low(gpr, Width::Dword);
    let pair = |high, rest, registers: &_| low(high).read(registers) << 32 | low(rest).read(registers);
    if read == pair(Gpr::Rdx, Gpr::Rax, registers) {
        *flags |= ZF;
        return pair(Gpr::Rcx, Gpr::Rbx, registers);
    }
    *flags &= !ZF;
    low(Gpr::Rdx).write(registers, read >> 32);
    low(Gpr::Rax).write(registers, read);
    read
}

/// The low `width` of `value` with its bytes in reverse order.
pub(crate) fn swap_bytes(width: Width, value: u64) -> u64 {
    value.swap_bytes() >> (64 - 8 * width.bytes())
}

/// Sign-extends the low `width` of `value` to 64 bits.
pub(crate) fn sign_extend(width: Width, value: u64) -> u64 {
    let unused = 64 - 8 * width.bytes();
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}
