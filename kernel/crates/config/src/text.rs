//! The configuration as a TOML file, with every mistake named by line and field.

mod fields;
mod report;
mod system;
mod value;

use crate::System;
use fields::Fields;
use report::Report;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

pub use report::Mistake;

/// A configuration with the files that it names, in the order of their ids. Relative paths are taken from
/// the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// What the kernel gets.
    pub system: System,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the text of a configuration file. The files that it names must be there.
///
/// # Errors
/// Every mistake in it, in the order of lines. What is no TOML is not looked at further.
pub fn read(file: &Path, text: &str) -> Result<Configuration, Vec<Mistake>> {
    let mut report = Report::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            // The message may be of several lines: what is wrong, and what is expected.
            let message = error.message().trim().replace('\n', ", ");
            report.add(&error.span().unwrap_or(0..0), "", format!("this is no TOML: {message}"));
        }
        return Err(report.into_mistakes());
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = Fields::new(table.get_ref(), table.span(), String::new());
    let configuration = system::read(root, folder, &mut report);
    let mistakes = report.into_mistakes();
    if mistakes.is_empty() { Ok(configuration) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests;
