//! What a test runs: VMs, and the machine under them; and the image that boots it.

use crate::failure::Context;
use crate::machine::{Card, CardModel, Firmware, Machine, Pace};
use crate::{Failure, Outcome, artifacts, initramfs};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One VM.
#[derive(Clone, Debug)]
pub struct Vm {
    name: String,
    memory: u32,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    command_line: String,
    vnics: Vec<Vnic>,
    /// Further fields of its `[[vm]]`, as lines.
    fields: Vec<String>,
}

/// A vNIC of a VM.
#[derive(Clone, Debug)]
struct Vnic {
    mac: String,
    /// Index of the card that carries its frames.
    uplink: usize,
}

impl Vm {
    /// A VM that runs a micro-guest, and is named after it as `name`.
    ///
    /// # Errors
    /// The guest was not built.
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
    /// The files were not made.
    pub fn linux(name: &str, command_line: &str) -> Outcome<Self> {
        Self::linux_from("vmlinuz", name, command_line)
    }

    /// The same kernel, unpacked already: Bochs takes minutes for that.
    ///
    /// # Errors
    /// The files were not made.
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

    /// Pins it to a core.
    #[must_use]
    pub fn on_core(mut self, core: u32) -> Self {
        self.fields.push(format!("cpu = {core}"));
        self
    }

    /// Gives it other than the usual 1000 shares.
    #[must_use]
    pub fn shares(mut self, shares: u32) -> Self {
        self.fields.push(format!("shares = {shares}"));
        self
    }

    /// It is not started again when it crashes.
    #[must_use]
    pub fn crashes_once(mut self) -> Self {
        self.fields.push("restart = \"never\"".into());
        self
    }

    /// It is not started at boot.
    #[must_use]
    pub fn not_started(mut self) -> Self {
        self.fields.push("autostart = false".into());
        self
    }

    /// Adds files to the initramfs, which `folder` then holds.
    ///
    /// # Errors
    /// The initramfs cannot be read or written.
    pub fn with_files(mut self, folder: &Path, files: &[initramfs::Entry<'_>]) -> Outcome<Self> {
        if let Some(initrd) = &self.initrd {
            let mut bytes = fs::read(initrd).context(format!("reading {}", initrd.display()))?;
            bytes.extend_from_slice(&initramfs::archive(files));
            let extended = folder.join(format!("{}-initrd.cpio", self.name));
            fs::write(&extended, bytes).context(format!("writing {}", extended.display()))?;
            self.initrd = Some(extended);
        }
        Ok(self)
    }

    /// Adds a vNIC with this address, on the machine's first card.
    #[must_use]
    pub fn nic(self, mac: &str) -> Self {
        self.nic_on(0, mac)
    }

    /// Adds a vNIC with this address, on the machine's card with this index; where there is none it has no uplink.
    #[must_use]
    pub fn nic_on(mut self, card: usize, mac: &str) -> Self {
        self.vnics.push(Vnic { mac: mac.into(), uplink: card });
        self
    }

    fn toml(&self, cards: usize) -> String {
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
            if vnic.uplink < cards {
                let _ = writeln!(text, "uplink = \"nic{}\"", vnic.uplink);
            }
        }
        text
    }
}

/// VMs and the machine under them.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The emulated machine.
    pub machine: Machine,
    vms: Vec<Vm>,
    self_test: Option<&'static str>,
}

impl Scenario {
    /// These VMs on the usual machine: 512 MiB and one card, on `tap0`.
    #[must_use]
    pub fn new(vms: Vec<Vm>) -> Self {
        Self { machine: Machine::default(), vms, self_test: None }
    }

    /// As fast as it goes, for tests in which no guest waits for the host.
    #[must_use]
    pub fn free(mut self) -> Self {
        self.machine.pace = Pace::Free;
        self
    }

    /// Has Weir break itself once the last guest has stopped: `host.self_test`.
    #[must_use]
    pub fn self_test(mut self, kind: &'static str) -> Self {
        self.self_test = Some(kind);
        self
    }

    /// On a machine with these cards, each on the tap with its index.
    #[must_use]
    pub fn on(mut self, cards: &[CardModel]) -> Self {
        self.machine.cards =
            cards.iter().enumerate().map(|(index, model)| Card::on_tap(index, *model)).collect();
        self
    }

    /// Started by this firmware.
    #[must_use]
    pub fn by(mut self, firmware: Firmware) -> Self {
        self.machine.firmware = firmware;
        self
    }

    /// The configuration as `boot` reads it. Physical NICs are called `nic0`, `nic1`, … in the order of the cards.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = "[host]\nlog_level = \"info\"\n".to_owned();
        if let Some(kind) = self.self_test {
            let _ = writeln!(text, "self_test = {kind:?}");
        }
        let cards = self.machine.cards.len();
        for index in 0..cards {
            let _ = writeln!(text, "\n[[nic]]\nname = \"nic{index}\"");
        }
        text + &self.vms.iter().map(|vm| vm.toml(cards)).collect::<String>()
    }

    /// Builds what the machine's firmware starts into a folder.
    ///
    /// # Errors
    /// Something is not built, or `boot` refuses.
    pub fn build(&self, folder: &Path) -> Outcome<PathBuf> {
        let configuration = folder.join("weir.toml");
        fs::write(&configuration, self.toml()).context("weir.toml")?;
        let firmware = self.machine.firmware;
        let mut command = Command::new(artifacts::boot_tool()?);
        command.arg("image").arg(&configuration).arg("--kernel").arg(artifacts::kernel()?);
        if firmware.is_uefi() {
            command.arg("--stage").arg(artifacts::stage()?);
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
