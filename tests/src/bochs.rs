//! The emulator Bochs 2.7, which has VT-x with EPT or SVM with nested paging, and the 82540EM.

use crate::failure::Context;
use crate::machine::{Machine, Pace, Wire};
use crate::process::{ERRORS, Process, SERIAL_PORT};
use crate::{Failure, Outcome};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// The BIOS of Debian's package.
pub const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/vgabios/vgabios-stdvga.bin";
/// Bytes of the disk, most of which is a hole in its file: whole cylinders, as Bochs guesses a disk's geometry. A seek takes
/// the part of 5 ms that its way is of the disk: on one no larger than the image, a loader that looks into the FAT for each
/// cluster would mostly wait for its heads.
const DISK: u64 = 8192 * 16 * 63 * 512;
/// Its last words when the machine has entered S5.
const POWERED_OFF: &str = "soft power off";
/// Most cards that Bochs has.
pub const MAX_CARDS: usize = 4;

/// A processor model with VT-x.
pub const VTX_MODEL: &str = "corei7_skylake_x";
/// A processor model with SVM.
pub const SVM_MODEL: &str = "ryzen";

/// The text of `bochsrc` for a machine and a disk image.
#[must_use]
pub fn configuration(machine: &Machine, cpu_model: &str, image: &Path) -> String {
    // Delays of BIOS, disk and UART are in emulated time, so each costs instructions in proportion to
    // `ips`; paced by the host's clock, `ips` must not be below what Bochs reaches.
    let (ips, sync) = match machine.pace {
        Pace::Free => (10_000_000, "none"),
        Pace::Counted => (100_000_000, "none"),
        Pace::RealTime => (50_000_000, "slowdown"),
    };
    let memory = machine.memory;
    let slots: String =
        (1..=machine.cards.len().min(MAX_CARDS)).map(|slot| format!(", slot{slot}=e1000")).collect();
    let mut text = format!(
        "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, e1000=1\n\
         config_interface: textconfig\n\
         display_library: sdl2\n\
         memory: guest={memory}, host={memory}\n\
         romimage: file=\"{BIOS}\", options=fastboot\n\
         vgaromimage: file=\"{VGA_BIOS}\"\n\
         cpu: model={cpu_model}, count={}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
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
        machine.cpus,
        image.display()
    );
    for (index, card) in machine.cards.iter().take(MAX_CARDS).enumerate() {
        let module = match &card.wire {
            Wire::Tap(name) => format!("ethmod=tuntap, ethdev=/dev/net/tun:{name}, script=none"),
            Wire::Server | Wire::Null => "ethmod=null, ethdev=null".into(),
        };
        text += &format!("e1000: card={index}, enabled=1, mac={}, {module}\n", card.mac);
    }
    text
}

/// A running Bochs. Dropping it ends it.
pub struct Bochs {
    process: Process,
    folder: PathBuf,
}

impl Bochs {
    /// Starts the machine with a copy of the image, in a folder of its own that is kept afterwards, and
    /// returns it with its serial line. The calling thread must have its network already.
    ///
    /// # Errors
    /// A file cannot be written, or Bochs does not start.
    pub fn start(
        machine: &Machine,
        cpu_model: &str,
        image: &Path,
        folder: &Path,
    ) -> Outcome<(Self, TcpStream)> {
        let disk = folder.join("disk.img");
        let length = fs::copy(image, &disk).context(format!("copying {}", image.display()))?;
        let disk = fs::OpenOptions::new().write(true).open(&disk).context("disk.img")?;
        disk.set_len(length.max(DISK)).context("disk.img")?;
        // Left over from a run that was killed, it would keep Bochs from starting.
        let _ = fs::remove_file(folder.join("disk.img.lock"));
        write(folder, "bochsrc", &configuration(machine, cpu_model, Path::new("disk.img")))?;
        // Debian's Bochs starts in its debugger: let it run, and end when it comes back.
        write(folder, "rc.dbg", "c\nquit\n")?;
        let arguments = ["-q", "-f", "bochsrc", "-rc", "rc.dbg"].map(str::to_owned);
        let mut process = Process::start(Path::new("bochs"), &arguments, folder)?;
        let serial = process.connect(SERIAL_PORT)?;
        Ok((Self { process, folder: folder.to_owned() }, serial))
    }

    /// Waits until the emulated machine has switched itself off.
    ///
    /// # Errors
    /// It still runs after `limit`, or Bochs ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        let status = self.process.wait(limit)?;
        self.explain(status)
    }

    /// Bochs ends with status 1 whatever the reason, and tells it in its last words.
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
        // The image can be built again; a hundred copies of it are no use. The process still has it open, and
        // ends with this value.
        let _ = fs::remove_file(self.folder.join("disk.img"));
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    fs::write(folder.join(name), text).context(name)
}
