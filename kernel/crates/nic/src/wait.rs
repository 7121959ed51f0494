//! Waits on the NIC, each with a deadline.

use crate::{NicHost, NicRegisters};
use base::time::Duration;

/// Reads the register at `offset` until `done` says that its value will do, for at most `limit`.
///
/// The error is the last value read. The register is read once more after the deadline, so that a driver
/// that was interrupted for long does not blame the NIC.
pub(crate) fn until<H: NicHost>(
    host: &mut H,
    registers: &mut H::Registers,
    offset: u32,
    limit: Duration,
    done: impl Fn(u32) -> bool,
) -> Result<u32, u32> {
    let start = host.now();
    loop {
        let late = host.now() - start >= limit;
        let value = registers.read(offset);
        if done(value) {
            return Ok(value);
        }
        if late {
            return Err(value);
        }
        host.relax();
    }
}

/// Lets `time` pass.
pub(crate) fn pass<H: NicHost>(host: &mut H, time: Duration) {
    let start = host.now();
    while host.now() - start < time {
        host.relax();
    }
}
