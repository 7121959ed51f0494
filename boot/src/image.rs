//! Images to start a machine from. For a BIOS by the `bootloader` crate, with the guests as its ramdisk; for UEFI
//! one application with everything in it.

use crate::{application, bios, disk, guest_kernel};
use anyhow::{Context, Result, ensure};
use config::text::Configuration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to make, of what.
pub struct Request {
    /// The kernel as cargo built it.
    pub kernel: PathBuf,
    /// The UEFI stage as cargo built it; BIOS images do without.
    pub stage: Option<PathBuf>,
    /// The folder for everything.
    pub out: PathBuf,
    /// Which images.
    pub kinds: Kinds,
}

/// Which images to make.
#[derive(Clone, Copy, Default)]
pub struct Kinds {
    /// A disk that a BIOS starts from.
    pub bios: bool,
    /// A disk that UEFI starts from.
    pub uefi: bool,
    /// A folder for a TFTP server.
    pub pxe: bool,
}

impl Kinds {
    /// All, where none was asked for.
    pub fn or_all(self) -> Self {
        if self.bios || self.uefi || self.pxe { self } else { Self { bios: true, uefi: true, pxe: true } }
    }
}

/// Makes the images.
pub fn make(configuration: &Configuration, request: &Request) -> Result<()> {
    let out = &request.out;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let (kernel, bundle) = (out.join("kernel"), out.join("bundle"));
    strip(&request.kernel, &kernel)?;
    fs::copy(&request.kernel, out.join("weir.elf")).context("the kernel cannot be copied")?;
    write_bundle(configuration, &bundle)?;

    if request.kinds.bios {
        let image = out.join("weir-bios.img");
        bios::write(&kernel, &bundle, &image).context("the BIOS image cannot be made")?;
        say(&image)?;
    }
    if request.kinds.uefi || request.kinds.pxe {
        let stage = request.stage.as_ref().context("--stage is missing: the UEFI stage's EFI file")?;
        let application = application::make(read(stage)?, &read(&kernel)?, &read(&bundle)?)?;
        if request.kinds.uefi {
            let image = out.join("weir-uefi.img");
            disk::write(&application, &image).context("the UEFI image cannot be made")?;
            say(&image)?;
        }
        if request.kinds.pxe {
            let folder = out.join("pxe");
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            let file = folder.join("weir.efi");
            fs::write(&file, &application)
                .with_context(|| format!("{} cannot be written", file.display()))?;
            say(&file)?;
        }
    }
    for part in [kernel, bundle] {
        fs::remove_file(&part).with_context(|| format!("{} cannot be removed", part.display()))?;
    }
    Ok(())
}

fn say(image: &Path) -> Result<()> {
    println!("{} {} KiB", image.display(), fs::metadata(image)?.len() >> 10);
    Ok(())
}

fn read(file: &PathBuf) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Symbols stay behind: the loader would read them through the BIOS, sector by sector.
fn strip(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("strip").arg("--strip-all").arg("-o").arg(to).arg(from).status();
    let status = status.context("strip cannot be run: it is in Debian's package binutils")?;
    ensure!(status.success(), "strip {} failed", from.display());
    Ok(())
}

fn write_bundle(configuration: &Configuration, to: &Path) -> Result<()> {
    let system = &configuration.system;
    let mut files = configuration.files.iter().map(read).collect::<Result<Vec<_>>>()?;
    for (index, file) in files.iter_mut().enumerate() {
        // An initrd is the guest's own business, whatever it looks like.
        if system.vms.iter().all(|vm| vm.initrd.is_none_or(|initrd| initrd.0 as usize != index)) {
            *file = guest_kernel::compact(std::mem::take(file));
        }
    }
    fs::write(to, config::bundle::pack(system, &files)?).context("the bundle cannot be written")
}
