//! What the machine would refuse: each guest is loaded by the kernel's own loader, into no memory.

use crate::guest_kernel;
use anyhow::{Result, ensure};
use config::text::{GuestField, GuestImages, GuestProblem, LoadedConfig};
use platform::boot::{BootImages, DmiIdentity, LoadError};
use std::fmt;
use std::path::Path;

/// Checks the images of a guest.
///
/// # Errors
/// What the machine would say, at the field that can mend it.
pub fn guest(images: &GuestImages<'_>) -> Result<(), GuestProblem> {
    let kernel = guest_kernel::compact(read(images.kernel, GuestField::Kernel)?);
    let initrd = images.initrd.map(|file| read(file, GuestField::Initrd)).transpose()?;
    let own = &images.vm.identity;
    let identity = &DmiIdentity::new(own.uuid, &own.serial, &own.asset_tag);
    let parts = BootImages {
        kernel: &kernel,
        initrd: initrd.as_deref().unwrap_or_default(),
        command_line: &images.vm.command_line,
        acpi: &platform::acpi::build(1),
        identity,
    };
    let checked = platform::boot::check(images.vm.memory_bytes, &parts);
    checked.map(drop).map_err(|error| GuestProblem { field: field_of(&error), message: error.to_string() })
}

fn read(file: &Path, field: GuestField) -> Result<Vec<u8>, GuestProblem> {
    std::fs::read(file)
        .map_err(|error| GuestProblem { field, message: format!("cannot read {}: {error}", file.display()) })
}

fn field_of(error: &LoadError) -> GuestField {
    match error {
        LoadError::KernelDoesNotFit { .. } | LoadError::Memory(_) => GuestField::Memory,
        LoadError::InitrdDoesNotFit { .. } => GuestField::Initrd,
        LoadError::CommandLineTooLong { .. } | LoadError::CommandLineHasZero { .. } => {
            GuestField::CommandLine
        }
        LoadError::UnknownImage { .. }
        | LoadError::Truncated { .. }
        | LoadError::OldProtocol { .. }
        | LoadError::No64BitEntry { .. }
        | LoadError::UnsuitableElf { .. } => GuestField::Kernel,
    }
}

/// The memory that a configuration needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Of all guests together.
    guests: u64,
    /// Of their images, which stay in memory.
    images: u64,
}

impl MemoryNeed {
    /// What a configuration needs. The files were there when it was read.
    pub fn of(configuration: &LoadedConfig) -> Self {
        let size = |file: &std::path::PathBuf| std::fs::metadata(file).map_or(0, |known| known.len());
        Self {
            guests: configuration.system.vms.iter().map(|vm| vm.memory_bytes).sum(),
            images: configuration.files.iter().map(size).sum(),
        }
    }

    /// Checks that it is less than the machine has.
    ///
    /// # Errors
    /// When it is not: some guests would be unusable.
    pub fn check(self, machine: u64) -> Result<()> {
        ensure!(
            self.guests.saturating_add(self.images) < machine,
            "{self}: more than the machine's {} MiB (--memory), so the last guests would be unusable",
            machine >> 20
        );
        Ok(())
    }
}

impl fmt::Display for MemoryNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "guests {} MiB, images {} MiB, and what Weir and the firmware take",
            self.guests >> 20,
            self.images.div_ceil(1 << 20)
        )
    }
}
