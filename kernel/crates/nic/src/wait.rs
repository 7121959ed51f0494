//! Waits on the NIC, each with a deadline.

use crate::{NicHost, NicRegisters};
use base::time::Duration;

/// Reads the register at `offset` until `done` accepts its value, for at most `timeout`.
///
/// The error is the last value read. The register is read once more after the deadline, so that the NIC is not
/// blamed when the driver itself was interrupted for a long time.
pub(crate) fn until<H: NicHost>(
    host: &mut H,
    registers: &mut H::Registers,
    offset: u32,
    timeout: Duration,
    done: impl Fn(u32) -> bool,
) -> Result<u32, u32> {
    let start = host.now();
    loop {
        let late = host.now() - start >= timeout;
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

/// Waits for `time`.
pub(crate) fn pass<H: NicHost>(host: &mut H, time: Duration) {
    let start = host.now();
    while host.now() - start < time {
        host.relax();
    }
}
