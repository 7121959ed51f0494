//! The emulator Bochs, with VT-x and EPT or SVM and nested paging, and with the NIC 82540EM.

use crate::failure::ErrorContext;
use crate::machine::{EmulatedMachine, Pace, Wire};
use crate::process::{ERRORS, Process, SERIAL_PORT};
use crate::{Failure, Outcome, artifacts, debug};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

/// The BIOS from Debian's package.
pub const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/vgabios/vgabios-stdvga.bin";
/// Size of the disk in bytes, most of it a hole in its file: whole cylinders, as in the geometry that Bochs
/// assumes. A seek takes 5 ms times the fraction of the disk that it crosses: on a disk no larger than the image,
/// a loader that consults the FAT for each cluster would mostly wait for seeks.
const DISK: u64 = 8192 * 16 * 63 * 512;
/// Its last message when the machine has entered S5.
const POWERED_OFF: &str = "soft power off";
/// The number of NICs that Bochs supports.
pub const MAX_NICS: usize = 4;

/// The versions with which the suite was run: of Debian 12 and of Debian 13.
const TRIED: [&str; 2] = ["2.7", "3.0"];

/// A processor model with VT-x.
pub const VTX_MODEL: &str = "corei7_skylake_x";
/// A processor model with SVM.
pub const SVM_MODEL: &str = "ryzen";

/// The version of the Bochs that is found here, as it names it; `None` if there is none.
#[must_use]
pub fn version() -> Option<&'static str> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let ask = || {
        let output = Command::new("bochs").arg("--help").output().ok()?;
        version_in(
            &[output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat(),
        )
    };
    VERSION.get_or_init(ask).as_deref()
}

/// Its name and version for the user, who is told when the suite has not been run with it.
#[must_use]
pub fn description() -> String {
    described(version())
}

fn described(version: Option<&str>) -> String {
    let name = format!("Bochs {}", version.unwrap_or("of an unknown version"));
    if version.is_some_and(|version| TRIED.contains(&version)) {
        return name;
    }
    format!("{name} (tried were {}: another may fail tests by errors of its own)", TRIED.join(" and "))
}

/// Whether this is Bochs 3.0 or newer.
#[must_use]
pub fn is_3() -> bool {
    version().is_some_and(is_3_or_newer)
}

fn is_3_or_newer(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 3)
}

/// The version in the banner of its help.
fn version_in(help: &str) -> Option<String> {
    help.split("Bochs x86 Emulator ").nth(1)?.split_whitespace().next().map(str::to_owned)
}

/// The text of `bochsrc` for a machine and a disk image.
#[must_use]
pub fn configuration(machine: &EmulatedMachine, cpu_model: &str, image: &Path) -> String {
    // Delays of BIOS, disk and UART are in emulated time, so their cost in instructions is proportional to `ips`.
    // When paced by the host's clock, `ips` must not be below the speed that Bochs reaches.
    let (ips, sync) = match machine.pace {
        Pace::Free => (10_000_000, "none"),
        Pace::Counted => (100_000_000, "none"),
        Pace::CountedFast => (1_000_000_000, "none"),
        Pace::RealTime => (50_000_000, "slowdown"),
    };
    let memory = machine.memory;
    let slots: String =
        (1..=machine.nics.len().min(MAX_NICS)).map(|slot| format!(", slot{slot}=e1000")).collect();
    let mut text = format!(
        "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, e1000=1\n\
         config_interface: textconfig\n\
         display_library: sdl2\n\
         memory: guest={memory}, host={memory}\n\
         romimage: file=\"{BIOS}\", options=fastboot\n\
         vgaromimage: file=\"{VGA_BIOS}\"\n\
         cpu: model={cpu_model}, count={}:1:{}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
         clock: sync={sync}, time0=946681200\n\
         pci: enabled=1, chipset=i440fx{slots}\n\
         ata0-master: type=disk, path=\"{}\", mode=flat\n\
         boot: disk\n\
         com1: enabled=1, mode=socket-server, dev=127.0.0.1:{SERIAL_PORT}\n\
         log: bochs.log\n\
         panic: action=fatal\n\
         error: action=report\n\
         info: action=report\n\
         debug: action=ignore\n",
        machine.cpus / machine.threads,
        machine.threads,
        image.display()
    );
    for (index, nic) in machine.nics.iter().take(MAX_NICS).enumerate() {
        let module = match &nic.wire {
            Wire::Tap(name) => format!("ethmod=tuntap, ethdev=/dev/net/tun:{name}, script=none"),
            Wire::Server | Wire::Hub | Wire::Null => "ethmod=null, ethdev=null".into(),
        };
        text += &format!("e1000: card={index}, enabled=1, mac={}, {module}\n", nic.mac);
    }
    text
}

/// A running Bochs. Dropping it kills the process.
pub struct Bochs {
    process: Process,
    folder: PathBuf,
}

impl Bochs {
    /// Boots the machine from a copy of the image, in a folder of its own that is kept afterwards, and returns it
    /// with its serial line. The calling thread must have entered its network namespace already.
    ///
    /// # Errors
    /// A file cannot be written, or Bochs does not start.
    pub fn start(
        machine: &EmulatedMachine,
        cpu_model: &str,
        image: &Path,
        folder: &Path,
    ) -> Outcome<(Self, TcpStream)> {
        let disk = folder.join("disk.img");
        let length = fs::copy(image, &disk).context(format!("copying {}", image.display()))?;
        let disk = fs::OpenOptions::new().write(true).open(&disk).context("disk.img")?;
        disk.set_len(length.max(DISK)).context("disk.img")?;
        // A leftover of a killed run would prevent Bochs from starting.
        let _ = fs::remove_file(folder.join("disk.img.lock"));
        write(folder, "bochsrc", &configuration(machine, cpu_model, Path::new("disk.img")))?;
        let program = Path::new("bochs");
        let mut arguments = ["-q", "-f", "bochsrc", "-rc", "rc.dbg"].map(str::to_owned).to_vec();
        let mut process = if debug::is_on() {
            prepare_debugging(folder)?;
            if is_3() {
                arguments.push("-debugger".to_owned());
            }
            Process::start_at_terminal(program, &arguments, folder)?
        } else {
            // Debian's Bochs 2.7 starts in its debugger: continue, and quit when the debugger is entered again.
            write(folder, "rc.dbg", machine.bochs.as_deref().unwrap_or("c\nquit\n"))?;
            Process::start(program, &arguments, folder)?
        };
        let serial = process.connect(SERIAL_PORT)?;
        Ok((Self { process, folder: folder.to_owned() }, serial))
    }

    /// Waits until the emulated machine has powered off.
    ///
    /// # Errors
    /// It still runs after `limit`, or Bochs ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        let status = self.process.wait(limit)?;
        self.explain(status)
    }

    /// Bochs always exits with status 1; only its last message tells the reason.
    fn explain(&self, status: ExitStatus) -> Outcome {
        let words = fs::read_to_string(self.folder.join(ERRORS)).context(ERRORS)?;
        if words.contains(POWERED_OFF) {
            return Ok(());
        }
        let reason =
            words.lines().skip_while(|line| !line.contains("exiting with the following message")).nth(1);
        let context = reason.map_or_else(|| format!("see {}", self.folder.display()), str::to_owned);
        Err(Failure::Ended { status: status.to_string(), context })
    }
}

impl Drop for Bochs {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("disk.img.lock"));
        // The image can be built again; a hundred copies would only waste space. The process still has it open,
        // and is killed with this value.
        let _ = fs::remove_file(self.folder.join("disk.img"));
    }
}

/// Debian's Bochs has its own debugger and no gdb stub: it gets the kernel's symbols, and the terminal.
fn prepare_debugging(folder: &Path) -> Outcome {
    let symbols = Command::new("nm").arg("-C").arg(artifacts::kernel()?).output().context("starting nm")?;
    // Lines of `nm` have a letter for the kind between address and name.
    let symbols: String = String::from_utf8_lossy(&symbols.stdout)
        .lines()
        .filter_map(|line| Some(format!("{} {}\n", line.get(..16)?, line.get(19..)?.replace(' ', ""))))
        .collect();
    write(folder, "weir.sym", &symbols)?;
    write(folder, "rc.dbg", "ldsym global \"weir.sym\"\n")?;
    let symbols = folder.join("weir.sym");
    eprintln!(
        "The machine is stopped before its first instruction, in the debugger of Bochs: see its command help."
    );
    eprintln!("lb ADDRESS sets a breakpoint, c continues. Addresses are in {}.", artifacts::shown(&symbols));
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    fs::write(folder.join(name), text).context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_bochs_says() {
        let line = "=".repeat(72);
        let help = |version| {
            format!(
                "  --help  display this help and exit\n{line}\n   Bochs x86 Emulator {version}\n   Built from\n"
            )
        };
        assert_eq!(version_in(&help("2.7")).as_deref(), Some("2.7"));
        assert_eq!(version_in(&help("3.0.devel")).as_deref(), Some("3.0.devel"));
        assert_eq!(version_in("bochs: not found"), None);
    }

    #[test]
    fn a_version_that_was_not_tried_is_called_so() {
        assert_eq!(TRIED.map(|version| described(Some(version))), ["Bochs 2.7", "Bochs 3.0"]);
        let not_tried = " (tried were 2.7 and 3.0: another may fail tests by errors of its own)";
        assert_eq!(described(Some("3.1")), format!("Bochs 3.1{not_tried}"));
        assert_eq!(described(None), format!("Bochs of an unknown version{not_tried}"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            ["2.7", "2.8", "3.0", "3.0.devel", "10.1", ""].map(is_3_or_newer),
            [false, false, true, true, true, false]
        );
    }
}
