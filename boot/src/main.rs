//! `boot`: checks a configuration, and turns kernel, configuration and guest images into something that a
//! machine starts from: a BIOS disk image, a UEFI disk image, a folder for PXE.

mod application;
mod bios;
mod disk;
mod guest_kernel;
mod image;

use anyhow::{Context, Result, bail};
use config::text::Configuration;
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
boot check FILE
    Says everything that is wrong with a configuration file.

boot image FILE --kernel ELF [--stage EFI] --out FOLDER [--bios] [--uefi] [--pxe]
    Puts into FOLDER:
      weir-bios.img   a disk that a BIOS starts from         (--bios)
      weir-uefi.img   a disk that UEFI starts from           (--uefi)
      pxe/weir.efi    all of it in one file: what UEFI PXE,
                      UEFI HTTP boot and iPXE start          (--pxe)
      weir.elf        the kernel with its symbols, for addr2line
    Without --bios, --uefi and --pxe all three are made; the last two need the UEFI stage.
";

/// What the command line asks for.
enum Command {
    Help,
    Check(PathBuf),
    Image(PathBuf, image::Request),
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

fn run(command: Command) -> Result<()> {
    match command {
        Command::Help => print!("{HELP}"),
        Command::Check(file) => {
            let system = configuration(&file)?.system;
            println!(
                "{}: {} guests, {} physical NICs: no mistakes",
                file.display(),
                system.vms.len(),
                system.nics.len()
            );
        }
        Command::Image(file, request) => image::make(&configuration(&file)?, &request)?,
    }
    Ok(())
}

fn arguments() -> Result<Command> {
    let mut parser = lexopt::Parser::from_env();
    let (mut words, mut kernel, mut out) = (Vec::new(), None, None);
    let mut stage = None;
    let mut kinds = image::Kinds::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
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
        [] => Ok(Command::Help),
        [verb, file] if verb.as_os_str() == "check" => Ok(Command::Check(file.clone())),
        [verb, file] if verb.as_os_str() == "image" => {
            let kernel = kernel.context("--kernel is missing: the kernel's ELF file")?;
            let out = out.context("--out is missing: the folder for the images")?;
            Ok(Command::Image(file.clone(), image::Request { kernel, stage, out, kinds: kinds.or_all() }))
        }
        _ => bail!("that is not understood; boot --help lists what is"),
    }
}

/// Reads a configuration; all its mistakes are printed.
fn configuration(file: &Path) -> Result<Configuration> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    config::text::read(file, &text).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
        anyhow::anyhow!("{}: {} mistakes", file.display(), mistakes.len())
    })
}
