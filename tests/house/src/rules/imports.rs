//! `import-direction`: a folder of `kernel/src` imports only folders below it.

use crate::source::Source;
use crate::violation::Violation;
use std::collections::{BTreeMap, BTreeSet};

const RULE: &str = "import-direction";
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
        Some(Violation::new(&import.path, import.line, RULE, text))
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

/// Line and first name below the root of each path that begins with `crate` or leads there by `super`.
fn first_names(source: &Source) -> Vec<(usize, String)> {
    let mut module: Vec<String> =
        source.path.trim_start_matches(ROOT).split('/').map(str::to_owned).collect();
    let file = module.pop().unwrap_or_default();
    if !matches!(file.as_str(), "mod.rs" | "main.rs") {
        module.push(file.trim_end_matches(".rs").to_owned());
    }
    // Modules written out inside the file: their depth ends with their closing brace.
    let mut inner: Vec<usize> = Vec::new();
    let mut names = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        inner.retain(|end| index <= *end);
        let is_after_path = index > 1 && source.reads(index - 2, &[":", ":"]);
        match token.text.as_str() {
            "mod" if source.at(index + 2) == "{" => inner.push(source.tokens[index + 2].pair),
            "crate" => names.extend(names_after(source, index + 1)),
            "super" if !is_after_path => {
                let mut last = index;
                let mut depth = 1;
                while source.reads(last + 1, &[":", ":", "super"]) {
                    last += 3;
                    depth += 1;
                }
                if depth == module.len() + inner.len() {
                    names.extend(names_after(source, last + 1));
                }
            }
            _ => {}
        }
    }
    names
}

/// Line and name of what `::` at token `index` leads to: several where a group in braces follows.
fn names_after(source: &Source, index: usize) -> Vec<(usize, String)> {
    if !source.reads(index, &[":", ":"]) {
        return Vec::new();
    }
    let name = |at: usize| source.tokens.get(at).map(|token| (token.line, token.text.clone()));
    let first = index + 2;
    if source.at(first) != "{" {
        return name(first).into_iter().collect();
    }
    let mut names = Vec::new();
    let mut at = first + 1;
    let end = source.tokens[first].pair;
    while at < end {
        if matches!(source.at(at - 1), "{" | ",") && source.at(at) != "self" {
            names.extend(name(at));
        }
        at = source.tokens[at].pair.max(at) + 1;
    }
    names
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
