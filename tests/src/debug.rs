//! What a developer may ask for when running one test: see `make one`.

use crate::{artifacts, choice};
use std::path::PathBuf;
use std::time::Duration;

/// The environment variable that asks for the serial console on standard error.
const SHOW_CONSOLE: &str = "WEIR_SHOW_CONSOLE";
/// The environment variable that asks for a machine that waits for a debugger.
const DEBUG: &str = "WEIR_DEBUG";
/// Timeouts from here on only catch a machine that hangs; shorter ones are part of what a test checks.
const CATCHES_HANGS: Duration = Duration::from_secs(60);
/// Longer than any debugging session.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How much longer a machine may take in an emulated one.
const EMULATED: u32 = 4;

/// True when the serial console is to be copied to standard error.
#[must_use]
pub fn shows_console() -> bool {
    std::env::var_os(SHOW_CONSOLE).is_some()
}

/// True when the machine is to wait for a debugger.
#[must_use]
pub fn is_on() -> bool {
    std::env::var_os(DEBUG).is_some()
}

/// The timeout in place of `limit`: while debugging, a machine may be stopped for any time, and in an emulated machine
/// it is slow.
#[must_use]
pub fn timeout(limit: Duration) -> Duration {
    lifted(limit, is_on(), choice::is_emulated())
}

fn lifted(limit: Duration, debugging: bool, emulated: bool) -> Duration {
    match limit {
        _ if limit < CATCHES_HANGS => limit,
        _ if debugging => NEVER,
        _ if emulated => limit * EMULATED,
        _ => limit,
    }
}

/// The socket of QEMU's gdb stub. A file, since the machine's network namespace is out of gdb's reach; and one of
/// a short name, since a socket's path is limited to 107 bytes [unix(7)].
#[must_use]
pub fn gdb_socket() -> PathBuf {
    artifacts::target().join("gdb.socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_timeouts_that_catch_hangs_are_lifted() {
        let (short, long) = (Duration::from_secs(2), Duration::from_secs(180));
        assert_eq!(lifted(short, true, true), short);
        assert_eq!(lifted(long, true, true), NEVER);
        assert_eq!(lifted(long, false, true), 4 * long);
        assert_eq!(lifted(long, false, false), long);
    }
}
