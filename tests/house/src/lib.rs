//! Checks of the tree beyond the compiler and clippy: the direction of imports, no vendor's name outside its folder, the
//! length of files and functions, one meaning for each type name, a reference for each citation, and
//! documented figures that were measured.
#![forbid(unsafe_code)]

pub mod rules;
pub mod source;
pub mod tables;
pub mod tree;
pub mod violation;

use rules::{citations, crates, figures, imports, length, types, vendor};
use tree::Tree;
use violation::Violation;

/// Why the tree could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A Rust file cannot be split into tokens.
    #[error("{path} is not Rust: {source}")]
    Tokens {
        /// Which.
        path: String,
        /// Why.
        source: proc_macro2::LexError,
    },
    /// A `Cargo.toml` cannot be parsed.
    #[error("{path} is not TOML: {source}")]
    Manifest {
        /// Which.
        path: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A document is not there.
    #[error("{path} is missing")]
    Missing {
        /// Which.
        path: String,
    },
}

/// Source lines of the kernel and of the image, and the circles among the kernel's imports.
#[derive(Debug)]
pub struct Summary {
    /// Source lines of `kernel/src`.
    pub kernel_lines: usize,
    /// Source lines of `kernel/src` and of the crates that are linked into the kernel.
    pub image_lines: usize,
    /// Groups of folders that import each other.
    pub circles: Vec<Vec<String>>,
}

impl Summary {
    /// Counts the lines and circles of `tree`.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let kernel_lines = tree.code_lines("kernel/src/");
        let crates = tree.bare_code_lines("kernel/crates/") - tree.bare_code_lines("kernel/crates/testkit/");
        let circles = imports::circles(&imports::imports(&tree.sources));
        Self { kernel_lines, image_lines: kernel_lines + crates, circles }
    }

    /// Counts above their bounds.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let parts = [
            ("kernel/src", self.kernel_lines, tables::KERNEL_LINES),
            ("kernel", self.image_lines, tables::IMAGE_LINES),
        ];
        let above = parts.into_iter().filter(|(_, lines, bound)| lines > bound);
        let violations = above.map(|(path, lines, bound)| {
            let what = if path == "kernel" { "what is linked into the kernel has" } else { "has" };
            let text = format!(
                "{what} {lines} source lines, {bound} at most: look for code that a package can replace"
            );
            Violation::new(path, 1, "source-lines", text)
        });
        violations.collect()
    }
}

/// Everything in `tree` that breaks a rule, in the order of files and lines.
///
/// # Errors
/// When a document that a rule needs is not there.
pub fn check(tree: &Tree) -> Result<Vec<Violation>, Error> {
    let sources = &tree.sources;
    let mut found = imports::check(&imports::imports(sources), tables::FOLDERS);
    found.extend(imports::hidden(sources));
    found.extend(vendor::check(sources, tables::VENDOR_PLACES));
    found.extend(crates::check(&tree.manifests, &tree.workspace, tables::PACKAGES));
    found.extend(length::files(sources));
    found.extend(length::functions(sources));
    found.extend(length::structs(sources));
    found.extend(types::check(sources));
    found.extend(types::glossary("docs/words.md", tree.document("docs/words.md")?, sources));
    let known = citations::short_names(tree.document("docs/references.md")?);
    for source in sources {
        found.extend(citations::check(&source.path, &source.comments(), &known));
    }
    for (path, text) in &tree.documents {
        found.extend(citations::check(path, text, &known));
    }
    found.extend(figures::check(tree.document("docs/performance.md")?, tree.figures.as_deref()));
    found.extend(Summary::new(tree).check());
    let mut left = violation::without_exceptions(found, tables::EXCEPTIONS);
    left.sort();
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_source_lines_than_the_bound_are_named() {
        let summary = |kernel_lines, image_lines| Summary { kernel_lines, image_lines, circles: vec![] };
        assert!(summary(tables::KERNEL_LINES, tables::IMAGE_LINES).check().is_empty());
        let found = summary(tables::KERNEL_LINES + 1, tables::IMAGE_LINES + 1).check();
        for (violation, start) in found.iter().zip([
            format!("kernel/src:1: source-lines: has {}", tables::KERNEL_LINES + 1),
            format!("kernel:1: source-lines: what is linked into the kernel has {}", tables::IMAGE_LINES + 1),
        ]) {
            assert!(violation.to_string().starts_with(&start), "{violation}");
        }
        assert_eq!(found.len(), 2);
    }
}
