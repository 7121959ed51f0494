//! `citation`: every source that a comment or a document cites in brackets stands in docs/references.md.

use crate::violation::Violation;

/// Short names of the sources: the first column of the table in docs/references.md.
#[must_use]
pub fn short_names(references: &str) -> Vec<String> {
    let rows = references.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().to_owned()).collect()
}

/// Citations in `text`, which is a document or the comments of a file, of sources that are not `known`.
#[must_use]
pub fn check(path: &str, text: &str, known: &[String]) -> Vec<Violation> {
    let text = without_code(text);
    let mut found = Vec::new();
    for (start, _) in text.match_indices('[') {
        let rest = &text[start + 1..];
        let Some(end) = rest.find([']', '[']) else { continue };
        let after = rest[end..].strip_prefix(']');
        // A link, or a bracket that another paragraph closes.
        if after.is_none_or(|after| after.starts_with(['(', ':', '['])) || rest[..end].contains("\n\n") {
            continue;
        }
        let line = text[..start].matches('\n').count() + 1;
        for citation in citations(&rest[..end]) {
            if !known.iter().any(|name| is_from(&citation, name)) {
                let text = format!(
                    "[{citation}] cites a source that docs/references.md does not list: add it to the table there"
                );
                found.push(Violation::new(path, line, "citation", text));
            }
        }
    }
    found
}

/// True when `citation` is of the source called `name`.
fn is_from(citation: &str, name: &str) -> bool {
    let Some(rest) = citation.strip_prefix(name) else { return false };
    let mut rest = rest.chars();
    match (rest.next(), rest.next()) {
        (Some('.'), Some(next)) => !next.is_ascii_digit(),
        (next, _) => next.is_none_or(|next| !next.is_alphanumeric()),
    }
}

/// The sources in a pair of brackets: `[8254x 13.4.4, 82574 10.2.2.4; Linux: Documentation]` has three.
fn citations(inside: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in inside.split(';') {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        if is_citation(&part) {
            found.push(part.clone());
        }
        // What follows a comma is a section of the same source, unless it begins like `82574 10.2`.
        let further = part.split(", ").skip(1);
        found.extend(further.filter(|piece| is_source_and_section(piece)).map(str::to_owned));
    }
    found
}

/// True for what reads like a source: `8254x`, `SDM3A 5.6`, `Linux boot protocol`. Names of items, which rustdoc links,
/// values and log times do not.
fn is_citation(part: &str) -> bool {
    let first = part.split([' ', ',', ':']).next().unwrap_or_default();
    let digits = first.chars().take_while(char::is_ascii_digit).count();
    let is_plain = part.chars().all(|c| c.is_alphanumeric() || " .,:-–/()'\"+".contains(c));
    let is_number =
        digits == first.len() && part.len() > first.len() && !part[first.len()..].starts_with(' ');
    if !is_plain || is_number || !(first.starts_with(|c: char| c.is_ascii_uppercase()) || digits >= 4) {
        return false;
    }
    let has_more = part.len() > first.len() && !part.contains("::");
    has_more
        || (first.len() > 3
            && !first.contains(is_lower_inside)
            && first.contains(|c: char| c.is_ascii_digit()))
        || digits >= 4
}

fn is_lower_inside(c: char) -> bool {
    c.is_ascii_lowercase()
}

fn is_source_and_section(piece: &str) -> bool {
    let Some((source, section)) = piece.split_once(' ') else { return false };
    let digits = source.chars().take_while(char::is_ascii_digit).count();
    let letters = source.chars().take_while(char::is_ascii_uppercase).count();
    (digits >= 4
        || letters >= 1 && source.len() >= 3 && source[letters..].chars().all(|c| c.is_ascii_alphanumeric()))
        && source.chars().skip(1).all(|c| !c.is_ascii_lowercase() || digits >= 4)
        && section.starts_with(|c: char| c.is_ascii_digit())
}

/// `text` with what is in backticks, in fences and indented by four columns blanked out, line by line.
fn without_code(text: &str) -> String {
    let mut is_fenced = false;
    let mut is_code = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced && !line.starts_with("    ") {
            // A span in backticks may go on in the next line, but not in the next paragraph.
            is_code &= !line.trim().is_empty();
            for c in line.chars() {
                is_code ^= c == '`';
                out.push(if is_code { ' ' } else { c });
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "# References\n\n| short name | title |\n| --- | --- |\n| SDM3A, 8254x | a |\n| PCI 3.0 | b |\n";

    fn said(text: &str) -> Vec<String> {
        check("a.rs", text, &short_names(TABLE)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_column_has_the_short_names() {
        assert_eq!(short_names(TABLE), ["SDM3A", "8254x", "PCI 3.0"]);
    }

    #[test]
    fn an_unknown_source_is_named_with_its_line() {
        let said = said("Known [SDM3A 5.6].\nUnknown [RFC 826].");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("a.rs:2: citation: [RFC 826] cites a source"));
    }

    #[test]
    fn short_names_are_whole_words() {
        assert!(said("[SDM3A] [8254x: setup] [PCI 3.0 6.8] [8254x 13.4, table 13-2]").is_empty());
        assert_eq!(said("[SDM3AB 5] [8254 1] [PCI 3.0.1 6]").len(), 3);
    }

    #[test]
    fn every_part_of_a_citation_counts() {
        assert_eq!(said("[8254x 13.4.4, 82574 10.2.2.4, I210 8.4.2]").len(), 2);
        assert_eq!(said("[8254x 1; Linux: Documentation/a.rst]").len(), 1);
        assert_eq!(said("A citation [Linux boot\nprotocol, 64-bit] in two lines.").len(), 1);
        assert!(said("[8254x 3.2, DELMOD] [SDM3A 5.6, leaf 7 EBX bit 9]").is_empty());
    }

    #[test]
    fn links_values_log_lines_and_code_are_no_citations() {
        let text = "[`Vec`] [Self] [Port::send] [U8] [text](RFC 1) [8086:100e] [12.000046] [0, 1] [0x1234] [bx+si]\n\
                    `[RFC 1]` [packet(7)] [ARRAY; 4]\n```\n[RFC 1 2]\n```\n    [RFC 1 2]\n[1] [IO] [SECONDS]";
        assert_eq!(said(text), [""; 0]);
    }
}
