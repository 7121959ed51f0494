//! `file-length`, `function-length` and `struct-fields`: code in pieces that a reader can survey.

use crate::source::Source;
use crate::tables::{FILE_LINES, FUNCTION_LINES, STRUCT_FIELDS};
use crate::violation::Violation;
use std::collections::BTreeSet;

/// Start of a comment in front of a struct with many fields; the reason follows.
const REASON: &str = "// More than 12 fields: ";

/// Files with more than [`FILE_LINES`] lines. The subject of an exception is the path.
#[must_use]
pub fn files(sources: &[Source]) -> Vec<Violation> {
    let judge = |source: &Source| {
        let lines = source.text.lines().count();
        let text = format!("{lines} lines, {FILE_LINES} at most: give each concept a file of its own");
        (lines > FILE_LINES).then(|| {
            Violation::new(&source.path, FILE_LINES + 1, "file-length", text).about(source.path.clone())
        })
    };
    sources.iter().filter_map(judge).collect()
}

/// Functions with more than [`FUNCTION_LINES`] lines. The subject of an exception is `path::name`.
#[must_use]
pub fn functions(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.text == "fn") {
            let open = source.header_end(index);
            if source.at(open) != "{" {
                continue;
            }
            let lines = source.tokens[source.tokens[open].pair].line - token.line + 1;
            if lines > FUNCTION_LINES {
                let name = source.at(index + 1);
                let text = format!(
                    "{name} has {lines} lines, {FUNCTION_LINES} at most: name its steps and make them functions"
                );
                let violation = Violation::new(&source.path, token.line, "function-length", text);
                found.push(violation.about(format!("{}::{name}", source.path)));
            }
        }
    }
    found
}

/// Structs of `kernel/src` with more than [`STRUCT_FIELDS`] fields and no reason in front, and reasons that no struct
/// needs.
#[must_use]
pub fn structs(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("kernel/src/")) {
        let mut reasons: BTreeSet<usize> = source.text.lines().zip(1..).filter_map(reason).collect();
        for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.text == "struct") {
            let fields = fields(source, index);
            if fields <= STRUCT_FIELDS {
                continue;
            }
            if let Some(line) = reason_above(source, token.line) {
                reasons.remove(&line);
            } else {
                let text = format!(
                    "{} has {fields} fields, {STRUCT_FIELDS} at most: group them by subject, or say why not in a \
                     line `{REASON}...` in front",
                    source.at(index + 1)
                );
                found.push(Violation::new(&source.path, token.line, "struct-fields", text));
            }
        }
        for line in reasons {
            let text = format!("no struct of more than {STRUCT_FIELDS} fields follows the reason: remove it");
            found.push(Violation::new(&source.path, line, "struct-fields", text));
        }
    }
    found
}

/// Fields of the struct whose keyword is token `index`, none if they have no names.
fn fields(source: &Source, index: usize) -> usize {
    let open = source.header_end(index);
    if source.at(open) != "{" {
        return 0;
    }
    let mut at = open + 1;
    let mut colons = 0;
    while at < source.tokens[open].pair {
        // A path has two colons side by side, a field one.
        let is_pair = source.reads(at, &[":", ":"]) || source.reads(at - 1, &[":", ":"]);
        colons += usize::from(source.at(at) == ":" && !is_pair);
        at = source.tokens[at].pair.max(at) + 1;
    }
    colons
}

/// Line of the reason among the comments and attributes right above `line`.
fn reason_above(source: &Source, line: usize) -> Option<usize> {
    let lines: Vec<_> = source.text.lines().zip(1..).take(line - 1).collect();
    let above = lines.into_iter().rev();
    let mut above =
        above.take_while(|(text, _)| !text.trim().is_empty() && !text.trim().ends_with(['}', ';', '{']));
    above.find_map(reason)
}

/// The number of a line that gives a reason.
fn reason((text, line): (&str, usize)) -> Option<usize> {
    let reason = text.trim().strip_prefix(REASON)?;
    (!reason.trim().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [Source; 1] {
        [Source::new("kernel/src/a.rs", text).expect("Rust")]
    }

    #[test]
    fn a_file_of_401_lines_is_named() {
        assert!(files(&source(&"\n".repeat(400))).is_empty());
        let found = files(&source(&"\n".repeat(401)));
        assert!(found[0].to_string().starts_with("kernel/src/a.rs:401: file-length: 401 lines, 400 at most"));
        assert_eq!(found[0].subject, "kernel/src/a.rs");
    }

    #[test]
    fn a_function_of_61_lines_is_named_at_its_first() {
        let text =
            |lines: usize| format!("struct A;\n/// Long.\nfn f() -> [u8; 1] {{{}}}", "\n".repeat(lines - 1));
        assert!(functions(&source(&text(60))).is_empty());
        let found = functions(&source(&text(61)));
        assert!(found[0].to_string().starts_with("kernel/src/a.rs:3: function-length: f has 61 lines"));
        assert_eq!(found[0].subject, "kernel/src/a.rs::f");
    }

    #[test]
    fn a_constant_in_the_type_of_the_result_is_not_the_body() {
        let text = format!("fn f() -> A<{{ N }}> {{{}}}", "\n".repeat(60));
        assert_eq!(functions(&source(&text)).len(), 1);
    }

    #[test]
    fn functions_without_a_body_and_types_of_functions_have_no_lines() {
        let text = format!(
            "trait A {{ fn f(); }}\ntype B = fn(u8) -> u8;\nstruct C {{ f: fn() }}{}",
            "\n".repeat(70)
        );
        assert!(functions(&source(&text)).is_empty());
    }

    fn wide(fields: usize) -> String {
        let fields: String = (0..fields).map(|field| format!("    pub f{field}: a::B<C, D>,\n")).collect();
        format!("/// Wide.\n#[derive(Debug)]\nstruct Wide {{\n{fields}}}\n")
    }

    #[test]
    fn a_struct_of_13_fields_without_a_reason_is_named() {
        assert!(structs(&source(&wide(12))).is_empty());
        let found = structs(&source(&wide(13)));
        assert!(found[0].to_string().starts_with("kernel/src/a.rs:3: struct-fields: Wide has 13 fields"));
    }

    #[test]
    fn a_reason_in_front_lets_it_pass_and_only_the_struct_behind_it() {
        let text = format!("// More than 12 fields: the manual's table.\n{}", wide(13));
        assert!(structs(&source(&text)).is_empty());
        assert_eq!(structs(&source(&format!("{text}{}", wide(13)))).len(), 1);
        assert_eq!(structs(&source(&format!("// More than 12 fields: \n{}", wide(13)))).len(), 1);
    }

    #[test]
    fn a_reason_that_no_struct_needs_is_named() {
        let found = structs(&source(&format!("\n// More than 12 fields: the manual's table.\n{}", wide(12))));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("kernel/src/a.rs:2: struct-fields: no struct of more than"));
    }
}
