//! The shell's language: one table that parser, completion and help read.

use crate::command::{Command, Others, VmAction};
use core::fmt;

/// What stands at one place of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// This word.
    Word(&'static str),
    /// The name of a VM.
    Vm,
}

/// One form of a command.
pub(crate) struct Form {
    pub tokens: &'static [Token],
    help: &'static str,
    /// Makes the command for the VM that is named, if the form names one.
    pub make: fn(usize) -> Command,
}

use Token::{Vm, Word};

macro_rules! forms {
    ($($($token:expr),+ => $make:expr, $help:literal;)*) => {
        &[$(Form { tokens: &[$($token),+], make: $make, help: $help },)*]
    };
}

/// All forms, in the order in which `help` shows them.
pub(crate) static FORMS: &[Form] = forms! {
    Word("help") => |_| Command::Help, "these lines";
    Word("vm"), Word("list") => |_| Command::VmList, "the VMs, and what each does";
    Word("vm"), Word("start"), Vm => |vm| of(VmAction::Start, vm), "boot a VM that is stopped";
    Word("vm"), Word("pause"), Vm => |vm| of(VmAction::Pause, vm), "let it execute nothing until it is resumed";
    Word("vm"), Word("resume"), Vm => |vm| of(VmAction::Resume, vm), "let a paused VM go on";
    Word("vm"), Word("stop"), Vm => |vm| of(VmAction::Stop, vm), "cut its power";
    Word("vm"), Word("restart"), Vm => |vm| of(VmAction::Restart, vm), "cut its power and boot it";
    Word("console") => |_| Command::Console { vm: None, others: Others::AsBefore },
        "back to the guest that had the keyboard";
    Word("console"), Vm => |vm| Command::Console { vm: Some(vm), others: Others::Kept },
        "give this guest the keyboard, show no other's output";
    Word("console"), Vm, Word("all") => |vm| Command::Console { vm: Some(vm), others: Others::Shown },
        "the same, but show all guests' output";
    Word("net"), Word("nics") => |_| Command::NetNics, "the physical NICs";
    Word("net"), Word("vms") => |_| Command::NetVms, "the VMs' network cards";
    Word("stats") => |_| Command::Stats { vm: None }, "processors, memory, heap, serial line, VMs";
    Word("stats"), Vm => |vm| Command::Stats { vm: Some(vm) }, "exits by kind and all else counted for a VM";
    Word("log") => |_| Command::Log, "the end of Weir's log";
    Word("reboot") => |_| Command::Reboot, "start the machine anew";
    Word("poweroff") => |_| Command::PowerOff, "switch the machine off";
};

fn of(action: VmAction, vm: usize) -> Command {
    Command::Vm { action, vm }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Vm => "VM",
        })
    }
}

/// A form as `help` shows it.
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

    /// The forms in it.
    pub fn iter(self) -> impl Iterator<Item = &'static Form> + Clone {
        FORMS.iter().enumerate().filter(move |(number, _)| self.0 >> number & 1 == 1).map(|(_, form)| form)
    }

    /// Those of them that have at `position` a token that `fits`.
    pub fn with(self, position: usize, mut fits: impl FnMut(Token) -> bool) -> Self {
        let mut kept = 0;
        for (number, form) in FORMS.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1) {
            if form.tokens.get(position).is_some_and(|&token| fits(token)) {
                kept |= 1 << number;
            }
        }
        Self(kept)
    }

    /// True when there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The words that may stand at one place, given what stands before it.
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
    /// The words, each once; a VM's place allows the names of all.
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
    fn help_names_every_form_in_its_columns() {
        let lines: Vec<_> = help().map(|line| line.to_string()).collect();
        assert_eq!(lines.len(), FORMS.len());
        assert_eq!(lines[0], "help            these lines");
        assert_eq!(lines[2], "vm start VM     boot a VM that is stopped");
        assert!(lines.iter().all(|line| line.len() <= 74), "with the shell's prefix it fits a terminal");
    }

    #[test]
    fn words_are_named_once() {
        let words = Words { forms: FormSet::ALL, position: 0, vms: &["web"] };
        assert_eq!(words.to_string(), "help, vm, console, net, stats, log, reboot, poweroff");
        let forms = FormSet::ALL.with(0, |token| token == Word("console"));
        assert_eq!(Words { forms, position: 1, vms: &["web", "db"] }.to_string(), "web, db");
    }
}
