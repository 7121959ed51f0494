//! From a typed line to a command, or to what is wrong with it.

use crate::command::Command;
use crate::grammar::{FormSet, Token, Words};
use core::fmt;

/// Why a line is no command. Each says what would have been allowed.
#[derive(Debug, thiserror::Error)]
pub enum ParseError<'a, N: AsRef<str>> {
    /// A word that is not known where it stands.
    #[error("there is no \"{word}\" here: allowed are {allowed}")]
    Unknown {
        /// The word.
        word: &'a str,
        /// What may stand there.
        allowed: Allowed<'a, N>,
    },
    /// More words than the command has.
    #[error("\"{word}\" is too much: the command ends before it")]
    TooMuch {
        /// The first of them.
        word: &'a str,
    },
    /// A command that breaks off.
    #[error("\"{line}\" needs one more word: {allowed}")]
    Incomplete {
        /// What there is of it.
        line: &'a str,
        /// What may follow.
        allowed: Allowed<'a, N>,
    },
}

/// The words allowed at one place.
#[derive(Debug)]
pub struct Allowed<'a, N: AsRef<str>>(Words<'a, N>);

impl<N: AsRef<str>> fmt::Display for Allowed<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Understands a line; an empty one is no command. `vms` are the names of the VMs, in their order.
///
/// # Errors
/// [`ParseError`], which borrows the line and the names.
pub fn parse<'a, N: AsRef<str>>(line: &'a str, vms: &'a [N]) -> Result<Option<Command>, ParseError<'a, N>> {
    let line = line.trim_ascii();
    let mut words = Words { forms: FormSet::ALL, position: 0, vms };
    let mut named = 0;
    for word in line.split_ascii_whitespace() {
        let fitting = follow(words, word, &mut named);
        if fitting.is_empty() {
            return Err(match words.iter().next() {
                Some(_) => ParseError::Unknown { word, allowed: Allowed(words) },
                None => ParseError::TooMuch { word },
            });
        }
        words = Words { forms: fitting, position: words.position + 1, ..words };
    }
    if words.position == 0 {
        return Ok(None);
    }
    match words.forms.iter().find(|form| form.tokens.len() == words.position) {
        Some(form) => Ok(Some((form.make)(named))),
        None => Err(ParseError::Incomplete { line, allowed: Allowed(words) }),
    }
}

/// The forms that go on with `word`; a VM's name is noted by its number.
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

    fn command(line: &str) -> Option<Command> {
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
            ("stop", VmAction::Stop),
            ("restart", VmAction::Restart),
        ] {
            let line = std::format!("vm {word} web");
            assert_eq!(command(&line), Some(Command::Vm { action, vm: 1 }));
            assert_eq!(action.to_string(), word);
        }
        let console = |vm, others| Some(Command::Console { vm, others });
        assert_eq!(command("help"), Some(Command::Help));
        assert_eq!(command("vm list"), Some(Command::VmList));
        assert_eq!(command("console"), console(None, Others::AsBefore));
        assert_eq!(command("console linux"), console(Some(0), Others::Kept));
        assert_eq!(command("console linux all"), console(Some(0), Others::Shown));
        assert_eq!(command("console all"), console(Some(2), Others::Kept));
        assert_eq!(command("net nics"), Some(Command::NetNics));
        assert_eq!(command("net vms"), Some(Command::NetVms));
        assert_eq!(command("stats"), Some(Command::Stats { vm: None }));
        assert_eq!(command("stats web"), Some(Command::Stats { vm: Some(1) }));
        assert_eq!(command("log"), Some(Command::Log));
        assert_eq!(command("reboot"), Some(Command::Reboot));
        assert_eq!(command("poweroff"), Some(Command::PowerOff));
    }

    #[test]
    fn blanks_do_not_matter() {
        assert_eq!(command("  vm \t list  "), Some(Command::VmList));
        assert_eq!(command(""), None);
        assert_eq!(command(" \t "), None);
    }

    #[test]
    fn mistakes_are_answered_with_what_is_allowed() {
        assert_eq!(
            complaint("shutdown now"),
            "there is no \"shutdown\" here: allowed are help, vm, console, net, stats, log, reboot, poweroff"
        );
        assert_eq!(
            complaint("vm kill web"),
            "there is no \"kill\" here: allowed are list, start, pause, resume, stop, restart"
        );
        assert_eq!(complaint("vm stop wbe"), "there is no \"wbe\" here: allowed are linux, web, all");
        assert_eq!(complaint("vm  stop "), "\"vm  stop\" needs one more word: linux, web, all");
        assert_eq!(complaint("net"), "\"net\" needs one more word: nics, vms");
        assert_eq!(complaint("reboot now"), "\"now\" is too much: the command ends before it");
        assert_eq!(complaint("Help").split(':').next(), Some("there is no \"Help\" here"));
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_a_mistake(line in "[ -~]{0,120}") {
            if let Err(error) = parse(&line, &VMS) {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn a_command_with_a_word_more_is_none(line in "(vm list|net vms|log|console web all|stats web)", word in "[a-z]+") {
            prop_assert!(parse(&line, &VMS).unwrap().is_some());
            let longer = std::format!("{line} {word}");
            let is_mistake = matches!(parse(&longer, &VMS), Err(ParseError::TooMuch { .. }));
            prop_assert!(is_mistake);
        }
    }
}
