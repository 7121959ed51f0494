//! The emulator QEMU 8 or newer: emulating SVM with nested paging, or with KVM and the host's own VT-x or SVM;
//! with the NICs 82540EM, 82545EM, 82574L and 82576.

use crate::failure::ErrorContext;
use crate::heartbeat::{Heartbeat, PORT as HEARTBEAT_PORT};
use crate::machine::{Chipset, EmulatedMachine, EmulatedNic, EmulatedNicModel, Firmware, Pace, Wire};
use crate::process::{Process, SERIAL_PORT};
use crate::qmp::{Monitor, PORT as MONITOR_PORT};
use crate::{Failure, Outcome, artifacts, debug, faults};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first NIC's device number on bus 0: the chipset uses the lower ones.
pub const FIRST_NIC: usize = 4;

/// The device number of the NIC that serves only the firmware's PXE: behind the NICs that Weir uses.
const BOOT_NIC: u8 = 0x1d;

/// The device number of the disk: behind the NICs as well.
const DISK: u8 = 0x1c;

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU's own translator.
    Tcg,
    /// The host's processor, through KVM.
    Kvm,
}

impl Accelerator {
    /// QEMU's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }

    /// The default processor model. `max` has everything that QEMU can emulate; but reading the x2APIC's timer
    /// makes QEMU exit under `-icount` ("Bad icount read").
    #[must_use]
    pub fn cpu_model(self) -> &'static str {
        match self {
            Self::Tcg => "max,x2apic=off",
            Self::Kvm => "host",
        }
    }
}

/// QEMU's command line for a machine and its boot image.
///
/// # Errors
/// A file of the firmware is missing.
pub fn arguments(
    machine: &EmulatedMachine,
    accelerator: Accelerator,
    cpu_model: &str,
    image: &Path,
) -> Outcome<Vec<String>> {
    let board = board(machine);
    let clock = clock(accelerator, machine.pace);
    let mut text = format!(
        "-machine {board} -accel {} {clock} -cpu {cpu_model} -smp {},threads={}{} -m {} -nodefaults -no-user-config -vga std \
         -display none{} -rtc base=2000-01-01 \
         -chardev socket,id=serial,host=127.0.0.1,port={SERIAL_PORT},server=on,wait=on,nodelay=on{} \
         -chardev socket,id=monitor,host=127.0.0.1,port={MONITOR_PORT},server=on,wait=off -mon chardev=monitor,mode=control \
         -chardev socket,id=heartbeat,host=127.0.0.1,port={HEARTBEAT_PORT},server=on,wait=off -mon chardev=heartbeat",
        accelerator.name(),
        machine.cpus,
        machine.threads,
        machine.topology,
        machine.memory,
        if machine.resets { "" } else { " -no-reboot" },
        if machine.serial { " -serial chardev:serial" } else { "" },
    );
    if machine.firmware == Firmware::Pxe {
        // This is the only NIC model for which the firmware itself has a driver.
        text += &format!(" -device virtio-net-pci,netdev=boot,addr={BOOT_NIC:02x}.0,romfile=");
    }
    for argument in &machine.qemu {
        text += &format!(" {argument}");
    }
    // The virtual functions of an igb take a place and the next one, far behind its own.
    let igbs = machine.nics.iter().filter(|nic| nic.model == EmulatedNicModel::Igb).count();
    let step = if igbs > 1 { 2 } else { 1 };
    for (index, nic) in machine.nics.iter().enumerate() {
        text += &device(index, FIRST_NIC + index * step, nic);
    }
    let mut arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for (index, _) in machine.nics.iter().enumerate().filter(|(_, nic)| nic.wire == Wire::Server) {
        arguments.extend(["-netdev".into(), server(&format!("wire{index}"), image)]);
    }
    if machine.firmware == Firmware::Pxe {
        arguments.extend(["-netdev".into(), server("boot", image)]);
    }
    if machine.firmware.is_uefi() {
        // What the firmware stores is discarded afterwards.
        let (code, variables) = (artifacts::qemu("OVMF_CODE.fd")?, artifacts::qemu("OVMF_VARS.fd")?);
        for (unit, file, options) in [(0, code, "readonly=on"), (1, variables, "snapshot=on")] {
            let drive = format!("if=pflash,unit={unit},format=raw,{options},file={}", quoted(&file));
            arguments.extend(["-drive".into(), drive]);
        }
    }
    if machine.firmware.has_disk() {
        // What is written to the disk is discarded afterwards.
        let drive = format!("if=none,id=disk,format=raw,snapshot=on,file={}", quoted(image));
        // Virtio: the firmware reads it by DMA, not with one port access for every two bytes.
        let bus = if machine.chipset == Chipset::Q35 { "pcie.0" } else { "pci.0" };
        let device = format!("virtio-blk-pci,drive=disk,bus={bus},addr={DISK:02x}.0");
        arguments.extend(["-drive".into(), drive, "-device".into(), device]);
    }
    Ok(arguments)
}

/// QEMU's board, with its options.
fn board(machine: &EmulatedMachine) -> String {
    let board = match machine.chipset {
        Chipset::I440fx => "pc",
        Chipset::Q35 => "q35",
    };
    let tables = if machine.tables.is_some() { ",acpi=off" } else { "" };
    let low = machine.low_memory.map(|low| format!(",max-ram-below-4g={low}M")).unwrap_or_default();
    format!("{board}{tables}{low}")
}

/// The option for the emulated clock. Time is counted in instructions, so that a busy host cannot disturb a guest that
/// calibrates its clocks; while all processors sleep, it passes like the host's, or jumps to the next event. One
/// instruction is 8 ns: guests, drivers and OVMF wait by executing instructions, and at 1 ns the emulator would spend most
/// of its time on that.
fn clock(accelerator: Accelerator, pace: Pace) -> &'static str {
    match (accelerator, pace) {
        (Accelerator::Kvm, _) => "",
        (Accelerator::Tcg, Pace::RealTime) => "-icount shift=3",
        (Accelerator::Tcg, Pace::Free | Pace::Counted | Pace::CountedFast) => "-icount shift=3,sleep=off",
    }
}

/// A network inside QEMU with a server that offers the image by DHCP and TFTP.
fn server(name: &str, image: &Path) -> String {
    let folder = image.parent().unwrap_or(Path::new("."));
    let file = image.file_name().unwrap_or_default().display();
    format!("user,id={name},net=10.0.5.0/24,host=10.0.5.1,tftp={},bootfile={file}", quoted(folder))
}

/// A NIC. Its option ROM, which contains iPXE, is left out where nothing can be booted from it.
fn device(index: usize, slot: usize, nic: &EmulatedNic) -> String {
    let wire = match &nic.wire {
        // Without vnet_hdr frames are on the tap as on a cable: QEMU's NIC cuts packets and finishes checksums itself.
        Wire::Tap(name) => {
            format!(" -netdev tap,id=wire{index},ifname={name},script=no,downscript=no,vnet_hdr=off")
        }
        Wire::Hub => format!(" -netdev hubport,id=wire{index},hubid=0"),
        Wire::Server | Wire::Null => String::new(),
    };
    let netdev = if nic.wire == Wire::Null { String::new() } else { format!(",netdev=wire{index}") };
    let rom = if nic.wire == Wire::Server { "" } else { ",romfile=" };
    let place = match nic.behind {
        Some(bridge) => format!("bus={bridge},addr=0"),
        None => format!("addr={slot:02x}.0"),
    };
    let (model, mac) = (nic.model.name(), &nic.mac);
    format!("{wire} -device {model},id=nic{index}{netdev},mac={mac},{place}{rom}")
}

/// A file name within an option, where a comma must be doubled.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The arguments that make QEMU wait for gdb.
fn debug_arguments() -> Vec<String> {
    let socket = debug::gdb_socket();
    // QEMU cannot bind to the path of an earlier session.
    let _ = std::fs::remove_file(&socket);
    let server = format!("socket,id=gdb,path={},server=on,wait=off", quoted(&socket));
    ["-S", "-chardev", &server, "-gdb", "chardev:gdb"].map(str::to_owned).to_vec()
}

/// Prints how to attach gdb.
fn print_debug_command() -> Outcome {
    let (kernel, socket) = (artifacts::kernel()?, debug::gdb_socket());
    let (kernel, socket) = (artifacts::shown(&kernel), artifacts::shown(&socket));
    eprintln!(
        "The machine is stopped before its first instruction. Attach in another terminal, in the project's root:"
    );
    eprintln!("    gdb {kernel} -ex 'target remote {socket}'");
    eprintln!("Set breakpoints with hbreak, since the kernel is not loaded yet; continue boots the machine.");
    Ok(())
}

/// Captures what a NIC sends, in the folder of the machine, with the times that its clock has then.
fn capture(nic: usize) -> [String; 2] {
    let filter = format!("filter-dump,id=sent{nic},netdev=wire{nic},queue=rx,file=sent{nic}.pcap");
    ["-object".into(), filter]
}

/// A running QEMU. Dropping it kills the process.
pub struct Qemu {
    process: Process,
    monitor: Monitor,
    _heartbeat: Option<Heartbeat>,
}

impl Qemu {
    /// Boots the machine in a folder of its own that is kept afterwards, and returns it with its serial line. The
    /// calling thread must have entered its network namespace already.
    ///
    /// # Errors
    /// A file cannot be written, or QEMU does not start.
    pub fn start(
        machine: &EmulatedMachine,
        accelerator: Accelerator,
        cpu_model: &str,
        image: &Path,
        folder: &Path,
    ) -> Outcome<(Self, TcpStream)> {
        let image = std::path::absolute(image).context("the image's path")?;
        let mut arguments = arguments(machine, accelerator, cpu_model, &image)?;
        if let Some(tables) = &machine.tables {
            arguments.extend(tables.write(&std::path::absolute(folder).context("the folder's path")?)?);
        }
        if machine.faulty_nics {
            arguments.extend(faults::device_of_ones(folder)?);
        }
        if let Some(lan) = &machine.lan {
            arguments.extend((0..lan.nics()).flat_map(capture));
        }
        if debug::is_on() {
            arguments.extend(debug_arguments());
        }
        std::fs::write(folder.join("qemu-arguments.txt"), arguments.join("\n"))
            .context("qemu-arguments.txt")?;
        let mut process = Process::start(&program()?, &arguments, folder)?;
        let serial = process.connect(SERIAL_PORT)?;
        let monitor = Monitor::start(process.connect(MONITOR_PORT)?)?;
        // While all processors sleep under `-icount`, QEMU's event loop advances time with a timer. If the event that the
        // timer was set for is cancelled, QEMU sets no other timer until something wakes the event loop.
        let sleeps = (accelerator, machine.pace) == (Accelerator::Tcg, Pace::RealTime);
        let heartbeat = if sleeps { Some(Heartbeat::start(process.connect(HEARTBEAT_PORT)?)?) } else { None };
        if debug::is_on() {
            print_debug_command()?;
        }
        Ok((Self { process, monitor, _heartbeat: heartbeat }, serial))
    }

    /// Unplugs the cable of a NIC. QEMU itself sends a RARP from each NIC's own address first, without any time between: in
    /// captures, that marks the moment.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn unplug_at_mark(&mut self, nic: usize) -> Outcome {
        self.monitor.execute("stop", "{}")?;
        self.monitor.execute("announce-self", r#"{"initial":10,"max":10,"rounds":1,"step":0}"#)?;
        self.set_link(nic, false)?;
        self.monitor.execute("cont", "{}").map(drop)
    }

    /// Unplugs the cable of a NIC, or plugs it in.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn set_link(&mut self, nic: usize, up: bool) -> Outcome {
        self.monitor.execute("set_link", &format!(r#"{{"name":"nic{nic}","up":{up}}}"#)).map(drop)
    }

    /// Raises a machine check on a processor, with these values of IA32_MC1_STATUS and IA32_MCG_STATUS.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn machine_check(&mut self, cpu: u32, status: u64, global: u64) -> Outcome {
        self.human(&format!("mce {cpu} 1 {status:#x} {global:#x} 0x1000 0x0")).map(drop)
    }

    /// Executes a line of QEMU's monitor for people, and returns its answer as it comes by QMP.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn human(&mut self, line: &str) -> Outcome<String> {
        self.monitor.execute("human-monitor-command", &format!(r#"{{"command-line":{line:?}}}"#))
    }

    /// Writes the contents of the screen to a file, as a portable pixmap.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn screenshot(&mut self, file: &Path) -> Outcome {
        let file = std::path::absolute(file).context("the picture's path")?;
        let name = format!(r#"{{"filename":{:?}}}"#, file.display().to_string());
        self.monitor.execute("screendump", &name).map(drop)
    }

    /// Waits until the emulated machine has powered off.
    ///
    /// # Errors
    /// It still runs after `limit`, or QEMU ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        let status = self.process.wait(limit)?;
        // A reset gives the same status [-no-reboot]: only the monitor distinguishes them.
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

/// The script that starts the QEMU that `make setup` installed.
///
/// # Errors
/// `make setup` has not been run.
pub fn program() -> Outcome<PathBuf> {
    artifacts::qemu("run")
}
