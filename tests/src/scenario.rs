//! What a test runs: VMs on an emulated machine, and the image that boots them.

use crate::failure::ErrorContext;
use crate::lan::LanPlan;
use crate::machine::{EmulatedMachine, EmulatedNic, EmulatedNicModel, Firmware, Pace};
use crate::{Backend, Failure, Outcome, artifacts, initramfs};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One VM of the configuration.
#[derive(Clone, Debug)]
pub struct VmSpec {
    name: String,
    memory: u32,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    command_line: String,
    vnics: Vec<VnicSpec>,
    /// Additional fields of its `[[vm]]`, one line each.
    fields: Vec<String>,
}

/// A vNIC of a VM.
#[derive(Clone, Debug)]
struct VnicSpec {
    mac: String,
    uplink: VnicUplink,
    /// It keeps its link when the physical NIC has none.
    keeps_link: bool,
}

/// What carries the frames of a vNIC to the wire.
#[derive(Clone, Debug)]
enum VnicUplink {
    /// The physical NIC with this index.
    Nic(usize),
    /// The team of this name.
    Team(String),
}

impl VmSpec {
    /// A VM with this name that runs a micro-guest.
    ///
    /// # Errors
    /// The guest has not been built.
    pub fn micro(name: &str, guest: &str, command_line: &str) -> Outcome<Self> {
        Ok(Self {
            name: name.into(),
            memory: 32,
            kernel: artifacts::micro(guest)?,
            initrd: None,
            command_line: command_line.into(),
            vnics: Vec::new(),
            fields: Vec::new(),
        })
    }

    /// A VM that runs the stock Linux kernel with the initramfs of `guest-images/linux`.
    ///
    /// # Errors
    /// The files have not been built.
    pub fn linux(name: &str, command_line: &str) -> Outcome<Self> {
        Self::linux_from("vmlinuz", name, command_line)
    }

    /// The same with the kernel decompressed in advance, which takes minutes in Bochs.
    ///
    /// # Errors
    /// The files have not been built.
    pub fn unpacked_linux(name: &str, command_line: &str) -> Outcome<Self> {
        Self::linux_from("vmlinux", name, command_line)
    }

    fn linux_from(kernel: &str, name: &str, command_line: &str) -> Outcome<Self> {
        Ok(Self {
            name: name.into(),
            memory: 192,
            kernel: artifacts::linux(kernel)?,
            initrd: Some(artifacts::linux("initrd.cpio")?),
            command_line: command_line.into(),
            vnics: Vec::new(),
            fields: Vec::new(),
        })
    }

    /// Gives it another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Writes this to `folder` as its kernel, in place of the guest's own.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn with_kernel(mut self, folder: &Path, kernel: &[u8]) -> Outcome<Self> {
        self.kernel = folder.join(format!("{}-kernel", self.name));
        fs::write(&self.kernel, kernel).context(format!("writing {}", self.kernel.display()))?;
        Ok(self)
    }

    /// Gives it another initial RAM disk.
    #[must_use]
    pub fn with_initrd(mut self, initrd: PathBuf) -> Self {
        self.initrd = Some(initrd);
        self
    }

    /// Gives it this number of MiB of memory.
    #[must_use]
    pub fn memory(mut self, memory: u32) -> Self {
        self.memory = memory;
        self
    }

    /// Pins it to a core.
    #[must_use]
    pub fn on_core(mut self, core: u32) -> Self {
        self.fields.push(format!("cpu = {core}"));
        self
    }

    /// Gives it this number of shares in place of the default 1000.
    #[must_use]
    pub fn shares(mut self, shares: u32) -> Self {
        self.fields.push(format!("shares = {shares}"));
        self
    }

    /// Disables its restart after a crash.
    #[must_use]
    pub fn crashes_once(mut self) -> Self {
        self.fields.push("restart = \"never\"".into());
        self
    }

    /// Disables its start at boot.
    #[must_use]
    pub fn not_started(mut self) -> Self {
        self.fields.push("autostart = false".into());
        self
    }

    /// Adds files to the initramfs; the extended one is written to `folder`.
    ///
    /// # Errors
    /// The initramfs cannot be read or written.
    pub fn with_files(mut self, folder: &Path, files: &[initramfs::ArchiveFile<'_>]) -> Outcome<Self> {
        if let Some(initrd) = &self.initrd {
            let mut bytes = fs::read(initrd).context(format!("reading {}", initrd.display()))?;
            bytes.extend(initramfs::archive(files)?);
            let extended = folder.join(format!("{}-initrd.cpio", self.name));
            fs::write(&extended, bytes).context(format!("writing {}", extended.display()))?;
            self.initrd = Some(extended);
        }
        Ok(self)
    }

    /// Adds a vNIC with this MAC address, with the machine's first NIC as uplink.
    #[must_use]
    pub fn nic(self, mac: &str) -> Self {
        self.nic_on(0, mac)
    }

    /// Adds a vNIC with this MAC address, with the machine's NIC of this index as uplink; it has no uplink if
    /// there is no such NIC.
    #[must_use]
    pub fn nic_on(mut self, nic: usize, mac: &str) -> Self {
        self.vnics.push(VnicSpec { mac: mac.into(), uplink: VnicUplink::Nic(nic), keeps_link: false });
        self
    }

    /// Adds a vNIC with this MAC address, with the team of this name as uplink.
    #[must_use]
    pub fn nic_in(mut self, team: &str, mac: &str) -> Self {
        let uplink = VnicUplink::Team(team.into());
        self.vnics.push(VnicSpec { mac: mac.into(), uplink, keeps_link: false });
        self
    }

    /// Gives it this priority in place of the default 3.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.fields.push(format!("priority = {priority}"));
        self
    }

    /// Lets its vNICs keep their link when the physical NIC has none.
    #[must_use]
    pub fn keeps_link(mut self) -> Self {
        self.vnics.iter_mut().for_each(|vnic| vnic.keeps_link = true);
        self
    }

    fn toml(&self, nics: usize) -> String {
        let mut text = format!("\n[[vm]]\nname = {:?}\nmemory = {}\n", self.name, self.memory);
        let _ = writeln!(text, "kernel = {:?}", self.kernel);
        if let Some(initrd) = &self.initrd {
            let _ = writeln!(text, "initrd = {initrd:?}");
        }
        let _ = writeln!(text, "cmdline = {:?}", self.command_line);
        for field in &self.fields {
            let _ = writeln!(text, "{field}");
        }
        for vnic in &self.vnics {
            let _ = writeln!(text, "\n[[vm.vnic]]\nmodel = \"82540EM\"\nmac = {:?}", vnic.mac);
            match &vnic.uplink {
                VnicUplink::Nic(nic) if *nic < nics => text += &format!("uplink = \"nic{nic}\"\n"),
                VnicUplink::Nic(_) => {}
                VnicUplink::Team(team) => text += &format!("uplink = {team:?}\n"),
            }
            if vnic.keeps_link {
                let _ = writeln!(text, "uplink_link = \"up\"");
            }
        }
        text
    }
}

/// VMs and the machine that runs them.
///
/// ```
/// use end_to_end::Scenario;
/// use end_to_end::machine::EmulatedNicModel;
///
/// let scenario = Scenario::new(Vec::new()).with_nics(&[EmulatedNicModel::E1000, EmulatedNicModel::Igb]);
/// assert_eq!(scenario.machine.taps(), ["tap0", "tap1"]);
/// assert!(scenario.toml().contains("[[nic]]\nname = \"nic1\""));
/// let scenario = scenario.team("lan", &["nics = [\"nic0\", \"nic1\"]"]);
/// assert!(scenario.toml().contains("[[team]]\nname = \"lan\"\nnics = "));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The emulated machine.
    pub machine: EmulatedMachine,
    vms: Vec<VmSpec>,
    /// The `[[team]]` tables.
    teams: String,
    self_test: Option<&'static str>,
    /// Boot waits until each line of the log has left the machine.
    whole_log: bool,
    /// Guests share a core's threads.
    smt: bool,
    /// Guests that cannot be started are left to Weir to refuse.
    unchecked: bool,
    /// No `[[nic]]` is in the configuration: a team takes all.
    unnamed_nics: bool,
}

impl Scenario {
    /// These VMs on the default machine: 512 MiB and one NIC, on `tap0`.
    #[must_use]
    pub fn new(vms: Vec<VmSpec>) -> Self {
        Self {
            machine: EmulatedMachine::default(),
            vms,
            teams: String::new(),
            self_test: None,
            whole_log: false,
            smt: false,
            unchecked: false,
            unnamed_nics: false,
        }
    }

    /// As fast as possible, for tests in which no guest waits for the host.
    #[must_use]
    pub fn free(mut self) -> Self {
        self.machine.pace = Pace::Free;
        self
    }

    /// Boot waits for the serial line, so that no guest runs while lines of boot leave the machine.
    #[must_use]
    pub fn whole_log(mut self) -> Self {
        self.whole_log = true;
        self
    }

    /// Uses every thread of a core: `host.smt`.
    #[must_use]
    pub fn smt(mut self) -> Self {
        self.smt = true;
        self
    }

    /// With all processors in use, where the backend calls its cores threads of one core.
    #[must_use]
    pub fn suited_to(mut self, backend: Backend) -> Self {
        self.smt |= self.machine.cpus > 1 && self.machine.threads == 1 && backend.calls_cores_threads();
        self
    }

    /// Makes Weir fail on purpose once the last guest has stopped: `host.self_test`.
    #[must_use]
    pub fn self_test(mut self, kind: &'static str) -> Self {
        self.self_test = Some(kind);
        self
    }

    /// Leaves the check of the guests' images to Weir.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// On a machine with these NICs, each on the tap with its index.
    #[must_use]
    pub fn with_nics(mut self, models: &[EmulatedNicModel]) -> Self {
        self.machine.nics =
            models.iter().enumerate().map(|(index, model)| EmulatedNic::on_tap(index, *model)).collect();
        self
    }

    /// On this LAN, with as many NICs as it has; further NICs are of the last of these models.
    #[must_use]
    pub fn on_lan(self, plan: LanPlan, models: &[EmulatedNicModel]) -> Self {
        let last = models.last().copied().unwrap_or(EmulatedNicModel::E1000);
        let models: Vec<_> = (0..plan.nics()).map(|nic| models.get(nic).copied().unwrap_or(last)).collect();
        let mut scenario = self.with_nics(&models);
        scenario.machine.lan = Some(plan);
        scenario
    }

    /// Adds a team with this name and these further fields, such as `nics = ["nic0", "nic1"]`.
    #[must_use]
    pub fn team(mut self, name: &str, fields: &[&str]) -> Self {
        let _ = writeln!(self.teams, "\n[[team]]\nname = {name:?}\n{}", fields.join("\n"));
        self
    }

    /// Leaves the physical NICs to a team that takes all of them, so that the image fits machines with others as well.
    #[must_use]
    pub fn unnamed_nics(mut self) -> Self {
        self.unnamed_nics = true;
        self
    }

    /// On a machine that boots with this firmware.
    #[must_use]
    pub fn with_firmware(mut self, firmware: Firmware) -> Self {
        self.machine.firmware = firmware;
        self
    }

    /// The configuration as `boot` reads it. The physical NICs are named `nic0`, `nic1`, … in their order.
    #[must_use]
    pub fn toml(&self) -> String {
        let level = if self.whole_log { "debug" } else { "info" };
        let mut text = format!("[host]\nlog_level = {level:?}\n");
        if self.smt {
            text += "smt = true\n";
        }
        if let Some(kind) = self.self_test {
            let _ = writeln!(text, "self_test = {kind:?}");
        }
        let nics = self.machine.nics.len();
        let named = if self.unnamed_nics { 0 } else { nics };
        for index in 0..named {
            let _ = writeln!(text, "\n[[nic]]\nname = \"nic{index}\"");
        }
        text + &self.teams + &self.vms.iter().map(|vm| vm.toml(nics)).collect::<String>()
    }

    /// Builds the boot file for the machine's firmware in a folder.
    ///
    /// # Errors
    /// An artifact has not been built, or `boot` fails.
    pub fn build(&self, folder: &Path) -> Outcome<PathBuf> {
        let configuration = folder.join("weir.toml");
        fs::write(&configuration, self.toml()).context("weir.toml")?;
        let firmware = self.machine.firmware;
        let mut command = Command::new(artifacts::boot_tool()?);
        command.arg("image").arg(&configuration).arg("--kernel").arg(artifacts::kernel()?);
        if self.unchecked {
            command.arg("--unchecked");
        }
        if firmware.is_uefi() {
            command.arg("--stage").arg(artifacts::stage()?);
        }
        if firmware == Firmware::BiosIpxe {
            command.arg("--bios-stage").arg(artifacts::bios_stage()?);
        }
        let output =
            command.arg("--out").arg(folder).arg(firmware.option()).output().context("starting boot")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::Program { program: "boot image".into(), output: said });
        }
        let image = folder.join(firmware.image());
        if image.exists() { Ok(image) } else { Err(Failure::Artifact { path: image, made_by: "boot image" }) }
    }
}
