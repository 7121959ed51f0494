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

/// The device number of the card that is there for the firmware's PXE: behind those that Weir takes.
const BOOT_CARD: u8 = 0x1d;

/// The device number of the disk, likewise.
const DISK: u8 = 0x1c;

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
    // Time is counted in instructions, so that a busy host cannot take it away from a guest that measures its clocks;
    // while nobody runs it passes as the host's does, or not at all. One instruction is 8 ns: guests, drivers and OVMF
    // wait by executing instructions, and at 1 ns that is what the emulator would mostly do.
    let shift = 3;
    let clock = match (accelerator, machine.pace) {
        (Accelerator::Kvm, _) => String::new(),
        (Accelerator::Tcg, Pace::RealTime) => format!("-icount shift={shift}"),
        (Accelerator::Tcg, Pace::Free | Pace::Counted) => format!("-icount shift={shift},sleep=off"),
    };
    let mut text = format!(
        "-machine {board} -accel {} {clock} -cpu {cpu_model} -smp {} -m {} -nodefaults -no-user-config -vga std \
         -display none{} -rtc base=2000-01-01 \
         -chardev socket,id=serial,host=127.0.0.1,port={SERIAL_PORT},server=on,wait=on,nodelay=on{} \
         -chardev socket,id=monitor,host=127.0.0.1,port={MONITOR_PORT},server=on,wait=off -mon chardev=monitor,mode=control",
        accelerator.name(),
        machine.cpus,
        machine.memory,
        if machine.resets { "" } else { " -no-reboot" },
        if machine.serial { " -serial chardev:serial" } else { "" },
    );
    if machine.firmware == Firmware::Pxe {
        // Of all cards, the firmware itself has a driver for this one only.
        text += &format!(" -device virtio-net-pci,netdev=boot,addr={BOOT_CARD:02x}.0,romfile=");
    }
    for (index, card) in machine.cards.iter().enumerate() {
        text += &device(index, card);
    }
    let mut arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for (index, _) in machine.cards.iter().enumerate().filter(|(_, card)| card.wire == Wire::Server) {
        arguments.extend(["-netdev".into(), server(&format!("wire{index}"), image)]);
    }
    if machine.firmware == Firmware::Pxe {
        arguments.extend(["-netdev".into(), server("boot", image)]);
    }
    if machine.firmware.is_uefi() {
        // What the firmware stores is forgotten afterwards.
        let (code, variables) = (artifacts::qemu("OVMF_CODE.fd")?, artifacts::qemu("OVMF_VARS.fd")?);
        for (unit, file, options) in [(0, code, "readonly=on"), (1, variables, "snapshot=on")] {
            let drive = format!("if=pflash,unit={unit},format=raw,{options},file={}", quoted(&file));
            arguments.extend(["-drive".into(), drive]);
        }
    }
    if machine.firmware.has_disk() {
        // What is written to the disk is forgotten afterwards.
        let drive = format!("if=none,id=disk,format=raw,snapshot=on,file={}", quoted(image));
        // One that the firmware reads without a port access for every two bytes.
        let device = format!("virtio-blk-pci,drive=disk,addr={DISK:02x}.0");
        arguments.extend(["-drive".into(), drive, "-device".into(), device]);
    }
    Ok(arguments)
}

/// A network of QEMU's own with a server that gives the image by DHCP and TFTP.
fn server(name: &str, image: &Path) -> String {
    let folder = image.parent().unwrap_or(Path::new("."));
    let file = image.file_name().unwrap_or_default().display();
    format!("user,id={name},net=10.0.5.0/24,host=10.0.5.1,tftp={},bootfile={file}", quoted(folder))
}

/// A card. Its option ROM, which has iPXE, is left out where nothing can be started from it.
fn device(index: usize, card: &Card) -> String {
    let wire = match &card.wire {
        Wire::Tap(name) => format!(" -netdev tap,id=wire{index},ifname={name},script=no,downscript=no"),
        Wire::Server | Wire::Null => String::new(),
    };
    let netdev = if card.wire == Wire::Null { String::new() } else { format!(",netdev=wire{index}") };
    let rom = if card.wire == Wire::Server { "" } else { ",romfile=" };
    let (model, mac, place) = (card.model.name(), &card.mac, FIRST_CARD + index);
    format!("{wire} -device {model},id=nic{index}{netdev},mac={mac},addr={place:02x}.0{rom}")
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
        let mut monitor = Monitor::start(process.connect(MONITOR_PORT)?)?;
        if (accelerator, machine.pace) == (Accelerator::Tcg, Pace::RealTime) {
            // While all processors sleep under `-icount`, QEMU's event loop has time pass, by a timer that it can set for an
            // event that is cancelled; then it sets no other until something wakes it.
            monitor.keep_awake();
        }
        Ok((Self { process, monitor }, serial))
    }

    /// Pulls the cable of a card, or puts it back.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn set_link(&mut self, card: usize, up: bool) -> Outcome {
        self.monitor.execute("set_link", &format!(r#"{{"name":"nic{card}","up":{up}}}"#))
    }

    /// Writes what the screen shows into a file, as a portable pixmap.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn screenshot(&mut self, file: &Path) -> Outcome {
        let file = std::path::absolute(file).context("the picture's path")?;
        self.monitor.execute("screendump", &format!(r#"{{"filename":{:?}}}"#, file.display().to_string()))
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
