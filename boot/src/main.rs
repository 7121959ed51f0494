//! `boot`: checks a configuration, and makes boot images from kernel, configuration and guest images: a disk image
//! for BIOS, a disk image for UEFI, a folder for PXE. Replays what teams of NICs have decided.

mod application;
mod bios;
mod bzimage;
mod check;
mod disk;
mod guest_kernel;
mod image;
mod replay;

use anyhow::{Context, Result, bail};
use check::MemoryNeed;
use config::text::{GuestCheck, GuestImages, LoadedConfig};
use config::{System, TeamNics};
use image::{ImageKinds, ImageRequest};
use lexopt::prelude::*;
use replay::ReplayRequest;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
boot check FILE [--memory SIZE]
    Checks a configuration file and the guests' images, and reports every error:
    what the machine would refuse. --memory is what the machine has, like 8G.

boot image FILE --kernel ELF [--stage EFI] [--bios-stage ELF] --out FOLDER [--bios] [--uefi] [--pxe] [--bzimage]
    Makes boot images in FOLDER, after the same checks:
      weir-bios.img   disk image for BIOS                    (--bios)
      weir-uefi.img   disk image for UEFI                    (--uefi)
      pxe/weir.efi    everything in one file, for UEFI PXE,
                      UEFI HTTP boot and iPXE                (--pxe)
      pxe/weir.bzimage  the same in the form of a Linux kernel, for iPXE,
                      pxelinux and GRUB on a BIOS            (--bzimage)
      weir.elf        the kernel with its symbols, for addr2line
    Without --bios, --uefi, --pxe and --bzimage all are made, weir.bzimage only with --bios-stage. --uefi and --pxe
    need --stage, the UEFI stage; --bzimage needs --bios-stage, the stage for BIOSes.
    --unchecked does not look into the guests' images: the machine says at boot which guests it cannot start.

boot replay LOG [--team NAME] [--all]
    Replays the histories of teams of NICs that the shell's command net events raw has printed to a log of the
    serial line: prints what happened and what was decided, and checks that the same is decided here. --all shows
    samples and ticks on which nothing was decided, too.
";

/// A parsed command line.
enum BootCommand {
    Help,
    /// The configuration, and the machine's memory in bytes if it is known.
    Check(PathBuf, Option<u64>),
    Image(PathBuf, ImageRequest),
    Replay(ReplayRequest),
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
        BootCommand::Check(file, memory) => {
            let loaded = configuration(&file, &check::guest)?;
            let need = MemoryNeed::of(&loaded);
            memory.map_or(Ok(()), |machine| need.check(machine))?;
            let guests = count(loaded.system.vms.len(), "guest");
            println!("{}: configuration OK: {guests}, {}", file.display(), network(&loaded.system));
            println!("memory: {need}");
        }
        BootCommand::Image(file, request) => {
            let unchecked = |_: &GuestImages<'_>| Ok(());
            let check: &GuestCheck<'_> = if request.unchecked { &unchecked } else { &check::guest };
            image::make(&configuration(&file, check)?, &request)?;
        }
        BootCommand::Replay(request) => replay::replay(&request)?,
    }
    Ok(())
}

fn arguments() -> Result<BootCommand> {
    let mut parser = lexopt::Parser::from_env();
    let (mut words, mut kernel, mut out) = (Vec::new(), None, None);
    let (mut stage, mut bios_stage, mut memory, mut unchecked) = (None, None, None, false);
    let (mut kinds, mut team, mut all) = (ImageKinds::default(), None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(BootCommand::Help),
            Long("kernel") => kernel = Some(PathBuf::from(parser.value()?)),
            Long("stage") => stage = Some(PathBuf::from(parser.value()?)),
            Long("bios-stage") => bios_stage = Some(PathBuf::from(parser.value()?)),
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("memory") => {
                let size = parser.value()?.string()?;
                memory = Some(config::text::size(&size).with_context(|| {
                    format!("--memory {size}: expected a size with a unit, like 8192M or 8G")
                })?);
            }
            Long("unchecked") => unchecked = true,
            Long("team") => team = Some(parser.value()?.string()?),
            Long("all") => all = true,
            Long("bios") => kinds.bios = true,
            Long("uefi") => kinds.uefi = true,
            Long("pxe") => kinds.pxe = true,
            Long("bzimage") => kinds.bzimage = true,
            Value(word) => words.push(PathBuf::from(word)),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.as_slice() {
        [] => Ok(BootCommand::Help),
        [word] if word.as_os_str() == "help" => Ok(BootCommand::Help),
        [verb, file] if verb.as_os_str() == "check" => Ok(BootCommand::Check(file.clone(), memory)),
        [verb, file] if verb.as_os_str() == "image" => {
            let kernel = kernel.context("--kernel is missing: the kernel's ELF file")?;
            let out = out.context("--out is missing: the folder for the images")?;
            let kinds = kinds.or_all(bios_stage.is_some());
            let request = ImageRequest { kernel, stage, bios_stage, out, kinds, unchecked };
            Ok(BootCommand::Image(file.clone(), request))
        }
        [verb, log] if verb.as_os_str() == "replay" => {
            Ok(BootCommand::Replay(ReplayRequest { log: log.clone(), team, all }))
        }
        _ => bail!("invalid arguments, see boot --help"),
    }
}

/// Reads a configuration, checks its guests' images, and prints every error.
fn configuration(file: &Path, check: &GuestCheck<'_>) -> Result<LoadedConfig> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    config::text::read_with(file, &text, check).map_err(|errors| {
        errors.iter().for_each(|error| eprintln!("{error}"));
        anyhow::anyhow!("{}: {}", file.display(), count(errors.len(), "error"))
    })
}

/// What a configuration uses of the machine's network.
fn network(System { nics, teams, .. }: &System) -> String {
    let takes_all = teams.iter().any(|team| team.nics == TeamNics::All);
    let nics = if takes_all { "all NICs".into() } else { count(nics.len(), "NIC") };
    if teams.is_empty() { nics } else { format!("{nics}, {}", count(teams.len(), "team")) }
}

/// A number with its noun: `1 guest`, `2 guests`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
