//! Paths of the build artifacts under test, and how to build each.

use crate::{Failure, Outcome};
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the root.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |given| root().join(given))
}

/// A path for a message to the user: relative to the root of the repository, if it is below it.
#[must_use]
pub fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

fn existing(path: PathBuf, made_by: &'static str) -> Outcome<PathBuf> {
    if path.exists() { Ok(path) } else { Err(Failure::Artifact { path, made_by }) }
}

/// Weir's kernel.
///
/// # Errors
/// It has not been built.
pub fn kernel() -> Outcome<PathBuf> {
    existing(target().join("x86_64-hv/release/weir"), "run `make kernel`")
}

/// The UEFI stage.
///
/// # Errors
/// It has not been built.
pub fn stage() -> Outcome<PathBuf> {
    existing(target().join("x86_64-unknown-uefi/release/weir-uefi.efi"), "run `make stage`")
}

/// The stage for a BIOS that boots from the network.
///
/// # Errors
/// It has not been built.
pub fn bios_stage() -> Outcome<PathBuf> {
    existing(target().join("x86_64-hv/release/weir-bzimage"), "run `make stage`")
}

/// The tool that builds images.
///
/// # Errors
/// It has not been built.
pub fn boot_tool() -> Outcome<PathBuf> {
    existing(target().join("release/boot"), "run `make boot`")
}

/// A micro-guest.
///
/// # Errors
/// It has not been built.
pub fn micro(name: &str) -> Outcome<PathBuf> {
    existing(target().join("x86_64-hv/release").join(name), "run `make micro`")
}

/// A file of the Linux guest: `vmlinuz`, `vmlinux` or `initrd.cpio`.
///
/// # Errors
/// It has not been built.
pub fn linux(name: &str) -> Outcome<PathBuf> {
    existing(target().join("guest/linux").join(name), "run `make guest`")
}

/// A file of the guest with a disk: `initrd.cpio`, `disk.img` or `qemu-nbd`.
///
/// # Errors
/// It has not been built.
pub fn disk(name: &str) -> Outcome<PathBuf> {
    existing(target().join("guest/disk").join(name), "run `make disk`")
}

/// A file of the QEMU installation: `run`, or firmware.
///
/// # Errors
/// `make setup` has not been run.
pub fn qemu(name: &str) -> Outcome<PathBuf> {
    existing(target().join("qemu").join(name), "run `make setup`")
}
