//! The shell's grammar: one table for parser, completion and help.

use crate::command::{Others, ShellCommand, TeamCommand, VmAction};
use crate::names::{NamedThings, Names};
use core::fmt;
use nic_manager::{AdminState, TeamPolicy};

/// One element of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A fixed word.
    Word(&'static str),
    /// The name of a VM.
    Vm,
    /// The name of a team.
    Team,
    /// The name of a physical NIC.
    Nic,
    /// The word for a policy.
    Policy,
    /// An Ethernet or IP address.
    Address,
}

/// One form of a command.
pub(crate) struct Form {
    pub tokens: &'static [Token],
    help: &'static str,
    /// Makes the command, for what the line names.
    pub make: fn(&NamedThings) -> ShellCommand,
}

use Token::{Address, Nic, Policy, Team, Vm, Word};

macro_rules! forms {
    ($($($token:expr),+ => $make:expr, $help:literal;)*) => {
        &[$(Form { tokens: &[$($token),+], make: $make, help: $help },)*]
    };
}

/// All forms, in the order of `help`.
pub(crate) static FORMS: &[Form] = forms! {
    Word("help") => |_| ShellCommand::Help, "show this help";
    Word("vm"), Word("list") => |_| ShellCommand::VmList, "list the VMs and their states";
    Word("vm"), Word("status"), Vm => |named| ShellCommand::VmStatus { vm: named.vm },
        "show a VM's state and why it was stopped";
    Word("vm"), Word("start"), Vm => |named| of(VmAction::Start, named), "boot a stopped VM";
    Word("vm"), Word("pause"), Vm => |named| of(VmAction::Pause, named), "suspend a VM until it is resumed";
    Word("vm"), Word("resume"), Vm => |named| of(VmAction::Resume, named), "resume a paused VM";
    Word("vm"), Word("button"), Vm => |named| of(VmAction::Button, named),
        "press the power button, to shut a guest down";
    Word("vm"), Word("stop"), Vm => |named| of(VmAction::Stop, named), "power a VM off without a clean shutdown";
    Word("vm"), Word("restart"), Vm => |named| of(VmAction::Restart, named), "power a VM off and boot it again";
    Word("console") => |_| ShellCommand::Console { vm: None, others: Others::AsBefore },
        "return to the guest that had the keyboard";
    Word("console"), Vm => |named| ShellCommand::Console { vm: Some(named.vm), others: Others::Kept },
        "give a guest the keyboard and show only its output";
    Word("console"), Vm, Word("all") => |named| ShellCommand::Console { vm: Some(named.vm), others: Others::Shown },
        "give a guest the keyboard and show all output";
    Word("net"), Word("nics") => |_| ShellCommand::NetNics, "list the physical NICs";
    Word("net"), Word("vms") => |_| ShellCommand::NetVms, "list the VMs' vNICs";
    Word("net"), Word("teams") => |_| ShellCommand::Team(TeamCommand::List), "list the teams of NICs";
    Word("net"), Word("team"), Team => |named| ShellCommand::Team(TeamCommand::Describe { team: named.team }),
        "show a team: settings, NICs, vNICs, counters";
    Word("net"), Word("why"), Vm => why, "explain which NIC carries a VM's frames";
    Word("net"), Word("why"), Vm, Address => why, "the same for frames to a MAC or IP address";
    Word("net"), Word("events") => |_| ShellCommand::Team(TeamCommand::Events), "show what the teams have decided";
    Word("net"), Word("events"), Word("raw") => |_| ShellCommand::Team(TeamCommand::RawEvents { team: None }),
        "print their histories, for boot replay";
    Word("net"), Word("events"), Word("raw"), Team => |named| {
        ShellCommand::Team(TeamCommand::RawEvents { team: Some(named.team) })
    }, "print the history of one team";
    Word("net"), Word("policy"), Team, Policy => |named| {
        ShellCommand::Team(TeamCommand::Policy { team: named.team, policy: named.policy })
    }, "let a team divide frames in another way";
    Word("net"), Word("nic"), Nic, Word("up") => |named| nic(AdminState::Up, named), "use a NIC";
    Word("net"), Word("nic"), Nic, Word("down") => |named| nic(AdminState::Down, named), "use a NIC no longer";
    Word("net"), Word("nic"), Nic, Word("drain") => |named| nic(AdminState::Drain, named),
        "let a NIC send what it has, and no more";
    Word("net"), Word("top") => |_| ShellCommand::NetTop { plain: false }, "watch what passes, until a key is pressed";
    Word("net"), Word("top"), Word("plain") => |_| ShellCommand::NetTop { plain: true },
        "the same line by line, for a log of the serial line";
    Word("stats") => |_| ShellCommand::Stats { vm: None }, "show processors, memory, serial line, VMs";
    Word("stats"), Vm => |named| ShellCommand::Stats { vm: Some(named.vm) },
        "show all statistics of a VM, with exits by kind";
    Word("log") => |_| ShellCommand::Log, "show the end of Weir's log";
    Word("reboot") => |_| ShellCommand::Reboot, "reboot the machine";
    Word("poweroff") => |_| ShellCommand::PowerOff, "power the machine off";
};

fn of(action: VmAction, named: &NamedThings) -> ShellCommand {
    ShellCommand::Vm { action, vm: named.vm }
}

fn nic(state: AdminState, named: &NamedThings) -> ShellCommand {
    ShellCommand::Team(TeamCommand::Nic { nic: named.nic, state })
}

fn why(named: &NamedThings) -> ShellCommand {
    ShellCommand::Team(TeamCommand::Why { vm: named.vm, destination: named.destination })
}

impl Token {
    fn text(self) -> &'static str {
        match self {
            Self::Word(word) => word,
            Self::Vm => "VM",
            Self::Team => "TEAM",
            Self::Nic => "NIC",
            Self::Policy => "POLICY",
            Self::Address => "ADDRESS",
        }
    }
}

/// A form as a line of `help`.
struct HelpLine(&'static Form);

impl fmt::Display for HelpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 23;
        let mut width = 0;
        for token in self.0.tokens {
            write!(f, "{} ", token.text())?;
            width += 1 + token.text().len();
        }
        write!(f, "{:1$}{2}", "", WIDTH.saturating_sub(width), self.0.help)
    }
}

/// Passes the lines of `help` to `say`.
pub fn help(say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    FORMS.iter().for_each(|form| say(format_args!("{}", HelpLine(form))));
    say(format_args!(
        "Ctrl-^ (Ctrl-6) switches between a guest's console and this shell; typed twice, it goes to the guest."
    ));
    say(format_args!(
        "Tab completes words; arrows up and down recall lines; Ctrl-U, Ctrl-W and Ctrl-C give them up."
    ));
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
    pub names: Names<'a, N>,
}

impl<N> Clone for Words<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Words<'_, N> {}

impl<'a, N: AsRef<str>> Words<'a, N> {
    /// The words, each once; the name of a VM stands for the names of all VMs, and so on. An address is none of them.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let tokens = self.tokens();
        let seen = tokens.clone();
        let first =
            move |(at, token): &(usize, Token)| !seen.clone().take(*at).any(|before| before == *token);
        tokens.enumerate().filter(first).flat_map(move |(_, token)| {
            let (word, names, policies): (_, &[N], &[TeamPolicy]) = match token {
                Word(word) => (Some(word), &[], &[]),
                Vm => (None, self.names.vms, &[]),
                Team => (None, self.names.teams, &[]),
                Nic => (None, self.names.nics, &[]),
                Policy => (None, &[], &TeamPolicy::ALL),
                Address => (None, &[], &[]),
            };
            let policies = policies.iter().map(|policy| policy.word());
            word.into_iter().chain(names.iter().map(AsRef::as_ref)).chain(policies)
        })
    }

    /// True if no command goes on.
    pub fn is_empty(self) -> bool {
        self.tokens().next().is_none()
    }

    fn tokens(self) -> impl Iterator<Item = Token> + Clone + use<N> {
        self.forms.iter().filter_map(move |form| form.tokens.get(self.position).copied())
    }
}

impl<N: AsRef<str>> fmt::Display for Words<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.tokens().any(|token| token == Address).then_some("a MAC or IP address");
        self.iter().chain(address).enumerate().try_for_each(|(at, word)| {
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

    const NAMES: Names<'_, &str> = Names { vms: &["web", "db"], teams: &["lan"], nics: &["nic0"] };

    #[test]
    fn help_lists_every_form_in_columns() {
        let mut lines = Vec::new();
        help(&mut |line| lines.push(line.to_string()));
        assert_eq!(lines.len(), FORMS.len() + 2);
        assert_eq!(lines[0], "help                   show this help");
        assert_eq!(lines[3], "vm start VM            boot a stopped VM");
        for line in &lines[..FORMS.len()] {
            assert!(line.len() <= 74, "with the shell's prefix each line fits a terminal: {line}");
            assert!(line.get(22..23) == Some(" ") && line.get(23..24) != Some(" "), "{line}");
        }
    }

    #[test]
    fn words_are_listed_once() {
        let words = Words { forms: FormSet::ALL, position: 0, names: NAMES };
        assert_eq!(words.to_string(), "help, vm, console, net, stats, log, reboot, poweroff");
        let forms = FormSet::ALL.with(0, |token| token == Word("console"));
        assert_eq!(Words { forms, position: 1, names: NAMES }.to_string(), "web, db");
    }
}
