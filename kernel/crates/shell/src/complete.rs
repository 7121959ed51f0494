//! Completion of words with the Tab key.

use crate::grammar::{FormSet, Words};
use crate::names::{NamedThings, Names};
use crate::parse::follow;
use core::fmt;

/// The possible completions of the last word of a line.
pub struct Completion<'a, N> {
    /// The text that all matching words have in common after the typed part.
    pub common: &'a str,
    /// The number of matching words.
    pub count: usize,
    words: Words<'a, N>,
    typed: &'a str,
}

/// Completes the last word of `line`.
///
/// ```
/// let names = shell::Names { vms: &["web", "db"], teams: &["lan"], nics: &["nic0"] };
/// let completion = shell::complete("vm star", names);
/// assert_eq!((completion.common, completion.count), ("t", 1));
/// ```
pub fn complete<'a, N: AsRef<str>>(line: &'a str, names: Names<'a, N>) -> Completion<'a, N> {
    let (before, typed) = match line.rfind([' ', '\t']) {
        Some(blank) => line.split_at(blank + 1),
        None => ("", line),
    };
    let mut words = Words { forms: FormSet::ALL, position: 0, names };
    for word in before.split_ascii_whitespace() {
        let forms = follow(words, word, &mut NamedThings::NONE.clone());
        words = Words { forms, position: words.position + 1, ..words };
    }
    let mut completion = Completion { common: "", count: 0, words, typed };
    let mut common: Option<&str> = None;
    for rest in completion.words().filter_map(|word| word.strip_prefix(typed)) {
        completion.count += 1;
        common = Some(common.map_or(rest, |common| &common[..in_common(common, rest)]));
    }
    completion.common = common.unwrap_or("");
    completion
}

/// The length in bytes of the common prefix of two words. The shell's words and all names are ASCII.
fn in_common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

impl<'a, N: AsRef<str>> Completion<'a, N> {
    fn words(&self) -> impl Iterator<Item = &'a str> + use<'a, N> {
        let typed = self.typed;
        self.words.iter().filter(move |word| word.starts_with(typed))
    }
}

impl<N: AsRef<str>> fmt::Display for Completion<'_, N> {
    /// Lists the matching words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().enumerate().try_for_each(|(at, word)| {
            if at > 0 {
                f.write_str("  ")?;
            }
            f.write_str(word)
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::parse;
    use proptest::prelude::*;
    use std::string::ToString;

    const NAMES: Names<'_, &str> =
        Names { vms: &["web-1", "web-2", "db", "wäb"], teams: &["lan"], nics: &["nic0", "nic1"] };

    fn completed(line: &str) -> (&str, usize) {
        let completion = complete(line, NAMES);
        (completion.common, completion.count)
    }

    #[test]
    fn one_word_is_completed() {
        assert_eq!(completed("con"), ("sole", 1));
        assert_eq!(completed("vm  pa"), ("use", 1));
        assert_eq!(completed("vm pause d"), ("b", 1));
        assert_eq!(completed("console web-1 "), ("all", 1));
        assert_eq!(completed("net policy l"), ("an", 1));
        assert_eq!(completed("net policy lan i"), ("p-hash", 1));
        assert_eq!(completed("net nic nic1 dr"), ("ain", 1));
        assert_eq!(completed("net events "), ("raw", 1));
    }

    #[test]
    fn several_words_are_completed_to_their_common_prefix() {
        assert_eq!(completed("vm st"), ("", 3));
        assert_eq!(completed("vm sta"), ("", 2));
        assert_eq!(completed("vm re"), ("s", 2));
        assert_eq!(completed("console we"), ("b-", 2));
        assert_eq!(completed("net nic "), ("nic", 2));
        assert_eq!(completed("net te"), ("am", 2));
        assert_eq!(complete("vm st", NAMES).to_string(), "status  start  stop");
        assert_eq!(completed("").1, 8);
    }

    #[test]
    fn no_completion_is_offered_where_no_word_matches() {
        assert_eq!(completed("xyz"), ("", 0));
        assert_eq!(completed("xyz "), ("", 0));
        assert_eq!(completed("log "), ("", 0));
        assert_eq!(completed("vm pause dbx"), ("", 0));
        assert_eq!(completed("net why db "), ("", 0));
        assert_eq!(completed("net why db 10."), ("", 0));
    }

    proptest! {
        #[test]
        fn a_unique_completion_is_a_known_word(line in "(vm|net|console|stats|log|v|n|st)( [a-z]{0,3}){0,2}") {
            let completion = complete(&line, NAMES);
            if completion.count == 1 {
                let whole = std::format!("{line}{}", completion.common);
                let known = !matches!(parse(&whole, NAMES), Err(parse::ParseError::Unknown { .. }));
                prop_assert!(known, "{}", whole);
            }
        }
    }
}
