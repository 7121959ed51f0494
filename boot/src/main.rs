//! `boot`: checks a configuration, and makes boot images from kernel, configuration and guest images: a disk image
//! for BIOS, a disk image for UEFI, a folder for PXE.

mod application;
mod bios;
mod disk;
mod guest_kernel;
mod image;

use anyhow::{Context, Result, bail};
use config::text::LoadedConfig;
use image::{ImageKinds, ImageRequest};
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
boot check FILE
    Checks a configuration file and reports every error in it.

boot image FILE --kernel ELF [--stage EFI] --out FOLDER [--bios] [--uefi] [--pxe]
    Makes boot images in FOLDER:
      weir-bios.img   disk image for BIOS                    (--bios)
      weir-uefi.img   disk image for UEFI                    (--uefi)
      pxe/weir.efi    everything in one file, for UEFI PXE,
                      UEFI HTTP boot and iPXE                (--pxe)
      weir.elf        the kernel with its symbols, for addr2line
    Without --bios, --uefi and --pxe all three are made. --uefi and --pxe need --stage, the UEFI stage.
";

/// A parsed command line.
enum BootCommand {
    Help,
    Check(PathBuf),
    Image(PathBuf, ImageRequest),
}

fn main() -> ExitCode {
    match arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("boot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: BootCommand) -> Result<()> {
    match command {
        BootCommand::Help => print!("{HELP}"),
        BootCommand::Check(file) => {
            let system = configuration(&file)?.system;
            let (guests, nics) = (count(system.vms.len(), "guest"), count(system.nics.len(), "NIC"));
            println!("{}: configuration OK: {guests}, {nics}", file.display());
        }
        BootCommand::Image(file, request) => image::make(&configuration(&file)?, &request)?,
    }
    Ok(())
}

fn arguments() -> Result<BootCommand> {
    let mut parser = lexopt::Parser::from_env();
    let (mut words, mut kernel, mut out) = (Vec::new(), None, None);
    let mut stage = None;
    let mut kinds = ImageKinds::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(BootCommand::Help),
            Long("kernel") => kernel = Some(PathBuf::from(parser.value()?)),
            Long("stage") => stage = Some(PathBuf::from(parser.value()?)),
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("bios") => kinds.bios = true,
            Long("uefi") => kinds.uefi = true,
            Long("pxe") => kinds.pxe = true,
            Value(word) => words.push(PathBuf::from(word)),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.as_slice() {
        [] => Ok(BootCommand::Help),
        [verb, file] if verb.as_os_str() == "check" => Ok(BootCommand::Check(file.clone())),
        [verb, file] if verb.as_os_str() == "image" => {
            let kernel = kernel.context("--kernel is missing: the kernel's ELF file")?;
            let out = out.context("--out is missing: the folder for the images")?;
            Ok(BootCommand::Image(file.clone(), ImageRequest { kernel, stage, out, kinds: kinds.or_all() }))
        }
        _ => bail!("invalid arguments, see boot --help"),
    }
}

/// Reads a configuration, and prints every error in it.
fn configuration(file: &Path) -> Result<LoadedConfig> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    config::text::read(file, &text).map_err(|errors| {
        errors.iter().for_each(|error| eprintln!("{error}"));
        anyhow::anyhow!("{}: {}", file.display(), count(errors.len(), "error"))
    })
}

/// A number with its noun: `1 guest`, `2 guests`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
