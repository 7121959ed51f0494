//! A Rust file as tokens with their positions, and its comments separately.
//!
//! Rules work on tokens and not on a syntax tree, so that code in the arguments of a macro counts like any other.

use crate::Error;
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use std::collections::BTreeSet;

/// A Rust file.
pub struct Source {
    /// Path from the root of the tree, with slashes.
    pub path: String,
    /// The text as it stands in the file.
    pub text: String,
    /// Every token except doc comments; a group is its two delimiters and what is between them.
    pub tokens: Vec<Token>,
    /// True for a file that is only compiled for tests.
    pub is_test: bool,
    /// True for a file that only programs of the host compile.
    pub is_host_only: bool,
}

/// What stands alone in `#[cfg(...)]`, or first in `#[cfg(all(...))]`, of an item that is compiled under it only.
#[derive(Debug, Clone, Copy)]
pub struct Condition(&'static [&'static str]);

/// Compiled for tests.
pub const TEST: Condition = Condition(&["test"]);
/// Compiled with the standard library only.
pub const HOST: Condition = Condition(&["feature", "=", "\"std\""]);

/// One token.
#[derive(Debug, Clone)]
pub struct Token {
    /// As it is written; a single character for punctuation and delimiters.
    pub text: String,
    /// Line of its first character, from 1.
    pub line: usize,
    /// Index of the other delimiter of a group, else its own index.
    pub pair: usize,
    /// True inside an item that is only compiled for tests.
    pub is_test: bool,
    last_line: usize,
    bytes: std::ops::Range<usize>,
}

impl Source {
    /// Splits `text` into tokens.
    ///
    /// # Errors
    /// When it is not Rust.
    pub fn new(path: &str, text: &str) -> Result<Self, Error> {
        let stream: TokenStream =
            text.parse().map_err(|source| Error::Tokens { path: path.to_owned(), source })?;
        let mut tokens = Vec::new();
        flatten(stream, text, &mut tokens);
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            is_test: false,
            is_host_only: false,
        };
        for index in source.items_under(TEST).into_iter().flatten() {
            source.tokens[index].is_test = true;
        }
        // The folder `tests` at the root is a part of its own; below it, and elsewhere, it holds a package's tests.
        source.is_test = path.split('/').skip(1).any(|folder| folder == "tests");
        Ok(source)
    }

    /// Text of token `index`, empty beyond the end.
    #[must_use]
    pub fn at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    /// True when the tokens from `index` on are `expected`.
    #[must_use]
    pub fn reads(&self, index: usize, expected: &[&str]) -> bool {
        expected.iter().enumerate().all(|(offset, text)| self.at(index + offset) == *text)
    }

    /// Index of the `{` or `;` that ends the header of the item around token `index`; the end of the file if none does.
    /// Braces between `<` and `>` are an argument of a type.
    #[must_use]
    pub fn header_end(&self, index: usize) -> usize {
        let mut at = index;
        let mut depth = 0_usize;
        while at < self.tokens.len() {
            match self.at(at) {
                "{" if depth > 0 => {}
                "{" | ";" | "}" | ")" | "]" => break,
                "<" => depth += 1,
                ">" if at > 0 && self.at(at - 1) != "-" => depth = depth.saturating_sub(1),
                _ => {}
            }
            at = self.tokens[at].pair.max(at) + 1;
        }
        at
    }

    /// Number of lines with code: neither blank, nor comment alone, nor compiled for tests alone.
    #[must_use]
    pub fn code_lines(&self) -> usize {
        let code = self.tokens.iter().filter(|token| !token.is_test && !self.is_test);
        code.flat_map(|token| token.line..=token.last_line).collect::<BTreeSet<_>>().len()
    }

    /// The file with its code blanked out: the comments, each on its line and without its marks.
    #[must_use]
    pub fn comments(&self) -> String {
        let mut bytes = self.text.clone().into_bytes();
        for token in &self.tokens {
            for byte in &mut bytes[token.bytes.clone()] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '*']).to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Modules that are declared under `condition`, as the paths of their files begin.
    #[must_use]
    pub fn modules_under(&self, condition: Condition) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let inner = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let mut modules = Vec::new();
        for index in self.items_under(condition).into_iter().flatten() {
            if self.reads(index, &["path", "="]) {
                let file = self.at(index + 2).trim_matches('"').trim_end_matches(".rs");
                modules.push(format!("{folder}/{file}"));
            } else if self.at(index) == "mod" && self.at(index + 2) == ";" {
                modules.push(format!("{inner}/{}", self.at(index + 1)));
            }
        }
        modules
    }

    /// Tokens of the items that are compiled under `condition` only, their attributes included.
    fn items_under(&self, condition: Condition) -> Vec<std::ops::Range<usize>> {
        let mut items = Vec::new();
        for index in 0..self.tokens.len() {
            if !self.reads(index, &["#", "[", "cfg", "("]) {
                continue;
            }
            let first = if self.reads(index + 4, &["all", "("]) { index + 6 } else { index + 4 };
            let is_whole = matches!(self.at(first + condition.0.len()), "," | ")");
            if !self.reads(first, condition.0) || !is_whole {
                continue;
            }
            let mut start = index;
            while self.reads(start, &["#", "["]) {
                start = self.tokens[start + 1].pair + 1;
            }
            let end = self.header_end(start);
            let end = if self.at(end) == "{" { self.tokens[end].pair } else { end };
            items.push(index..(end + 1).min(self.tokens.len()));
        }
        items
    }
}

fn flatten(stream: TokenStream, text: &str, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter();
    while let Some(tree) = trees.next() {
        match tree {
            // A doc comment arrives as `#[doc = "..."]` or `#![doc = "..."]` whose parts all lie on the comment.
            TokenTree::Punct(hash) if is_doc(hash.span(), text) => {
                trees.find(|tree| matches!(tree, TokenTree::Group(_)));
            }
            TokenTree::Group(group) => flatten_group(&group, text, tokens),
            other => push(other.to_string(), other.span(), tokens),
        }
    }
}

fn flatten_group(group: &Group, text: &str, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => return flatten(group.stream(), text, tokens),
    };
    let first = tokens.len();
    push(open.to_owned(), group.span_open(), tokens);
    flatten(group.stream(), text, tokens);
    tokens[first].pair = tokens.len();
    push(close.to_owned(), group.span_close(), tokens);
    if let Some(last) = tokens.last_mut() {
        last.pair = first;
    }
}

fn is_doc(span: Span, text: &str) -> bool {
    text.get(span.byte_range()).is_some_and(|text| text.starts_with('/') && text.len() > 1)
}

fn push(text: String, span: Span, tokens: &mut Vec<Token>) {
    let (line, last_line, pair) = (span.start().line, span.end().line, tokens.len());
    tokens.push(Token { text, line, pair, is_test: false, last_line, bytes: span.byte_range() });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "//! About ä.\n\n/// A thing.\nstruct A; // tail\n\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";

    #[test]
    fn comments_keep_their_lines_and_lose_their_marks() {
        let source = Source::new("a.rs", TEXT).expect("Rust");
        let comments: Vec<_> = source.comments().lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(comments, ["About ä.", "", "A thing.", "tail", "", "", "", ""]);
    }

    #[test]
    fn comments_blank_lines_and_tests_are_not_code() {
        let source = Source::new("a.rs", TEXT).expect("Rust");
        assert_eq!(source.code_lines(), 1);
        let source = Source::new("a.rs", "const A: &str = \"one\n\ntwo\";\n\n/* no */\n").expect("Rust");
        assert_eq!(source.code_lines(), 3);
        let source = Source::new("a/tests/b.rs", "struct A;").expect("Rust");
        assert_eq!(source.code_lines(), 0);
    }

    #[test]
    fn items_without_tests_are_code() {
        let source = Source::new("a.rs", "#[cfg(not(test))]\nfn f() {\n    g();\n}\n").expect("Rust");
        assert_eq!(source.code_lines(), 4);
    }

    #[test]
    fn only_what_needs_test_is_test_code() {
        let lines = |condition: &str| {
            let text = format!("#[cfg({condition})]\nfn f() {{}}\n");
            Source::new("a.rs", &text).expect("Rust").code_lines()
        };
        for condition in ["test", "all(test)", "all(test, not(unix))"] {
            assert_eq!(lines(condition), 0, "{condition}");
        }
        for condition in ["any(test, unix)", "all(any(test, unix))", "feature = \"test\"", "test = \"no\""] {
            assert_eq!(lines(condition), 2, "{condition}");
        }
    }

    #[test]
    fn a_constant_in_braces_does_not_end_a_header() {
        for text in ["fn f() -> A<{ N }> { g() }", "impl<F: Fn() -> u8> A<{ N }, F> for B { }"] {
            let source = Source::new("a.rs", text).expect("Rust");
            assert_eq!(source.tokens[source.header_end(0)].pair, source.tokens.len() - 1, "{text}");
        }
    }

    #[test]
    fn files_of_test_modules_are_named() {
        let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod more;\nmod code;";
        let named = |path| Source::new(path, text).expect("Rust").modules_under(TEST);
        assert_eq!(named("x/a.rs"), ["x/a/tests", "x/a_tests", "x/a/more"]);
        assert_eq!(named("x/mod.rs"), ["x/tests", "x/a_tests", "x/more"]);
    }
}
