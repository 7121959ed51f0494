//! One line of the serial log.
//!
//! Weir's own lines are `[    1.234567] LEVEL subsystem: message`; what a guest writes to its console appears line
//! by line as `name| text`; output of Weir's shell is `weir| text`, and what is typed into it follows the prompt
//! `weir> `. Lines before Weir's first one come from the firmware and the loader.
//!
//! ```
//! use end_to_end::line::LogLine;
//!
//! let line = LogLine::parse("vm0| hello");
//! assert_eq!(line, LogLine::Guest { vm: "vm0", text: "hello" });
//! assert!(LogLine::parse("[    1.234567] WARN  vnic: ring too long").is_trouble());
//! ```

/// Severity of a line of Weir's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Single steps.
    Trace,
    /// Details for debugging.
    Debug,
    /// An expected event.
    Info,
    /// An irregularity that does not affect Weir's operation.
    Warn,
    /// Something was stopped or lost.
    Error,
    /// An invariant of Weir itself is broken.
    Panic,
}

/// A parsed line of the serial log.
#[derive(Clone, Debug, PartialEq)]
pub enum LogLine<'a> {
    /// A line of Weir's log.
    Weir {
        /// Seconds since Weir's clock started.
        seconds: f64,
        /// Its severity.
        level: LogLevel,
        /// The part of Weir that logged it.
        subsystem: &'a str,
        /// The message.
        message: &'a str,
    },
    /// A line that was typed into Weir's shell.
    Prompt(&'a str),
    /// A line of a guest's console, or output of the shell.
    Guest {
        /// Name of the VM; `weir` is the shell.
        vm: &'a str,
        /// The text without the prefix.
        text: &'a str,
    },
    /// Any other line.
    Other(&'a str),
}

impl<'a> LogLine<'a> {
    /// Parses a line; every text is a line of some kind.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        weir(line).or_else(|| prompt(line)).or_else(|| guest(line)).unwrap_or(Self::Other(line))
    }

    /// True for a line that fails a test unless the test declared it: Weir's warnings and worse, and a
    /// micro-guest's `FAIL`.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Weir { level, .. } => *level >= LogLevel::Warn,
            Self::Guest { text, .. } => text.starts_with("FAIL"),
            Self::Prompt(_) | Self::Other(_) => false,
        }
    }
}

fn weir(line: &str) -> Option<LogLine<'_>> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let seconds = time.trim().parse().ok()?;
    let (level, rest) = rest.split_once(' ')?;
    let level = match level {
        "TRACE" => LogLevel::Trace,
        "DEBUG" => LogLevel::Debug,
        "INFO" => LogLevel::Info,
        "WARN" => LogLevel::Warn,
        "ERROR" => LogLevel::Error,
        "PANIC" => LogLevel::Panic,
        _ => return None,
    };
    let (subsystem, message) = rest.trim_start().split_once(": ")?;
    Some(LogLine::Weir { seconds, level, subsystem, message })
}

fn prompt(line: &str) -> Option<LogLine<'_>> {
    line.strip_prefix("weir> ").map(LogLine::Prompt)
}

fn guest(line: &str) -> Option<LogLine<'_>> {
    let (vm, text) = line.split_once('|')?;
    let is_name =
        !vm.is_empty() && vm.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_name.then(|| LogLine::Guest { vm, text: text.strip_prefix(' ').unwrap_or(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_weir_and_of_guests_are_distinguished() {
        assert_eq!(
            LogLine::parse("[    1.234567] WARN  vnic: TDT 300 is beyond the ring: 256"),
            LogLine::Weir {
                seconds: 1.234567,
                level: LogLevel::Warn,
                subsystem: "vnic",
                message: "TDT 300 is beyond the ring: 256"
            }
        );
        assert_eq!(
            LogLine::parse("vm-1| [    0.0] ERROR x: y"),
            LogLine::Guest { vm: "vm-1", text: "[    0.0] ERROR x: y" }
        );
        assert_eq!(LogLine::parse("vm-1|"), LogLine::Guest { vm: "vm-1", text: "" });
        assert_eq!(LogLine::parse("weir> vm list"), LogLine::Prompt("vm list"));
        assert_eq!(LogLine::parse("INFO : booting | now"), LogLine::Other("INFO : booting | now"));
        assert_eq!(LogLine::parse("[1.0] LOUD weir: hello"), LogLine::Other("[1.0] LOUD weir: hello"));
    }

    #[test]
    fn a_guest_cannot_forge_lines_of_weir() {
        assert!(!LogLine::parse("a| [    0.0] ERROR x: y").is_trouble());
        assert_eq!(LogLine::parse("a| weir> reboot"), LogLine::Guest { vm: "a", text: "weir> reboot" });
        assert!(LogLine::parse("a| FAIL it").is_trouble());
        assert!(LogLine::parse("[    0.0] ERROR x: y").is_trouble());
        assert!(!LogLine::parse("[    0.0] INFO x: FAIL").is_trouble());
    }
}
