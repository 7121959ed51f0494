//! The instruction decoder: arbitrary registers and bytes.

use crate::Input;
use mmio::{CpuMode, decode};
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
    };
    let mut code = input.rest();
    while !code.is_empty() {
        let step = match decode(code, mode, &registers) {
            Ok(access) => {
                let read = seed ^ registers.rip;
                let written = access.complete(read, &mut registers);
                assert_eq!(written.is_some(), access.destination().is_some());
                assert!(written.is_none_or(|value| value & !access.width().mask() == 0));
                assert!((1..=15).contains(&access.length()));
                access.length()
            }
            Err(_) => 1,
        };
        code = &code[step..];
    }
}
