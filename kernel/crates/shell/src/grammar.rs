//! The shell's grammar: one table for parser, completion and help.

use crate::command::{Others, ShellCommand, VmAction};
use core::fmt;

/// One element of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A fixed word.
    Word(&'static str),
    /// The name of a VM.
    Vm,
}

/// One form of a command.
pub(crate) struct Form {
    pub tokens: &'static [Token],
    help: &'static str,
    /// Makes the command, for the VM with this number if the form names one.
    pub make: fn(usize) -> ShellCommand,
}

use Token::{Vm, Word};

macro_rules! forms {
    ($($($token:expr),+ => $make:expr, $help:literal;)*) => {
        &[$(Form { tokens: &[$($token),+], make: $make, help: $help },)*]
    };
}

/// All forms, in the order of `help`.
pub(crate) static FORMS: &[Form] = forms! {
    Word("help") => |_| ShellCommand::Help, "show this help";
    Word("vm"), Word("list") => |_| ShellCommand::VmList, "list the VMs and their states";
    Word("vm"), Word("status"), Vm => |vm| ShellCommand::VmStatus { vm }, "show a VM's state and why it was stopped";
    Word("vm"), Word("start"), Vm => |vm| of(VmAction::Start, vm), "boot a stopped VM";
    Word("vm"), Word("pause"), Vm => |vm| of(VmAction::Pause, vm), "suspend a VM until it is resumed";
    Word("vm"), Word("resume"), Vm => |vm| of(VmAction::Resume, vm), "resume a paused VM";
    Word("vm"), Word("button"), Vm => |vm| of(VmAction::Button, vm), "press the power button, to shut a guest down";
    Word("vm"), Word("stop"), Vm => |vm| of(VmAction::Stop, vm), "power a VM off without a clean shutdown";
    Word("vm"), Word("restart"), Vm => |vm| of(VmAction::Restart, vm), "power a VM off and boot it again";
    Word("console") => |_| ShellCommand::Console { vm: None, others: Others::AsBefore },
        "return to the guest that had the keyboard";
    Word("console"), Vm => |vm| ShellCommand::Console { vm: Some(vm), others: Others::Kept },
        "give a guest the keyboard and show only its output";
    Word("console"), Vm, Word("all") => |vm| ShellCommand::Console { vm: Some(vm), others: Others::Shown },
        "give a guest the keyboard and show all output";
    Word("net"), Word("nics") => |_| ShellCommand::NetNics, "list the physical NICs";
    Word("net"), Word("vms") => |_| ShellCommand::NetVms, "list the VMs' vNICs";
    Word("stats") => |_| ShellCommand::Stats { vm: None }, "show statistics: processors, memory, serial line, VMs";
    Word("stats"), Vm => |vm| ShellCommand::Stats { vm: Some(vm) }, "show all statistics of a VM, with exits by kind";
    Word("log") => |_| ShellCommand::Log, "show the end of Weir's log";
    Word("reboot") => |_| ShellCommand::Reboot, "reboot the machine";
    Word("poweroff") => |_| ShellCommand::PowerOff, "power the machine off";
};

fn of(action: VmAction, vm: usize) -> ShellCommand {
    ShellCommand::Vm { action, vm }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Vm => "VM",
        })
    }
}

/// A form as a line of `help`.
#[derive(Clone, Copy)]
pub struct HelpLine(&'static Form);

impl fmt::Display for HelpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 16;
        let mut width = 0;
        for token in self.0.tokens {
            write!(f, "{token} ")?;
            width += 1 + match token {
                Word(word) => word.len(),
                Vm => 2,
            };
        }
        write!(f, "{:1$}{2}", "", WIDTH.saturating_sub(width), self.0.help)
    }
}

/// The lines of `help`.
pub fn help() -> impl Iterator<Item = HelpLine> {
    FORMS.iter().map(HelpLine)
}

/// A set of forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormSet(u32);

const _: () = assert!(FORMS.len() <= u32::BITS as usize);

impl FormSet {
    /// Every form.
    pub const ALL: Self = Self(u32::MAX >> (u32::BITS as usize - FORMS.len()));

    /// The forms in the set.
    pub fn iter(self) -> impl Iterator<Item = &'static Form> + Clone {
        FORMS.iter().enumerate().filter(move |(number, _)| self.0 >> number & 1 == 1).map(|(_, form)| form)
    }

    /// The forms that have a token at `position` that `fits`.
    pub fn with(self, position: usize, mut fits: impl FnMut(Token) -> bool) -> Self {
        let mut kept = 0;
        for (number, form) in FORMS.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1) {
            if form.tokens.get(position).is_some_and(|&token| fits(token)) {
                kept |= 1 << number;
            }
        }
        Self(kept)
    }

    /// True for the empty set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The words allowed at one position, given the words before it.
pub(crate) struct Words<'a, N> {
    pub forms: FormSet,
    pub position: usize,
    pub vms: &'a [N],
}

impl<N> Clone for Words<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Words<'_, N> {}

impl<'a, N: AsRef<str>> Words<'a, N> {
    /// The words, each once; the name of a VM stands for the names of all VMs.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let tokens = self.forms.iter().filter_map(move |form| form.tokens.get(self.position).copied());
        let seen = tokens.clone();
        let first =
            move |(at, token): &(usize, Token)| !seen.clone().take(*at).any(|before| before == *token);
        tokens.enumerate().filter(first).flat_map(move |(_, token)| {
            let (word, names) = match token {
                Word(word) => (Some(word), &[][..]),
                Vm => (None, self.vms),
            };
            word.into_iter().chain(names.iter().map(AsRef::as_ref))
        })
    }
}

impl<N: AsRef<str>> fmt::Display for Words<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(at, word)| {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(word)
        })
    }
}

impl<N: AsRef<str>> fmt::Debug for Words<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn help_lists_every_form_in_columns() {
        let lines: Vec<_> = help().map(|line| line.to_string()).collect();
        assert_eq!(lines.len(), FORMS.len());
        assert_eq!(lines[0], "help            show this help");
        assert_eq!(lines[3], "vm start VM     boot a stopped VM");
        assert!(
            lines.iter().all(|line| line.len() <= 74),
            "with the shell's prefix each line fits a terminal"
        );
    }

    #[test]
    fn words_are_listed_once() {
        let words = Words { forms: FormSet::ALL, position: 0, vms: &["web"] };
        assert_eq!(words.to_string(), "help, vm, console, net, stats, log, reboot, poweroff");
        let forms = FormSet::ALL.with(0, |token| token == Word("console"));
        assert_eq!(Words { forms, position: 1, vms: &["web", "db"] }.to_string(), "web, db");
    }
}
