//! The macro for a line of the shell.

/// Writes one line of the shell.
macro_rules! say {
    ($($text:tt)*) => { $crate::log::output::shell_line(format_args!($($text)*)) };
}

pub(super) use say;
