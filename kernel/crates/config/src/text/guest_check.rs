//! Checks of a guest beyond its fields: by somebody who can read its images.

use crate::VmConfig;
use std::path::Path;

/// A field of a guest's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestField {
    /// `memory`.
    Memory,
    /// `kernel`.
    Kernel,
    /// `initrd`.
    Initrd,
    /// `cmdline`.
    CommandLine,
}

impl GuestField {
    /// Its name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::CommandLine => "cmdline",
        }
    }
}

/// What is wrong with a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestProblem {
    /// The field that the error is reported at.
    pub field: GuestField,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A guest without errors in its fields, with the files that it names.
#[derive(Clone, Copy, Debug)]
pub struct GuestImages<'a> {
    /// Its configuration.
    pub vm: &'a VmConfig,
    /// The file of its kernel.
    pub kernel: &'a Path,
    /// The file of its initial RAM disk.
    pub initrd: Option<&'a Path>,
}

/// A check of a guest's images.
pub type GuestCheck<'c> = dyn Fn(&GuestImages<'_>) -> Result<(), GuestProblem> + 'c;
