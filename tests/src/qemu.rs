//! The emulator QEMU 8 or newer: by itself with SVM and nested paging, or with KVM and the host's own VT-x or SVM;
//! 82540EM, 82545EM, 82574L and 82576.

use crate::failure::Context;
use crate::machine::{Board, Card, Firmware, Machine, Pace, Wire};
use crate::process::{Process, SERIAL_PORT};
use crate::qmp::{Monitor, PORT as MONITOR_PORT};
use crate::{Failure, Outcome, artifacts};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first card's device number on bus 0: the numbers below are the board's own.
const FIRST_CARD: usize = 4;

/// Who executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU itself.
    Tcg,
    /// The host's processor, by its kernel.
    Kvm,
}

impl Accelerator {
    /// What QEMU calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }

    /// The usual processor model. QEMU's own `max` has all that it can emulate; but reading the x2APIC's timer ends QEMU
    /// under `-icount` ("Bad icount read").
    #[must_use]
    pub fn cpu_model(self) -> &'static str {
        match self {
            Self::Tcg => "max,x2apic=off",
            Self::Kvm => "host",
        }
    }
}

/// QEMU's command line for a machine and what it starts from.
///
/// # Errors
/// A file of the firmware is missing.
pub fn arguments(
    machine: &Machine,
    accelerator: Accelerator,
    cpu_model: &str,
    image: &Path,
) -> Outcome<Vec<String>> {
    let board = match machine.board {
        Board::I440fx => "pc",
        Board::Q35 => "q35",
    };
    let clock = match (accelerator, machine.pace) {
        (Accelerator::Kvm, _) => "",
        // Time is counted in instructions, one a nanosecond, so that a busy host cannot take it away from a guest that
        // measures its clocks; while nobody runs it passes as the host's does, or not at all.
        (Accelerator::Tcg, Pace::RealTime) => "-icount shift=0",
        (Accelerator::Tcg, Pace::Free | Pace::Counted) => "-icount shift=0,sleep=off",
    };
    let mut text = format!(
        "-machine {board} -accel {} {clock} -cpu {cpu_model} -smp {} -m {} -nodefaults -no-user-config -vga std \
         -display none{} -rtc base=2000-01-01 \
         -chardev socket,id=serial,host=127.0.0.1,port={SERIAL_PORT},server=on,wait=on,nodelay=on -serial chardev:serial \
         -chardev socket,id=monitor,host=127.0.0.1,port={MONITOR_PORT},server=on,wait=off -mon chardev=monitor,mode=control",
        accelerator.name(),
        machine.cpus,
        machine.memory,
        if machine.resets { "" } else { " -no-reboot" },
    );
    for (index, card) in machine.cards.iter().enumerate() {
        text += &device(index, card);
    }
    let mut arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if machine.firmware == Firmware::Uefi {
        // What the firmware stores is forgotten afterwards.
        let (code, variables) = (artifacts::qemu("OVMF_CODE.fd")?, artifacts::qemu("OVMF_VARS.fd")?);
        for (unit, file, options) in [(0, code, "readonly=on"), (1, variables, "snapshot=on")] {
            let drive = format!("if=pflash,unit={unit},format=raw,{options},file={}", quoted(&file));
            arguments.extend(["-drive".into(), drive]);
        }
    }
    // What is written to the disk is forgotten afterwards.
    arguments.extend(["-drive".into(), format!("format=raw,snapshot=on,file={}", quoted(image))]);
    Ok(arguments)
}

/// A card, with an empty option ROM: nothing starts from it.
fn device(index: usize, card: &Card) -> String {
    let wire = match &card.wire {
        Wire::Tap(name) => format!(" -netdev tap,id=wire{index},ifname={name},script=no,downscript=no"),
        Wire::Null => String::new(),
    };
    let netdev = if wire.is_empty() { String::new() } else { format!(",netdev=wire{index}") };
    let (model, mac, place) = (card.model.name(), &card.mac, FIRST_CARD + index);
    format!("{wire} -device {model},id=nic{index}{netdev},mac={mac},addr={place:02x}.0,romfile=")
}

/// A file name within an option: a comma ends it, unless there are two.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A running QEMU. Dropping it ends it.
pub struct Qemu {
    process: Process,
    monitor: Monitor,
}

impl Qemu {
    /// Starts the machine in a folder of its own that is kept afterwards, and returns it with its serial line. The
    /// calling thread must have its network already.
    ///
    /// # Errors
    /// A file cannot be written, or QEMU does not start.
    pub fn start(
        machine: &Machine,
        accelerator: Accelerator,
        cpu_model: &str,
        image: &Path,
        folder: &Path,
    ) -> Outcome<(Self, TcpStream)> {
        let image = std::path::absolute(image).context("the image's path")?;
        let arguments = arguments(machine, accelerator, cpu_model, &image)?;
        std::fs::write(folder.join("qemu-arguments.txt"), arguments.join("\n"))
            .context("qemu-arguments.txt")?;
        let mut process = Process::start(&program()?, &arguments, folder)?;
        let serial = process.connect(SERIAL_PORT)?;
        let monitor = Monitor::start(process.connect(MONITOR_PORT)?)?;
        Ok((Self { process, monitor }, serial))
    }

    /// Pulls the cable of a card, or puts it back.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn set_link(&mut self, card: usize, up: bool) -> Outcome {
        self.monitor.execute("set_link", &format!(r#"{{"name":"nic{card}","up":{up}}}"#))
    }

    /// Waits until the emulated machine has switched itself off.
    ///
    /// # Errors
    /// It still runs after `limit`, or QEMU ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        let status = self.process.wait(limit)?;
        // Its status is the same for a reset [-no-reboot]: the monitor tells them apart.
        match self.monitor.shutdown_reason().as_deref() {
            Some("guest-shutdown") if status.success() => Ok(()),
            reason => {
                let reason = reason.unwrap_or("no reason given");
                let context = format!("for {reason}: {}", self.process.last_words());
                Err(Failure::Ended { status: status.to_string(), context })
            }
        }
    }
}

/// The script that starts the QEMU of the project's set-up.
///
/// # Errors
/// The set-up was not done.
pub fn program() -> Outcome<PathBuf> {
    artifacts::qemu("run")
}
