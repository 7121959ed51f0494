//! The instruction decoder: arbitrary registers and bytes.

use crate::Input;
use base::bits::low_u8;
use mmio::{CpuMode, decode, wide};
use testkit::FakeRegisters;

/// The mode, a value from which every register is derived, then instructions, each executed once.
///
/// # Panics
/// When an access contradicts itself.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.choose(&[CpuMode::Bits64, CpuMode::Bits32, CpuMode::Bits16]);
    let seed = input.u64();
    let value = |n: u32| seed.rotate_left(n * 7).wrapping_mul(u64::from(n) + 1);
    let mut registers = FakeRegisters {
        gprs: core::array::from_fn(|n| value(n as u32)),
        rip: value(16),
        rflags: value(17),
        bases: core::array::from_fn(|n| value(18 + n as u32)),
        vectors: core::array::from_fn(|n| [low_u8(value(24 + n as u32)); 32]),
    };
    let mut code = input.rest();
    while !code.is_empty() {
        let step = match decode(code, mode, &registers) {
            Ok(access) => {
                let read = seed ^ registers.rip;
                let before = registers.clone();
                match access.with_second(!read).complete(read, &mut registers) {
                    Ok(written) => {
                        assert_eq!(written.is_some(), access.destination().is_some());
                        assert!(written.is_none_or(|value| value & !access.width().mask() == 0));
                    }
                    Err(_) => assert!(registers == before, "an exception changes nothing"),
                }
                assert!((1..=15).contains(&access.length()));
                access.length()
            }
            Err(_) => wide_access(code, mode, &mut registers).unwrap_or(1),
        };
        code = &code[step..];
    }
}

/// Executes an instruction with an operand of more than 8 bytes, if there is one; returns its length.
fn wide_access(code: &[u8], mode: CpuMode, registers: &mut FakeRegisters) -> Option<usize> {
    let access = wide::decode(code, mode, registers).ok()?;
    let read = [low_u8(registers.rip); 32];
    assert_eq!(access.pieces().map(|(.., width)| width.bytes()).sum::<usize>(), access.bytes());
    assert_eq!(access.complete(&read, registers).is_some(), access.writes());
    assert!((1..=15).contains(&access.length()) && access.length() <= code.len());
    Some(access.length())
}
