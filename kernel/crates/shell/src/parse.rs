//! The parser of command lines.

use crate::command::ShellCommand;
use crate::grammar::{FormSet, Token, Words};
use core::fmt;

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

/// Parses a line; an empty line is no command. `vms` are the names of the VMs, in the order of their numbers.
///
/// ```
/// use shell::{ShellCommand, VmAction, parse};
///
/// let vms = ["web", "db"];
/// let stop = ShellCommand::Vm { action: VmAction::Stop, vm: 1 };
/// assert_eq!(parse("vm stop db", &vms).unwrap(), Some(stop));
/// let error = parse("vm stop dv", &vms).unwrap_err();
/// assert_eq!(error.to_string(), "unknown word \"dv\": expected web, db");
/// ```
///
/// # Errors
/// [`ParseError`], which borrows the line and the names of the VMs.
pub fn parse<'a, N: AsRef<str>>(
    line: &'a str,
    vms: &'a [N],
) -> Result<Option<ShellCommand>, ParseError<'a, N>> {
    let line = line.trim_ascii();
    let mut words = Words { forms: FormSet::ALL, position: 0, vms };
    let mut named = 0;
    for word in line.split_ascii_whitespace() {
        let fitting = follow(words, word, &mut named);
        if fitting.is_empty() {
            return Err(match words.iter().next() {
                Some(_) => ParseError::Unknown { word, allowed: AllowedWords(words) },
                None => ParseError::Unexpected { word },
            });
        }
        words = Words { forms: fitting, position: words.position + 1, ..words };
    }
    if words.position == 0 {
        return Ok(None);
    }
    match words.forms.iter().find(|form| form.tokens.len() == words.position) {
        Some(form) => Ok(Some((form.make)(named))),
        None => Err(ParseError::Incomplete { line, allowed: AllowedWords(words) }),
    }
}

/// The forms that continue with `word`. If it is the name of a VM, `named` is set to its number.
pub(crate) fn follow<N: AsRef<str>>(words: Words<'_, N>, word: &str, named: &mut usize) -> FormSet {
    let vm = words.vms.iter().position(|name| name.as_ref() == word);
    words.forms.with(words.position, |token| match token {
        Token::Word(expected) => expected == word,
        Token::Vm => {
            *named = vm.unwrap_or(*named);
            vm.is_some()
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::command::{Others, VmAction};
    use proptest::prelude::*;
    use std::string::{String, ToString};

    const VMS: [&str; 3] = ["linux", "web", "all"];

    fn command(line: &str) -> Option<ShellCommand> {
        parse(line, &VMS).unwrap()
    }

    fn complaint(line: &str) -> String {
        parse(line, &VMS).unwrap_err().to_string()
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
        assert_eq!(command("stats"), Some(ShellCommand::Stats { vm: None }));
        assert_eq!(command("stats web"), Some(ShellCommand::Stats { vm: Some(1) }));
        assert_eq!(command("log"), Some(ShellCommand::Log));
        assert_eq!(command("reboot"), Some(ShellCommand::Reboot));
        assert_eq!(command("poweroff"), Some(ShellCommand::PowerOff));
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
        assert_eq!(complaint("net"), "\"net\" is incomplete: expected nics, vms");
        assert_eq!(complaint("reboot now"), "unexpected argument \"now\"");
        assert_eq!(complaint("Help").split(':').next(), Some("unknown word \"Help\""));
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_an_error(line in "[ -~]{0,120}") {
            if let Err(error) = parse(&line, &VMS) {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn a_command_with_a_surplus_word_is_refused(line in "(vm list|net vms|log|console web all|stats web)", word in "[a-z]+") {
            prop_assert!(parse(&line, &VMS).unwrap().is_some());
            let longer = std::format!("{line} {word}");
            let is_refused = matches!(parse(&longer, &VMS), Err(ParseError::Unexpected { .. }));
            prop_assert!(is_refused);
        }
    }
}
