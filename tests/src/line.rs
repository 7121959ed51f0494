//! One line of the serial log.
//!
//! Weir's own lines are `[    1.234567] LEVEL subsystem: message`; what a guest writes to its console comes
//! line by line as `name| text`; Weir's shell speaks as `weir| text`, and what is typed for it stands behind
//! `weir> `. Before Weir's first line the firmware and the loader speak.

/// How grave a line of Weir's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever follows single steps.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// Something happened that was to happen.
    Info,
    /// Something is not as it should be, and Weir goes on as before.
    Warn,
    /// Something was stopped or lost.
    Error,
    /// Weir itself is broken.
    Panic,
}

/// A line of the serial log, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// Weir's own.
    Weir {
        /// Seconds since Weir's clock started.
        seconds: f64,
        /// How grave it is.
        level: Level,
        /// Which part of Weir says it.
        subsystem: &'a str,
        /// What it says.
        message: &'a str,
    },
    /// A line that was typed for Weir's shell.
    Prompt(&'a str),
    /// A line of a guest's console, or of the shell's.
    Guest {
        /// Name of the VM; `weir` is the shell.
        vm: &'a str,
        /// What the guest wrote.
        text: &'a str,
    },
    /// Neither.
    Other(&'a str),
}

impl<'a> Line<'a> {
    /// Takes a line apart; every text is a line of some kind.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        weir(line).or_else(|| prompt(line)).or_else(|| guest(line)).unwrap_or(Self::Other(line))
    }

    /// True for a line that fails a test which did not declare it: a warning or worse of Weir, and a micro-guest's
    /// `FAIL`.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Weir { level, .. } => *level >= Level::Warn,
            Self::Guest { text, .. } => text.starts_with("FAIL"),
            Self::Prompt(_) | Self::Other(_) => false,
        }
    }
}

fn weir(line: &str) -> Option<Line<'_>> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let seconds = time.trim().parse().ok()?;
    let (level, rest) = rest.split_once(' ')?;
    let level = match level {
        "TRACE" => Level::Trace,
        "DEBUG" => Level::Debug,
        "INFO" => Level::Info,
        "WARN" => Level::Warn,
        "ERROR" => Level::Error,
        "PANIC" => Level::Panic,
        _ => return None,
    };
    let (subsystem, message) = rest.trim_start().split_once(": ")?;
    Some(Line::Weir { seconds, level, subsystem, message })
}

fn prompt(line: &str) -> Option<Line<'_>> {
    line.strip_prefix("weir> ").map(Line::Prompt)
}

fn guest(line: &str) -> Option<Line<'_>> {
    let (vm, text) = line.split_once('|')?;
    let is_name =
        !vm.is_empty() && vm.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_name.then(|| Line::Guest { vm, text: text.strip_prefix(' ').unwrap_or(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_weir_and_of_guests_are_told_apart() {
        assert_eq!(
            Line::parse("[    1.234567] WARN  vnic: TDT 300 is beyond the ring: 256"),
            Line::Weir {
                seconds: 1.234567,
                level: Level::Warn,
                subsystem: "vnic",
                message: "TDT 300 is beyond the ring: 256"
            }
        );
        assert_eq!(
            Line::parse("vm-1| [    0.0] ERROR x: y"),
            Line::Guest { vm: "vm-1", text: "[    0.0] ERROR x: y" }
        );
        assert_eq!(Line::parse("vm-1|"), Line::Guest { vm: "vm-1", text: "" });
        assert_eq!(Line::parse("weir> vm list"), Line::Prompt("vm list"));
        assert_eq!(Line::parse("INFO : booting | now"), Line::Other("INFO : booting | now"));
        assert_eq!(Line::parse("[1.0] LOUD weir: hello"), Line::Other("[1.0] LOUD weir: hello"));
    }

    #[test]
    fn a_guest_cannot_make_weir_speak() {
        assert!(!Line::parse("a| [    0.0] ERROR x: y").is_trouble());
        assert_eq!(Line::parse("a| weir> reboot"), Line::Guest { vm: "a", text: "weir> reboot" });
        assert!(Line::parse("a| FAIL it").is_trouble());
        assert!(Line::parse("[    0.0] ERROR x: y").is_trouble());
        assert!(!Line::parse("[    0.0] INFO x: FAIL").is_trouble());
    }
}
