//! Boot images. A BIOS image is made by the `bootloader` crate, with the bundle as its RAM disk; for UEFI, one
//! application contains everything.

use crate::{application, bios, bzimage, disk, guest_kernel};
use anyhow::{Context, Result, ensure};
use config::text::LoadedConfig;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The images to make, and the files to make them from.
pub struct ImageRequest {
    /// The kernel as cargo built it.
    pub kernel: PathBuf,
    /// The UEFI stage as cargo built it; not needed for BIOS images.
    pub stage: Option<PathBuf>,
    /// The stage for BIOSes that load Linux kernels, as cargo built it; needed for that form only.
    pub bios_stage: Option<PathBuf>,
    /// The folder for the images.
    pub out: PathBuf,
    /// The images to make.
    pub kinds: ImageKinds,
    /// The guests' images are not checked.
    pub unchecked: bool,
}

/// The kinds of images to make.
#[derive(Clone, Copy, Default)]
pub struct ImageKinds {
    /// A disk image for BIOS.
    pub bios: bool,
    /// A disk image for UEFI.
    pub uefi: bool,
    /// A file for a TFTP server, for UEFI.
    pub pxe: bool,
    /// A file in the form of a Linux kernel, for a BIOS.
    pub bzimage: bool,
}

impl ImageKinds {
    /// All kinds if none was requested: that for a BIOS' network boot only with its stage.
    pub fn or_all(self, bios_stage: bool) -> Self {
        let any = self.bios || self.uefi || self.pxe || self.bzimage;
        if any { self } else { Self { bios: true, uefi: true, pxe: true, bzimage: bios_stage } }
    }
}

/// Makes the images.
pub fn make(configuration: &LoadedConfig, request: &ImageRequest) -> Result<()> {
    let out = &request.out;
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let (kernel, bundle) = (out.join("kernel"), out.join("bundle"));
    strip(&request.kernel, &kernel)?;
    fs::copy(&request.kernel, out.join("weir.elf")).context("cannot copy the kernel")?;
    write_bundle(configuration, &bundle)?;

    if request.kinds.bios {
        let image = out.join("weir-bios.img");
        bios::write(&kernel, &bundle, &image).context("cannot make the BIOS image")?;
        report(&image)?;
    }
    if request.kinds.uefi || request.kinds.pxe {
        let stage = request.stage.as_ref().context("--stage is missing: the EFI file of the UEFI stage")?;
        let application = application::make(read(stage)?, &read(&kernel)?, &read(&bundle)?)?;
        if request.kinds.uefi {
            let image = out.join("weir-uefi.img");
            disk::write(&application, &image).context("cannot make the UEFI image")?;
            report(&image)?;
        }
        if request.kinds.pxe {
            write_for_network(out, "weir.efi", &application)?;
        }
    }
    if request.kinds.bzimage {
        let stage =
            request.bios_stage.as_ref().context("--bios-stage is missing: the ELF file of the BIOS stage")?;
        let file = bzimage::make(&read(stage)?, &read(&kernel)?, &read(&bundle)?)?;
        write_for_network(out, "weir.bzimage", &file)?;
    }
    for part in [kernel, bundle] {
        fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    Ok(())
}

/// Writes a file into the folder for a TFTP server.
fn write_for_network(out: &Path, name: &str, content: &[u8]) -> Result<()> {
    let folder = out.join("pxe");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(name);
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    report(&file)
}

/// Prints an image's name and size.
fn report(image: &Path) -> Result<()> {
    println!("{} {} KiB", image.display(), fs::metadata(image)?.len() >> 10);
    Ok(())
}

fn read(file: &PathBuf) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Copies the kernel without its symbols, which the loader would read through the BIOS, sector by sector.
fn strip(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("strip").arg("--strip-all").arg("-o").arg(to).arg(from).status();
    let status = status.context("cannot run strip (Debian package binutils)")?;
    ensure!(status.success(), "strip {} failed", from.display());
    Ok(())
}

fn write_bundle(configuration: &LoadedConfig, to: &Path) -> Result<()> {
    let system = &configuration.system;
    let mut files = configuration.files.iter().map(read).collect::<Result<Vec<_>>>()?;
    for (index, file) in files.iter_mut().enumerate() {
        // An initrd belongs to the guest: it stays unchanged even if it looks like an ELF file.
        if system.vms.iter().all(|vm| vm.initrd.is_none_or(|initrd| initrd.0 as usize != index)) {
            *file = guest_kernel::compact(std::mem::take(file));
        }
    }
    fs::write(to, config::bundle::pack(system, &files)?).context("cannot write the bundle")
}
