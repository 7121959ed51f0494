//! `type-name`: a type name means one thing in the product.

use crate::source::Source;
use crate::violation::Violation;
use std::collections::{BTreeMap, BTreeSet};

const VENDORS: [&str; 2] = ["kernel/src/virt/vmx/", "kernel/src/virt/svm/"];

/// Where a type is defined.
struct Place<'a> {
    path: &'a str,
    line: usize,
}

/// Names of types that are defined more than once. Mirrored ones of the two vendors are one. The subject of an exception
/// is the name.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut places: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    let macros = defining_macros(sources);
    for source in sources.iter().filter(|source| is_product(source)) {
        for (name, line) in definitions(source, &macros) {
            places.entry(name).or_default().push(Place { path: &source.path, line });
        }
    }
    let mut found = Vec::new();
    for (name, places) in places {
        let vendors =
            VENDORS.map(|vendor| places.iter().filter(|place| place.path.starts_with(vendor)).count());
        let is_mirrored = places.len() == 2 && vendors == [1, 1];
        if places.len() < 2 || is_mirrored {
            continue;
        }
        for (index, place) in places.iter().enumerate().skip(1) {
            let first = &places[index - 1];
            let text = format!(
                "{name} is also defined in {}:{}: a name means one thing, so choose another for one of them",
                first.path, first.line
            );
            found.push(Violation::new(place.path, place.line, "type-name", text).about(name.to_owned()));
        }
    }
    found
}

/// Types in the first column of a table of the glossary `text` that the product does not define.
#[must_use]
pub fn glossary(path: &str, text: &str, sources: &[Source]) -> Vec<Violation> {
    let product = sources.iter().filter(|source| is_product(source));
    let macros = defining_macros(sources);
    let defined: BTreeSet<&str> =
        product.flat_map(|source| definitions(source, &macros)).map(|(name, _)| name).collect();
    let mut found = Vec::new();
    for (line, row) in text.lines().enumerate().filter(|(_, row)| row.starts_with('|')) {
        let names = row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        for name in names.filter(|name| is_type_name(name)).filter(|name| !defined.contains(name)) {
            let text = format!("{name} is in the glossary, and the product defines no such type");
            found.push(Violation::new(path, line + 1, "glossary", text));
        }
    }
    found
}

/// True for files of the product, tests excluded.
fn is_product(source: &Source) -> bool {
    let path = &source.path;
    let in_crate = path.strip_prefix("kernel/crates/").and_then(|rest| rest.split_once('/'));
    let in_product = path.starts_with("kernel/src/")
        || in_crate.is_some_and(|(_, rest)| rest.starts_with("src/"))
        || path.starts_with("boot/src/")
        || ["boot/uefi/src/", "boot/bzimage/src/", "boot/memory/src/"]
            .iter()
            .any(|folder| path.starts_with(folder));
    in_product && !source.is_test
}

/// Macros of the product whose text defines a type with a name that the caller passes: `struct $name`.
fn defining_macros(sources: &[Source]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for source in sources.iter().filter(|source| is_product(source)) {
        for index in 0..source.tokens.len() {
            let open = index + 3;
            if !source.reads(index, &["macro_rules", "!"]) || open >= source.tokens.len() {
                continue;
            }
            let mut body = open..source.tokens[open].pair;
            if body.any(|at| is_definer(source.at(at)) && source.at(at + 1) == "$") {
                found.insert(source.at(index + 2));
            }
        }
    }
    found
}

fn is_definer(keyword: &str) -> bool {
    matches!(keyword, "struct" | "enum" | "trait" | "union")
}

fn is_type_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
}

/// First type name in the arguments of the macro at token `index`, those in inner groups excepted.
fn argument(source: &Source, index: usize) -> Option<(&str, usize)> {
    let open = index + 2;
    let end = source.tokens.get(open)?.pair;
    let mut at = open + 1;
    while at < end && !is_type_name(source.at(at)) {
        at = source.tokens[at].pair.max(at) + 1;
    }
    (at < end).then(|| (source.at(at), source.tokens[at].line))
}

/// Name and line of each type, associated types excepted. Each use of one of `macros` defines one type, the first that its
/// arguments name.
fn definitions<'a>(source: &'a Source, macros: &BTreeSet<&str>) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    // End of the body of an `impl` or `trait` that is being read.
    let mut body_end = 0;
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| !token.is_test) {
        let before = if index == 0 { "" } else { source.at(index - 1) };
        let starts_item = matches!(before, "" | "}" | ";" | "]" | "{" | "(" | "unsafe" | ")" | "pub");
        match token.text.as_str() {
            "impl" | "trait" if starts_item => {
                let open = source.header_end(index);
                body_end = source.tokens.get(open).map_or(0, |open| open.pair).max(body_end);
            }
            _ => {}
        }
        let name = source.at(index + 1);
        let defines = match token.text.as_str() {
            "struct" | "enum" | "trait" => true,
            "union" | "type" => starts_item && index >= body_end,
            _ => false,
        };
        if defines && is_type_name(name) {
            found.push((name, token.line));
        } else if name == "!" && macros.contains(token.text.as_str()) {
            found.extend(argument(source, index));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source::new(path, text).expect("Rust")).collect();
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_second_definition_is_named_with_its_line_and_the_first_one() {
        let said = said(&[
            ("kernel/src/a.rs", "struct Entry;"),
            ("kernel/crates/x/src/lib.rs", "\npub enum Entry {}"),
            ("boot/src/a.rs", "type Other = u8;"),
        ]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(
            "kernel/crates/x/src/lib.rs:2: type-name: Entry is also defined in kernel/src/a.rs:1"
        ));
    }

    #[test]
    fn every_kind_of_type_counts_and_those_in_macros_too() {
        let kinds =
            ["struct A;", "enum A {}", "trait A {}", "pub type A = u8;", "pub(crate) union A { b: u8 }"];
        for kind in kinds.into_iter().chain(["bitflags! { pub struct A: u8 {} }", "fn f() { struct A; }"]) {
            assert_eq!(said(&[("kernel/src/a.rs", "struct A;"), ("boot/src/a.rs", kind)]).len(), 1, "{kind}");
        }
    }

    #[test]
    fn associated_types_are_not_defined_by_each_impl() {
        let text = "trait T { type A; } impl T for u8 { type A = u8; } fn f() -> impl T { 1 }";
        assert!(
            said(&[("kernel/src/a.rs", text), ("kernel/src/b.rs", "impl T for u8 { type A = u8; }")])
                .is_empty()
        );
        let by_macro = "macro_rules! m { ($($t:ty),*) => { $(impl T for $t { type A = u8; })* } }";
        assert!(said(&[("kernel/src/a.rs", text), ("kernel/src/b.rs", by_macro)]).is_empty());
        assert_eq!(
            said(&[("kernel/src/a.rs", text), ("kernel/src/b.rs", "type A = u8; type A = u8;")]).len(),
            1
        );
    }

    #[test]
    fn a_name_passed_to_a_macro_that_defines_a_type_counts() {
        let macros =
            "macro_rules! address { ($(#[$m:meta])* $name:ident) => { $(#[$m])* pub struct $name; } }
            macro_rules! other { ($name:ident) => { struct Fixed; f::<$name>(); } }";
        let uses = "address!(\n/// Doc.\n#[derive(Debug)]\nGuest, \"g\"); other!(Host);";
        let taken = "struct Guest; struct Host;";
        let said =
            said(&[("kernel/src/m.rs", macros), ("kernel/src/u.rs", uses), ("kernel/src/x.rs", taken)]);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("kernel/src/x.rs:1: type-name: Guest is also defined in kernel/src/u.rs:4")
        );
    }

    #[test]
    fn the_glossary_lists_types_that_exist() {
        let sources = [Source::new("kernel/src/a.rs", "struct Known;").expect("Rust")];
        let page = "| type |\n| --- |\n| `Known`, `Gone` | `Elsewhere` |\n| word | `Elsewhere` |";
        let found = glossary("docs/words.md", page, &sources);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("docs/words.md:3: glossary: Gone is in the glossary"));
    }

    #[test]
    fn tests_may_reuse_names() {
        let text = "#[cfg(test)] mod tests { struct A; }";
        assert!(said(&[("kernel/src/a.rs", "struct A;"), ("boot/src/a.rs", text)]).is_empty());
        assert!(
            said(&[("kernel/src/a.rs", "struct A;"), ("kernel/crates/x/tests/a.rs", "struct A;")]).is_empty()
        );
    }

    #[test]
    fn mirrored_names_of_the_vendors_are_one() {
        let mirrored =
            [("kernel/src/virt/vmx/a.rs", "struct Vcpu;"), ("kernel/src/virt/svm/a.rs", "struct Vcpu;")];
        assert!(said(&mirrored).is_empty());
        let twice = [mirrored[0], ("kernel/src/virt/vmx/b.rs", "struct Vcpu;")];
        assert_eq!(said(&twice).len(), 1);
        assert_eq!(said(&[mirrored[0], mirrored[1], ("kernel/src/vm/mod.rs", "struct Vcpu;")]).len(), 2);
    }
}
