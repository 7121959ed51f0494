//! Reading the configuration from a TOML file; every error is reported with its line and field.

mod fields;
mod guest_check;
mod report;
mod system;
mod value;

use crate::System;
use fields::Fields;
use report::Report;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

pub use guest_check::{GuestCheck, GuestField, GuestImages, GuestProblem};
pub use report::ConfigError;
pub use value::size;

/// A configuration with the files that it names, in the order of their ids. Relative paths start at the folder of
/// the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedConfig {
    /// The part that the kernel gets.
    pub system: System,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the text of a configuration file. The files that it names must exist.
///
/// # Errors
/// Every error in the text, in the order of lines. A text that is not valid TOML is not checked any further.
///
/// ```
/// use std::path::Path;
///
/// let text = "[[vm]]\nname = \"web\"\nmemmory = \"256M\"\nkernel = \"vmlinuz\"\n";
/// let errors = config::text::read(Path::new("weir.toml"), text).unwrap_err();
/// assert!(errors[0].to_string().starts_with("weir.toml:1: vm[0].memory: missing"));
/// assert!(errors[1].to_string().starts_with("weir.toml:3: vm[0].memmory: unknown field, did you mean memory?"));
/// ```
pub fn read(file: &Path, text: &str) -> Result<LoadedConfig, Vec<ConfigError>> {
    read_with(file, text, &|_| Ok(()))
}

/// The same with a check of the images of each guest whose fields have no errors.
///
/// # Errors
/// As [`read`], and what the check says, at the guest's field.
pub fn read_with(file: &Path, text: &str, check: &GuestCheck<'_>) -> Result<LoadedConfig, Vec<ConfigError>> {
    let mut report = Report::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            // The message may have several lines: the error, and what was expected.
            let message = error.message().trim().replace('\n', ", ");
            report.add(&error.span().unwrap_or(0..0), "", format!("invalid TOML: {message}"));
        }
        return Err(report.into_errors());
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = Fields::new(table.get_ref(), table.span(), String::new());
    let configuration = system::read(root, folder, check, &mut report);
    let errors = report.into_errors();
    if errors.is_empty() { Ok(configuration) } else { Err(errors) }
}

#[cfg(test)]
mod tests;
