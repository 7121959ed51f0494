//! `figures`: docs/performance.md states the figures that `make bench` wrote to docs/figures.txt.
//!
//! In the section "Results" a table whose first column is headed `figure` names one in each row. Its other columns are
//! headed `value` and `unit`, or by an ending: the cell of row `receive` below `exits` is the figure `receive-exits`. In
//! the text of the page, `` `name` = 1,234 `` states a figure.

use crate::violation::Violation;
use std::collections::{BTreeMap, BTreeSet};

const RULE: &str = "figures";
const PAGE: &str = "docs/performance.md";
const FILE: &str = "docs/figures.txt";
const REMEDY: &str = "update the page with `make figures`";

/// Value and unit of each figure, by name.
pub type Figures = BTreeMap<String, (String, String)>;

/// Reads lines `NAME VALUE UNIT`; others, such as comments, are not figures.
#[must_use]
pub fn parse(text: &str) -> Figures {
    let figure = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [name, value, unit] if !name.starts_with('#') => {
                Some((name.to_owned(), (value.to_owned(), unit.to_owned())))
            }
            _ => None,
        }
    };
    text.lines().filter_map(figure).collect()
}

/// Differences between the page and the file, and figures of the file that no table of the page shows.
#[must_use]
pub fn check(page: &str, file: Option<&str>) -> Vec<Violation> {
    let Some(file) = file else {
        let text = "is missing: `make bench` writes it".to_owned();
        return vec![Violation::new(FILE, 1, RULE, text)];
    };
    let figures = parse(file);
    let mut in_tables = BTreeSet::new();
    let mut found = Vec::new();
    let _ = rewrite(page, |place| {
        let text = match figures.get(&place.name) {
            None => format!("{FILE} has no figure `{}`: correct the name or remove it", place.name),
            Some(figure) => {
                in_tables.insert(place.name.clone());
                let right = place.kind.of(figure);
                if place.text == right {
                    return None;
                }
                format!("`{}` is {right} in {FILE} and {} here: {REMEDY}", place.name, place.text)
            }
        };
        found.push(Violation::new(PAGE, place.line, RULE, text));
        None
    });
    let missing = figures.keys().filter(|name| !in_tables.contains(*name));
    let missing =
        missing.map(|name| format!("no table of {PAGE} shows `{name}`: add it to one in the Results"));
    found.extend(missing.map(|text| Violation::new(FILE, 1, RULE, text)));
    found
}

/// The page with the file's value in place of every figure.
#[must_use]
pub fn renew(page: &str, file: &str) -> String {
    let figures = parse(file);
    rewrite(page, |place| figures.get(&place.name).map(|figure| place.kind.of(figure)))
}

/// A place of the page that states a figure.
struct Place<'a> {
    name: String,
    kind: Kind,
    text: &'a str,
    line: usize,
}

/// Which part of a figure a place states.
#[derive(Clone, Copy)]
enum Kind {
    Value,
    Unit,
}

impl Kind {
    fn of(self, (value, unit): &(String, String)) -> String {
        match self {
            Self::Value => shown(value),
            Self::Unit => unit.clone(),
        }
    }
}

/// A value as the page writes it: from 1,000 on it is rounded to a whole number, with digits in groups of three.
fn shown(value: &str) -> String {
    let whole = match value.parse::<f64>() {
        Ok(number) if number >= 1000.0 => format!("{number:.0}"),
        _ => return value.to_owned(),
    };
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The page with each place that states a figure replaced by what `renewed` gives for it.
fn rewrite<'a>(page: &'a str, mut renewed: impl FnMut(&Place<'a>) -> Option<String>) -> String {
    let mut is_results = false;
    let mut heads: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(page.len());
    for (text, line) in page.lines().zip(1..) {
        if text.starts_with("## ") {
            is_results = text == "## Results";
        }
        let cells: Vec<&str> = text.split('|').collect();
        match cells.get(1).map(|cell| cell.trim()) {
            Some("figure") if is_results => {
                heads = cells.iter().map(|cell| cell.trim()).collect();
                out += text;
            }
            Some(name) if is_results && !heads.is_empty() && !name.starts_with("---") => {
                out += &row(&cells, &heads, line, &mut renewed);
            }
            Some(_) => out += text,
            None => {
                heads.clear();
                out += &prose(text, line, &mut renewed);
            }
        }
        out.push('\n');
    }
    out
}

fn row<'a>(
    cells: &[&'a str],
    heads: &[&str],
    line: usize,
    renewed: &mut impl FnMut(&Place<'a>) -> Option<String>,
) -> String {
    let first = cells.get(1).map_or("", |cell| cell.trim().trim_matches('`'));
    let mut out = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let head = heads.get(index).copied().unwrap_or_default();
        let (name, kind) = match head {
            "" | "figure" => {
                out.push((*cell).to_owned());
                continue;
            }
            "value" => (first.to_owned(), Kind::Value),
            "unit" => (first.to_owned(), Kind::Unit),
            ending => (format!("{first}-{ending}"), Kind::Value),
        };
        let new = renewed(&Place { name, kind, text: cell.trim(), line });
        out.push(new.map_or_else(|| (*cell).to_owned(), |new| format!(" {new} ")));
    }
    out.join("|")
}

fn prose<'a>(text: &'a str, line: usize, renewed: &mut impl FnMut(&Place<'a>) -> Option<String>) -> String {
    const MARK: &str = "` = ";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at + MARK.len());
        let name = before[..at].rsplit('`').next().unwrap_or_default().to_owned();
        let end = after.find(|c: char| !c.is_ascii_digit() && !",.".contains(c)).unwrap_or(after.len());
        let value = after[..end].trim_end_matches([',', '.']);
        let new = renewed(&Place { name, kind: Kind::Value, text: value, line });
        out += before;
        out += new.as_deref().unwrap_or(value);
        rest = &after[value.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &str = "# from a run\nsize 1819648 bytes\nreceive-exits 0.062 exits/frame\nreceive-instructions 4973.612 instructions/frame\n";
    const PAGE_TEXT: &str = "\
## Figures

| figure | what it is |
| --- | --- |
| `other` | 12 |

## Results

| figure | value | unit |
| --- | --- | --- |
| `size` | 1,819,648 | bytes |

| figure | exits | instructions |
| --- | --- | --- |
| `receive` | 0.062 | 4,974 |

With `size` = 1,819,648, and 12 others.
";

    fn said(page: &str) -> Vec<String> {
        check(page, Some(FIGURES)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_that_says_what_the_file_says_is_clean() {
        assert_eq!(said(PAGE_TEXT), [""; 0]);
    }

    #[test]
    fn another_value_is_named_with_its_line() {
        let said = said(&PAGE_TEXT.replace("4,974", "4,714"));
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(
            "docs/performance.md:15: figures: `receive-instructions` is 4,974 in docs/figures.txt"
        ));
    }

    #[test]
    fn another_unit_and_another_value_in_the_text_are_named() {
        assert_eq!(said(&PAGE_TEXT.replace("| bytes", "| KiB")).len(), 1);
        let said = said(&PAGE_TEXT.replace("= 1,819,648", "= 1819648"));
        assert!(said[0].starts_with("docs/performance.md:17: figures: "));
    }

    #[test]
    fn figures_that_only_one_side_has_are_named() {
        assert!(said(&PAGE_TEXT.replace("`size` |", "`sizes` |"))[0].contains("has no figure `sizes`"));
        let without = PAGE_TEXT.replace("| `receive` | 0.062 | 4,974 |\n", "");
        assert!(said(&without)[0].starts_with(
            "docs/figures.txt:1: figures: no table of docs/performance.md shows `receive-exits`"
        ));
    }

    #[test]
    fn a_missing_file_is_reported() {
        assert!(check(PAGE_TEXT, None)[0].to_string().contains("`make bench` writes it"));
    }

    #[test]
    fn renewing_updates_the_figures_and_changes_nothing_else() {
        let old = PAGE_TEXT.replace("4,974", "1").replace("1,819,648", "7").replace("bytes", "KiB");
        assert_eq!(renew(&old, FIGURES), PAGE_TEXT);
        assert_eq!(renew(PAGE_TEXT, FIGURES), PAGE_TEXT);
    }
}
