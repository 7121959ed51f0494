//! The parser of command lines.

use crate::command::ShellCommand;
use crate::grammar::{FormSet, Token, Words};
use crate::names::{NamedThings, Names, destination};
use core::fmt;
use nic_manager::TeamPolicy;

/// Why a line is not a command. The messages name the words that would have been allowed.
#[derive(Debug, thiserror::Error)]
pub enum ParseError<'a, N: AsRef<str>> {
    /// A word that is not known in its position.
    #[error("unknown word \"{word}\": expected {allowed}")]
    Unknown {
        /// The word.
        word: &'a str,
        /// The words allowed in its position.
        allowed: AllowedWords<'a, N>,
    },
    /// More words than the command takes.
    #[error("unexpected argument \"{word}\"")]
    Unexpected {
        /// The first surplus word.
        word: &'a str,
    },
    /// An incomplete command.
    #[error("\"{line}\" is incomplete: expected {allowed}")]
    Incomplete {
        /// The line as typed.
        line: &'a str,
        /// The words that may follow.
        allowed: AllowedWords<'a, N>,
    },
}

/// The words allowed at one position, as a list.
#[derive(Debug)]
pub struct AllowedWords<'a, N: AsRef<str>>(Words<'a, N>);

impl<N: AsRef<str>> fmt::Display for AllowedWords<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Parses a line; an empty line is no command.
///
/// ```
/// use shell::{Names, ShellCommand, VmAction, parse};
///
/// let names = Names { vms: &["web", "db"], teams: &["lan"], nics: &["nic0"] };
/// let stop = ShellCommand::Vm { action: VmAction::Stop, vm: 1 };
/// assert_eq!(parse("vm stop db", names).unwrap(), Some(stop));
/// let error = parse("vm stop dv", names).unwrap_err();
/// assert_eq!(error.to_string(), "unknown word \"dv\": expected web, db");
/// ```
///
/// # Errors
/// [`ParseError`], which borrows the line and the names.
pub fn parse<'a, N: AsRef<str>>(
    line: &'a str,
    names: Names<'a, N>,
) -> Result<Option<ShellCommand>, ParseError<'a, N>> {
    let line = line.trim_ascii();
    let mut words = Words { forms: FormSet::ALL, position: 0, names };
    let mut operands = NamedThings::NONE;
    for word in line.split_ascii_whitespace() {
        let fitting = follow(words, word, &mut operands);
        if fitting.is_empty() {
            return Err(match words.is_empty() {
                true => ParseError::Unexpected { word },
                false => ParseError::Unknown { word, allowed: AllowedWords(words) },
            });
        }
        words = Words { forms: fitting, position: words.position + 1, ..words };
    }
    if words.position == 0 {
        return Ok(None);
    }
    match words.forms.iter().find(|form| form.tokens.len() == words.position) {
        Some(form) => Ok(Some((form.make)(&operands))),
        None => Err(ParseError::Incomplete { line, allowed: AllowedWords(words) }),
    }
}

/// The forms that continue with `word`. What it names is set in `operands`.
pub(crate) fn follow<N: AsRef<str>>(words: Words<'_, N>, word: &str, operands: &mut NamedThings) -> FormSet {
    let place = |names: &[N]| names.iter().position(|name| name.as_ref() == word);
    words.forms.with(words.position, |token| match token {
        Token::Word(expected) => expected == word,
        Token::Vm => set(&mut operands.vm, place(words.names.vms)),
        Token::Team => set(&mut operands.team, place(words.names.teams)),
        Token::Nic => set(&mut operands.nic, place(words.names.nics)),
        Token::Policy => {
            set(&mut operands.policy, TeamPolicy::ALL.into_iter().find(|policy| policy.word() == word))
        }
        Token::Address => {
            operands.destination = destination(word);
            operands.destination.is_some()
        }
    })
}

/// Sets an operand if there is one; false if not.
fn set<T>(operand: &mut T, found: Option<T>) -> bool {
    let fits = found.is_some();
    found.into_iter().for_each(|found| *operand = found);
    fits
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::command::{Others, TeamCommand, VmAction};
    use nic_manager::AdminState;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    const NAMES: Names<'_, &str> =
        Names { vms: &["linux", "web", "all"], teams: &["lan", "dmz"], nics: &["nic0", "nic1", "dmz"] };

    fn command(line: &str) -> Option<ShellCommand> {
        parse(line, NAMES).unwrap()
    }

    fn complaint(line: &str) -> String {
        parse(line, NAMES).unwrap_err().to_string()
    }

    #[test]
    fn every_form_is_understood() {
        for (word, action) in [
            ("start", VmAction::Start),
            ("pause", VmAction::Pause),
            ("resume", VmAction::Resume),
            ("button", VmAction::Button),
            ("stop", VmAction::Stop),
            ("restart", VmAction::Restart),
        ] {
            let line = std::format!("vm {word} web");
            assert_eq!(command(&line), Some(ShellCommand::Vm { action, vm: 1 }));
            assert_eq!(action.to_string(), word);
        }
        assert_eq!(command("vm status web"), Some(ShellCommand::VmStatus { vm: 1 }));
        let console = |vm, others| Some(ShellCommand::Console { vm, others });
        assert_eq!(command("help"), Some(ShellCommand::Help));
        assert_eq!(command("vm list"), Some(ShellCommand::VmList));
        assert_eq!(command("console"), console(None, Others::AsBefore));
        assert_eq!(command("console linux"), console(Some(0), Others::Kept));
        assert_eq!(command("console linux all"), console(Some(0), Others::Shown));
        assert_eq!(command("console all"), console(Some(2), Others::Kept));
        assert_eq!(command("net nics"), Some(ShellCommand::NetNics));
        assert_eq!(command("net vms"), Some(ShellCommand::NetVms));
        assert_eq!(command("net top"), Some(ShellCommand::NetTop { plain: false }));
        assert_eq!(command("net top plain"), Some(ShellCommand::NetTop { plain: true }));
        assert_eq!(command("stats"), Some(ShellCommand::Stats { vm: None }));
        assert_eq!(command("stats web"), Some(ShellCommand::Stats { vm: Some(1) }));
        assert_eq!(command("log"), Some(ShellCommand::Log));
        assert_eq!(command("reboot"), Some(ShellCommand::Reboot));
        assert_eq!(command("poweroff"), Some(ShellCommand::PowerOff));
    }

    #[test]
    fn every_form_for_teams_is_understood() {
        let team = |line: &str| match command(line) {
            Some(ShellCommand::Team(command)) => command,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(team("net teams"), TeamCommand::List);
        assert_eq!(team("net team dmz"), TeamCommand::Describe { team: 1 });
        assert_eq!(team("net events"), TeamCommand::Events);
        assert_eq!(team("net events raw"), TeamCommand::RawEvents { team: None });
        assert_eq!(team("net events raw lan"), TeamCommand::RawEvents { team: Some(0) });
        for policy in TeamPolicy::ALL {
            let line = std::format!("net policy dmz {policy}");
            assert_eq!(team(&line), TeamCommand::Policy { team: 1, policy });
        }
        for state in [AdminState::Up, AdminState::Drain, AdminState::Down] {
            assert_eq!(team(&std::format!("net nic dmz {state}")), TeamCommand::Nic { nic: 2, state });
        }
        let why = |line: &str| match team(line) {
            TeamCommand::Why { vm: 1, destination } => destination.map(|to| to.to_string()),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(why("net why web"), None);
        for address in ["52:54:00:00:01:02", "10.0.5.1", "fd00::1"] {
            assert_eq!(why(&std::format!("net why web {address}")).as_deref(), Some(address));
        }
    }

    #[test]
    fn blanks_are_ignored() {
        assert_eq!(command("  vm \t list  "), Some(ShellCommand::VmList));
        assert_eq!(command(""), None);
        assert_eq!(command(" \t "), None);
    }

    #[test]
    fn errors_name_the_allowed_words() {
        assert_eq!(
            complaint("shutdown now"),
            "unknown word \"shutdown\": expected help, vm, console, net, stats, log, reboot, poweroff"
        );
        assert_eq!(
            complaint("vm kill web"),
            "unknown word \"kill\": expected list, status, start, pause, resume, button, stop, restart"
        );
        assert_eq!(complaint("vm stop wbe"), "unknown word \"wbe\": expected linux, web, all");
        assert_eq!(complaint("vm  stop "), "\"vm  stop\" is incomplete: expected linux, web, all");
        assert_eq!(
            complaint("net"),
            "\"net\" is incomplete: expected nics, vms, teams, team, why, events, policy, nic, top"
        );
        assert_eq!(complaint("net team"), "\"net team\" is incomplete: expected lan, dmz");
        assert_eq!(complaint("net nic nic2 up"), "unknown word \"nic2\": expected nic0, nic1, dmz");
        assert_eq!(complaint("net nic nic1"), "\"net nic nic1\" is incomplete: expected up, down, drain");
        assert_eq!(
            complaint("net policy lan best"),
            "unknown word \"best\": expected order, port, mac, ip-hash, load"
        );
        assert_eq!(complaint("net why web 10.0.5"), "unknown word \"10.0.5\": expected a MAC or IP address");
        assert_eq!(complaint("net why web 10.0.5.1 now"), "unexpected argument \"now\"");
        assert_eq!(complaint("reboot now"), "unexpected argument \"now\"");
        assert_eq!(complaint("Help").split(':').next(), Some("unknown word \"Help\""));
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_an_error(line in "[ -~]{0,120}") {
            if let Err(error) = parse(&line, NAMES) {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn a_command_with_a_surplus_word_is_refused(line in "(vm list|net vms|log|console web all|stats web)", word in "[a-z]+") {
            prop_assert!(parse(&line, NAMES).unwrap().is_some());
            let longer = std::format!("{line} {word}");
            let is_refused = matches!(parse(&longer, NAMES), Err(ParseError::Unexpected { .. }));
            prop_assert!(is_refused);
        }
    }
}
