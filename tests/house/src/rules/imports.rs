//! `import-direction`: a folder of `kernel/src` imports only folders below it. `import-hidden`: no import of another form
//! hides from that.

use crate::source::Source;
use crate::violation::Violation;
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "kernel/src/";
/// The files of `kernel/src` itself, as one node of the graph of imports.
const TOP: &str = "the root files";

/// An import of one part of `kernel/src` by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The importing file.
    pub path: String,
    /// Line of the import.
    pub line: usize,
    /// Folder of the importing file.
    pub from: String,
    /// Folder that is imported.
    pub to: String,
}

/// Every import that leads from one folder of `kernel/src` to another, from a root file or to one.
#[must_use]
pub fn imports(sources: &[Source]) -> Vec<Import> {
    let kernel: Vec<_> = sources.iter().filter(|source| source.path.starts_with(ROOT)).collect();
    let folders: BTreeSet<_> = kernel.iter().map(|source| part(&source.path)).collect();
    let mut imports = Vec::new();
    for source in kernel {
        let from = part(&source.path);
        for (line, name) in first_names(source) {
            let to = if folders.contains(name.as_str()) { name } else { TOP.to_owned() };
            if to != from {
                imports.push(Import { path: source.path.clone(), line, from: from.to_owned(), to });
            }
        }
    }
    imports
}

/// Imports that lead up or sideways in `order`, which lists folders from the ground up.
#[must_use]
pub fn check(imports: &[Import], order: &[(&[&str], &str)]) -> Vec<Violation> {
    let rank = |name: &str| match name {
        TOP => Some(order.len()),
        _ => order.iter().position(|(level, _)| level.contains(&name)),
    };
    let judge = |import: &Import| {
        let Import { from, to, .. } = import;
        let text = match (rank(from), rank(to)) {
            (Some(above), Some(below)) if above > below => return None,
            (Some(one), Some(other)) if one == other => {
                format!(
                    "{from} and {to} are level and do not import each other: move what both need below them"
                )
            }
            (Some(_), Some(_)) => {
                format!(
                    "{from} must not import {to}, above it: move what it needs down, or take it as a parameter"
                )
            }
            (rank, _) => {
                let folder = if rank.is_none() { from } else { to };
                format!(
                    "the folder {folder} has no place in FOLDERS of tests/house/src/tables.rs: give it one"
                )
            }
        };
        Some(Violation::new(&import.path, import.line, "import-direction", text))
    };
    imports.iter().filter_map(judge).collect()
}

/// Groups of folders that import each other in a circle.
#[must_use]
pub fn circles(imports: &[Import]) -> Vec<Vec<String>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        reached.entry(&import.from).or_default().insert(&import.to);
    }
    loop {
        let further = |seen: &BTreeSet<&str>| {
            seen.iter().filter_map(|name| reached.get(name)).flatten().copied().collect::<BTreeSet<_>>()
        };
        let next: BTreeMap<_, _> =
            reached.iter().map(|(name, seen)| (*name, seen | &further(seen))).collect();
        if next == reached {
            break;
        }
        reached = next;
    }
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|seen| seen.contains(to));
    let in_circle = reached.keys().filter(|name| leads(name, name));
    let groups: BTreeSet<Vec<String>> = in_circle
        .map(|name| {
            let mates = reached.keys().filter(|other| leads(name, other) && leads(other, name));
            mates.map(|name| (*name).to_owned()).collect()
        })
        .collect();
    groups.into_iter().collect()
}

/// Folder of a file of `kernel/src`.
fn part(path: &str) -> &str {
    path.trim_start_matches(ROOT).split_once('/').map_or(TOP, |(folder, _)| folder)
}

/// Code of `kernel/src`, tests excepted, that reaches another folder in a form in which [`imports`] does not see it: another
/// name for the root, a `super` inside the braces of another, or a file included from elsewhere.
#[must_use]
pub fn hidden(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(ROOT) && !source.is_test) {
        let mut say = |index: usize, text: &str| {
            let token = &source.tokens[index];
            if !token.is_test {
                found.push(Violation::new(&source.path, token.line, "import-hidden", text.to_owned()));
            }
        };
        for RootPath { start, end } in root_paths(source) {
            let before = |words: &[&str]| start >= words.len() && source.reads(start - words.len(), words);
            let is_harmless = before(&["pub", "("])
                || before(&["pub", "(", "in"])
                || (before(&["extern"]) && source.at(end) != "self");
            let names_root = !source.reads(end, &[":", ":"]) && !is_harmless;
            let has_self = group(source, end).iter().any(|at| source.at(*at) == "self");
            if names_root || has_self {
                say(start, "the root gets another name or is passed on: import from it by `crate::`");
            }
        }
        for index in 0..source.tokens.len() {
            let nested = if source.at(index) == "super" { group(source, index + 1) } else { Vec::new() };
            if nested.iter().any(|at| source.at(*at) == "super") {
                say(index, "a path climbs inside braces: write each import in full");
            }
            let open = if source.reads(index, &["#", "!"]) { index + 2 } else { index + 1 };
            let is_path = source.at(index) == "#"
                && source.at(open) == "["
                && (open..source.tokens[open].pair).any(|at| source.reads(at, &["path", "="]));
            if is_path || source.reads(index, &["include", "!"]) {
                say(index, "code from a file elsewhere: put the module where its path says");
            }
        }
    }
    found
}

/// Line and first name below the root of each path that begins there.
fn first_names(source: &Source) -> Vec<(usize, String)> {
    let name = |at: usize| source.tokens.get(at).map(|token| (token.line, token.text.clone()));
    let mut names = Vec::new();
    for RootPath { end, .. } in root_paths(source) {
        if source.reads(end, &[":", ":", "{"]) {
            let of_others = group(source, end).into_iter().filter(|at| source.at(*at) != "self");
            names.extend(of_others.filter_map(name));
        } else if source.reads(end, &[":", ":"]) {
            names.extend(name(end + 2));
        }
    }
    names
}

/// A path that leads to the root: its first token, and the one after it.
struct RootPath {
    start: usize,
    end: usize,
}

/// The paths that are `crate`, or as many `super` as lead there.
fn root_paths(source: &Source) -> Vec<RootPath> {
    let mut module: Vec<String> =
        source.path.trim_start_matches(ROOT).split('/').map(str::to_owned).collect();
    let file = module.pop().unwrap_or_default();
    if !matches!(file.as_str(), "mod.rs" | "main.rs") {
        module.push(file.trim_end_matches(".rs").to_owned());
    }
    // Modules written out inside the file: their depth ends with their closing brace.
    let mut inner: Vec<usize> = Vec::new();
    let mut paths = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        inner.retain(|end| index <= *end);
        let is_after_self = index > 2 && source.reads(index - 3, &["self", ":", ":"]);
        let is_after_path = index > 1 && source.reads(index - 2, &[":", ":"]) && !is_after_self;
        match token.text.as_str() {
            "mod" if source.at(index + 2) == "{" => inner.push(source.tokens[index + 2].pair),
            "crate" => paths.push(RootPath { start: index, end: index + 1 }),
            "super" if !is_after_path => {
                let mut last = index;
                let mut depth = 1;
                while source.reads(last + 1, &[":", ":", "super"]) {
                    last += 3;
                    depth += 1;
                }
                if depth == module.len() + inner.len() {
                    paths.push(RootPath { start: index, end: last + 1 });
                }
            }
            _ => {}
        }
    }
    paths
}

/// The first token of each path in `::{...}` at token `index`; none where something else is there.
fn group(source: &Source, index: usize) -> Vec<usize> {
    if !source.reads(index, &[":", ":", "{"]) {
        return Vec::new();
    }
    let open = index + 2;
    let mut firsts = Vec::new();
    let mut at = open + 1;
    while at < source.tokens[open].pair {
        if matches!(source.at(at - 1), "{" | ",") {
            firsts.push(at);
        }
        at = source.tokens[at].pair.max(at) + 1;
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[(&[&str], &str)] = &[(&["log"], ""), (&["vm", "net"], ""), (&["shell"], "")];

    fn tree(files: &[(&str, &str)]) -> Vec<Import> {
        let mut sources = Vec::new();
        for path in ["log/mod.rs", "vm/mod.rs", "net/mod.rs", "shell/mod.rs", "scheduler.rs"] {
            sources.push(Source::new(&format!("{ROOT}{path}"), "").expect("Rust"));
        }
        let files =
            files.iter().map(|(path, text)| Source::new(&format!("{ROOT}{path}"), text).expect("Rust"));
        imports(&sources.into_iter().chain(files).collect::<Vec<_>>())
    }

    fn said(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text)]), ORDER).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_import_upwards_is_named_with_its_line() {
        let said = said("log/a.rs", "\nuse crate::vm::Vm;");
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("kernel/src/log/a.rs:2: import-direction: log must not import vm, above it")
        );
    }

    #[test]
    fn an_import_downwards_and_within_a_folder_is_allowed() {
        assert!(
            said("shell/a.rs", "use crate::{log::say, net, vm::{self, Vm}}; use crate::shell::B;").is_empty()
        );
        assert!(said("main.rs", "mod vm; use crate::{log::say, shell}; use crate::scheduler::S;").is_empty());
        assert!(
            said("log/a.rs", "pub(crate) struct A; // crate::vm::Vm\nconst B: &str = \"crate::vm\";")
                .is_empty()
        );
    }

    #[test]
    fn level_folders_do_not_import_each_other() {
        assert!(said("vm/a.rs", "use crate::net::Port;")[0].contains("vm and net are level"));
    }

    #[test]
    fn each_name_of_a_group_counts() {
        assert_eq!(
            said("log/a.rs", "use crate::{\n    log::x,\n    vm::{self, net},\n    shell::{a, b},\n};").len(),
            2
        );
    }

    #[test]
    fn paths_in_code_and_in_macros_count() {
        assert_eq!(
            said("log/a.rs", "fn f() { say!(\"{}\", crate::vm::count()); crate::net::g(); }").len(),
            2
        );
    }

    #[test]
    fn super_counts_when_it_leads_out_of_the_folder() {
        assert_eq!(said("log/a.rs", "use super::super::vm::Vm;").len(), 1);
        assert_eq!(said("log/mod.rs", "use super::vm::Vm;").len(), 1);
        assert_eq!(said("log/a.rs", "mod tests { use super::super::super::{vm, log}; }").len(), 1);
        assert!(
            said("log/a.rs", "use super::vm::Vm; mod tests { use super::*; use super::super::vm; }")
                .is_empty()
        );
    }

    #[test]
    fn super_after_self_counts() {
        assert_eq!(said("log/mod.rs", "use self::super::vm::Vm;").len(), 1);
    }

    fn hidden_lines(path: &str, text: &str) -> Vec<usize> {
        let source = Source::new(&format!("{ROOT}{path}"), text).expect("Rust");
        hidden(&[source]).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn another_name_for_the_root_is_a_violation() {
        for text in [
            "use crate as k;",
            "use {crate as k};",
            "use crate::{self as k};",
            "use crate::{log, self as k};",
            "extern crate self as weir;",
            "use super as k;",
            "use super::{self as k};",
            "m!(crate);",
        ] {
            assert_eq!(hidden_lines("log/mod.rs", &format!("\n{text}")), [2], "{text}");
        }
        assert_eq!(hidden_lines("log/a.rs", "use super::super as k;"), [1]);
    }

    #[test]
    fn climbing_inside_braces_is_a_violation() {
        assert_eq!(hidden_lines("log/a.rs", "use super::{b, super::vm::Vm};"), [1]);
        assert_eq!(said("log/mod.rs", "use self::{super::vm::Vm};").len(), 1);
    }

    #[test]
    fn a_file_from_elsewhere_is_a_violation() {
        for text in [
            "#[path = \"../vm/x.rs\"] mod x;",
            "#![path = \"../vm\"] mod x;",
            "#[cfg_attr(unix, path = \"../vm/x.rs\")] mod x;",
            "include!(\"../vm/x.rs\");",
        ] {
            assert_eq!(hidden_lines("log/a.rs", text), [1], "{text}");
        }
    }

    #[test]
    fn plain_imports_visibility_and_tests_hide_nothing() {
        let text =
            "pub(crate) struct A; pub(in crate::log) struct B; pub(super) struct C; extern crate alloc;
            use crate::{log::{self as l, text}, vm}; use crate::log as l; use super::{vm, log::{self}};
            fn f() { let path = 1; $crate::log::g(); }
            #[cfg(test)] mod tests { use crate as k; #[path = \"x.rs\"] mod x; }";
        assert_eq!(hidden_lines("log/mod.rs", text), [0; 0]);
        assert_eq!(hidden_lines("log/a.rs", "use super as log; use super::{self as l};"), [0; 0]);
    }

    #[test]
    fn no_folder_imports_a_root_file_or_the_root_itself() {
        assert!(
            said("shell/a.rs", "use crate::scheduler::Scheduler;")[0]
                .contains("shell must not import the root files")
        );
        assert_eq!(said("shell/a.rs", "use crate::*; fn f() { crate::say!(); }").len(), 2);
    }

    #[test]
    fn a_folder_without_a_place_is_named() {
        assert!(said("new/a.rs", "use crate::log::say;")[0].contains("the folder new has no place"));
        assert!(said("shell/a.rs", "use crate::shell::a;").is_empty());
    }

    #[test]
    fn circles_are_groups_that_import_each_other() {
        let all = [
            ("vm/a.rs", "use crate::net::P;"),
            ("net/a.rs", "use crate::log::L;"),
            ("log/a.rs", "use crate::vm::V;"),
        ];
        assert_eq!(circles(&tree(&all)), [["log", "net", "vm"].map(str::to_owned).to_vec()]);
        assert!(circles(&tree(&all[..2])).is_empty());
    }
}
