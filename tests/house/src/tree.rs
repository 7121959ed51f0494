//! The tree on disk.

use crate::Error;
use crate::rules::crates::Manifest;
use crate::source::{HOST, Source, TEST};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with code.
const CODE: [&str; 4] = ["kernel", "boot", "tests", "guest-images"];

/// The files that the rules check.
pub struct Tree {
    /// Every Rust file.
    pub sources: Vec<Source>,
    /// Manifests of the kernel and its crates.
    pub manifests: Vec<Manifest>,
    /// The manifest at the root.
    pub workspace: Manifest,
    /// Path and text of every document.
    pub documents: Vec<(String, String)>,
    /// The figures of the last `make bench`, if the file is there.
    pub figures: Option<String>,
}

impl Tree {
    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// When a file cannot be read or is not what its name says.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        for folder in CODE.iter().chain(&["docs"]) {
            list(&root.join(folder), &mut paths)?;
        }
        paths.extend(
            entries(root)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "md")),
        );
        let workspace = Manifest::new("Cargo.toml", &text(&root.join("Cargo.toml"))?)?;
        let mut tree = Self {
            sources: Vec::new(),
            manifests: Vec::new(),
            workspace,
            documents: Vec::new(),
            figures: None,
        };
        for path in paths {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if name.ends_with(".rs") {
                tree.sources.push(Source::new(&name, &text(&path)?)?);
            } else if name.ends_with(".md") {
                tree.documents.push((name, text(&path)?));
            } else if name.starts_with("kernel/") && name.ends_with("/Cargo.toml") {
                tree.manifests.push(Manifest::new(&name, &text(&path)?)?);
            } else if name == "docs/figures.txt" {
                tree.figures = Some(text(&path)?);
            }
        }
        let under = |condition| -> Vec<String> {
            tree.sources.iter().flat_map(|source| source.modules_under(condition)).collect()
        };
        let (of_tests, of_host) = (under(TEST), under(HOST));
        for source in &mut tree.sources {
            source.is_test |= is_in(&source.path, &of_tests);
            source.is_host_only = is_in(&source.path, &of_host);
        }
        Ok(tree)
    }

    /// Text of the document at `path`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn document(&self, path: &str) -> Result<&str, Error> {
        let document = self.documents.iter().find(|(name, _)| name == path);
        document.map(|(_, text)| text.as_str()).ok_or_else(|| Error::Missing { path: path.to_owned() })
    }

    /// Source lines of the files below `folder`.
    #[must_use]
    pub fn code_lines(&self, folder: &str) -> usize {
        self.below(folder).map(Source::code_lines).sum()
    }

    /// The same without the files that only programs of the host compile.
    #[must_use]
    pub fn bare_code_lines(&self, folder: &str) -> usize {
        self.below(folder).filter(|source| !source.is_host_only).map(Source::code_lines).sum()
    }

    fn below(&self, folder: &str) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.path.starts_with(folder))
    }
}

/// True when `path` is a file of one of `modules`, or below it.
fn is_in(path: &str, modules: &[String]) -> bool {
    let rest = |module: &String| path.strip_prefix(module.as_str());
    modules.iter().filter_map(rest).any(|rest| rest.starts_with(['/', '.']))
}

/// Adds the files below `folder`, sorted; hidden ones and what was built are left out.
fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            list(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.display().to_string(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.display().to_string(), source })
}
