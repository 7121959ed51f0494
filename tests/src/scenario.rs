//! What a test runs: VMs, and the machine under them; and the image that boots it.

use crate::bochs::{Machine, Pace};
use crate::failure::Context;
use crate::{Failure, Outcome, artifacts, initramfs};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the physical NIC in the configuration.
const UPLINK: &str = "uplink";

/// One VM.
#[derive(Clone, Debug)]
pub struct Vm {
    name: String,
    memory: u32,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    command_line: String,
    macs: Vec<String>,
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
            macs: Vec::new(),
        })
    }

    /// A VM that runs the stock Linux kernel with the initramfs of `guest-images/linux`.
    ///
    /// # Errors
    /// The files were not made.
    pub fn linux(name: &str, command_line: &str) -> Outcome<Self> {
        Ok(Self {
            name: name.into(),
            memory: 192,
            kernel: artifacts::linux("vmlinuz")?,
            initrd: Some(artifacts::linux("initrd.cpio")?),
            command_line: command_line.into(),
            macs: Vec::new(),
        })
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

    /// Adds a vNIC with this address.
    #[must_use]
    pub fn nic(mut self, mac: &str) -> Self {
        self.macs.push(mac.into());
        self
    }

    fn toml(&self, uplink: bool) -> String {
        let mut text = format!("\n[[vm]]\nname = {:?}\nmemory = {}\n", self.name, self.memory);
        let _ = writeln!(text, "kernel = {:?}", self.kernel);
        if let Some(initrd) = &self.initrd {
            let _ = writeln!(text, "initrd = {initrd:?}");
        }
        let _ = writeln!(text, "cmdline = {:?}", self.command_line);
        for mac in &self.macs {
            let _ = writeln!(text, "\n[[vm.vnic]]\nmodel = \"82540EM\"\nmac = {mac:?}");
            if uplink {
                let _ = writeln!(text, "uplink = {UPLINK:?}");
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

    /// The configuration as `boot` reads it.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = "[host]\nlog_level = \"info\"\n".to_owned();
        if let Some(kind) = self.self_test {
            let _ = writeln!(text, "self_test = {kind:?}");
        }
        let uplink = !self.machine.cards.is_empty();
        if uplink {
            let _ = writeln!(text, "\n[[nic]]\nname = {UPLINK:?}");
        }
        text + &self.vms.iter().map(|vm| vm.toml(uplink)).collect::<String>()
    }

    /// Builds the BIOS disk image into a folder.
    ///
    /// # Errors
    /// Something is not built, or `boot` refuses.
    pub fn build(&self, folder: &Path) -> Outcome<PathBuf> {
        let configuration = folder.join("weir.toml");
        fs::write(&configuration, self.toml()).context("weir.toml")?;
        let output = Command::new(artifacts::boot_tool()?)
            .arg("image")
            .arg(&configuration)
            .arg("--kernel")
            .arg(artifacts::kernel()?)
            .arg("--out")
            .arg(folder)
            .arg("--bios")
            .output()
            .context("starting boot")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::Program { program: "boot image".into(), output: said });
        }
        let image = folder.join("weir-bios.img");
        if image.exists() {
            Ok(image)
        } else {
            Err(Failure::Artifact { path: image, made_by: "boot image --bios" })
        }
    }
}
