//! The emulated machine, described independently of the emulator.

use crate::acpi::FirmwareTables;
use crate::lan::LanPlan;
use std::fmt;

/// How emulated time relates to the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible; while all guests sleep, emulated time runs far ahead of the host's. QEMU without
    /// `-icount` only has the host's time: there it is [`RealTime`](Self::RealTime).
    Free,
    /// As fast as possible, with a clock so fast that timers, Weir's and the guests' own, hardly ever fire: for
    /// counting instructions. In Bochs, two runs of the same image take the same number of instructions. QEMU's
    /// clock is as fast with [`Free`](Self::Free).
    Counted,
    /// The same on a machine that executes ten times as many instructions in a second.
    CountedFast,
    /// While all guests sleep, emulated time passes like the host's: for tests in which a guest waits for the
    /// host. While a guest is busy it may pass faster in QEMU, whose clock counts instructions; in Bochs it never
    /// does.
    RealTime,
}

/// What is on the far side of a physical NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A tap interface of the network namespace.
    Tap(String),
    /// A network inside the emulator, 10.0.5.0/24, in which 10.0.5.1 answers ping and serves the boot file by DHCP
    /// and TFTP.
    Server,
    /// All other NICs of the machine whose far side is this one. Bochs has none, and leaves them alone.
    Hub,
    /// Nothing.
    Null,
}

/// The model of an emulated NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EmulatedNicModel {
    /// 82540EM (8086:100e).
    E1000,
    /// 82545EM (8086:100f).
    E1000Copper,
    /// 82574L (8086:10d3).
    E1000e,
    /// 82576 (8086:10c9).
    Igb,
    /// A NIC for which Weir has no driver: virtio (1af4:1000).
    Virtio,
}

impl EmulatedNicModel {
    /// Its name in QEMU and in the tests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::E1000 => "e1000",
            Self::E1000Copper => "e1000-82545em",
            Self::E1000e => "e1000e",
            Self::Igb => "igb",
            Self::Virtio => "virtio-net-pci",
        }
    }
}

impl fmt::Display for EmulatedNicModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A physical NIC of the emulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedNic {
    /// Its model.
    pub model: EmulatedNicModel,
    /// Its MAC address, as six hexadecimal numbers joined by colons.
    pub mac: String,
    /// Its far side.
    pub wire: Wire,
    /// QEMU's name of the bridge that it is behind, if it is not on the first bus.
    pub behind: Option<&'static str>,
}

impl EmulatedNic {
    /// The address of the NIC with this index.
    #[must_use]
    pub fn mac_of(index: usize) -> String {
        format!("52:54:00:00:00:{:02x}", index + 1)
    }

    /// The NIC with this index, on the tap with the same index: 52:54:00:00:00:01 on `tap0`.
    #[must_use]
    pub fn on_tap(index: usize, model: EmulatedNicModel) -> Self {
        let mac = Self::mac_of(index);
        Self { model, mac, wire: Wire::Tap(format!("tap{index}")), behind: None }
    }
}

/// The chipset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chipset {
    /// Intel 440FX: PCI, no PCI Express.
    I440fx,
    /// Intel Q35: PCI Express.
    Q35,
}

/// What boots the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS, from a disk.
    Bios,
    /// UEFI (OVMF), from a disk.
    Uefi,
    /// UEFI (OVMF), from the network by its own PXE, over an additional NIC that serves only this purpose.
    Pxe,
    /// UEFI (OVMF), from the network by the iPXE in the option ROM of the NICs on a [`Wire::Server`].
    Ipxe,
    /// A BIOS, from the network by the iPXE in the option ROM of the NICs on a [`Wire::Server`].
    BiosIpxe,
}

impl Firmware {
    /// The option of `boot image` that builds its boot file.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Bios => "--bios",
            Self::Uefi => "--uefi",
            Self::Pxe | Self::Ipxe => "--pxe",
            Self::BiosIpxe => "--bzimage",
        }
    }

    /// The file that `boot image` builds with that option.
    #[must_use]
    pub fn image(self) -> &'static str {
        match self {
            Self::Bios => "weir-bios.img",
            Self::Uefi => "weir-uefi.img",
            Self::Pxe | Self::Ipxe => "pxe/weir.efi",
            Self::BiosIpxe => "pxe/weir.bzimage",
        }
    }

    /// True when the image is a disk of the machine.
    #[must_use]
    pub fn has_disk(self) -> bool {
        matches!(self, Self::Bios | Self::Uefi)
    }

    /// True for UEFI.
    #[must_use]
    pub fn is_uefi(self) -> bool {
        !matches!(self, Self::Bios | Self::BiosIpxe)
    }
}

/// The emulated machine.
#[derive(Clone, Debug)]
pub struct EmulatedMachine {
    /// Memory in MiB.
    pub memory: u32,
    /// How much of it is below 4 GiB, in MiB, if not all that fits: the rest is above.
    pub low_memory: Option<u32>,
    /// Number of processors.
    pub cpus: u32,
    /// Threads of each core, of which `cpus` counts all.
    pub threads: u32,
    /// How emulated time passes.
    pub pace: Pace,
    /// Its chipset.
    pub chipset: Chipset,
    /// What boots the image.
    pub firmware: Firmware,
    /// Whether it has a serial port.
    pub serial: bool,
    /// Its NICs, in the order of their places on the bus.
    pub nics: Vec<EmulatedNic>,
    /// The LAN that its NICs are on, if not each is alone with a peer of its own.
    pub lan: Option<LanPlan>,
    /// Whether QEMU has a device whose memory can take the place of a NIC's registers.
    pub faulty_nics: bool,
    /// The emulator's name of the processor model, where it differs from the backend's default.
    pub cpu_model: Option<&'static str>,
    /// Whether a reset boots it again. If not, QEMU ends on a reset, and the run fails; Bochs resets in either
    /// case.
    pub resets: bool,
    /// ACPI tables in place of QEMU's own.
    pub tables: Option<FirmwareTables>,
    /// How else QEMU divides the processors: what follows their number and that of threads.
    pub topology: &'static str,
    /// Further arguments of QEMU, which stand before the NICs.
    pub qemu: Vec<String>,
    /// Commands of Bochs' debugger, a line each, in place of the one to go on until the machine ends.
    pub bochs: Option<String>,
}

impl Default for EmulatedMachine {
    fn default() -> Self {
        Self {
            memory: 512,
            low_memory: None,
            cpus: 1,
            threads: 1,
            pace: Pace::RealTime,
            chipset: Chipset::I440fx,
            firmware: Firmware::Bios,
            serial: true,
            nics: vec![EmulatedNic::on_tap(0, EmulatedNicModel::E1000)],
            lan: None,
            faulty_nics: false,
            cpu_model: None,
            resets: false,
            tables: None,
            topology: "",
            qemu: Vec::new(),
            bochs: None,
        }
    }
}

impl EmulatedMachine {
    /// The names of the taps that its NICs are on.
    #[must_use]
    pub fn taps(&self) -> Vec<&str> {
        self.nics
            .iter()
            .filter_map(|nic| match &nic.wire {
                Wire::Tap(name) => Some(name.as_str()),
                Wire::Server | Wire::Hub | Wire::Null => None,
            })
            .collect()
    }
}
