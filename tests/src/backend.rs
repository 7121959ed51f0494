//! Under what Weir can run here: an emulator, and the virtualization extension that it offers.

use crate::machine::{Board, CardModel, Firmware};
use crate::qemu::Accelerator;
use crate::{bochs, choice, probe, qemu};
use std::fmt;
use std::path::Path;

/// An emulator with a virtualization extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// QEMU on the host's VT-x, nested.
    KvmVtx,
    /// QEMU on the host's SVM, nested.
    KvmSvm,
    /// QEMU, emulating SVM.
    QemuSvm,
    /// Bochs, emulating VT-x.
    BochsVtx,
    /// Bochs, emulating SVM.
    BochsSvm,
}

/// Why a backend leaves Linux to others.
const SLOW: &str = "too slow for every run: other backends have it, and so has this one where ACCEL names it";

/// What a test may need of a backend that not every one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This card.
    Card(CardModel),
    /// So many cards.
    Cards(usize),
    /// This chipset.
    Board(Board),
    /// This firmware.
    Firmware(Firmware),
    /// The cable can be pulled.
    Cable,
    /// The screen can be read.
    Screen,
    /// Frames of more than 1514 bytes come in from the wire.
    JumboFromWire,
    /// A guest's triple fault ends the guest.
    Shutdown,
    /// An interrupt of the machine ends the run of a guest that has interrupts off.
    InterruptWhileOff,
    /// A boot of Linux, with its minutes of traffic.
    LinuxBoot,
    /// A second boot of Linux takes no more than a minute or two.
    MoreLinuxBoots,
}

/// All of them, fastest first.
pub const ALL: [Backend; 5] =
    [Backend::KvmVtx, Backend::KvmSvm, Backend::QemuSvm, Backend::BochsVtx, Backend::BochsSvm];

impl Backend {
    /// Its name in tests and in `ACCEL`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KvmVtx => "kvm-vtx",
            Self::KvmSvm => "kvm-svm",
            Self::QemuSvm => "qemu-svm",
            Self::BochsVtx => "bochs-vtx",
            Self::BochsSvm => "bochs-svm",
        }
    }

    /// What it is.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::KvmVtx => "QEMU with nested KVM, VT-x of this machine",
            Self::KvmSvm => "QEMU with nested KVM, SVM of this machine",
            Self::QemuSvm => "QEMU emulates SVM",
            Self::BochsVtx => "Bochs emulates VT-x",
            Self::BochsSvm => "Bochs emulates SVM",
        }
    }

    /// How QEMU executes instructions; nothing for Bochs.
    #[must_use]
    pub fn accelerator(self) -> Option<Accelerator> {
        match self {
            Self::KvmVtx | Self::KvmSvm => Some(Accelerator::Kvm),
            Self::QemuSvm => Some(Accelerator::Tcg),
            Self::BochsVtx | Self::BochsSvm => None,
        }
    }

    /// The usual processor model.
    #[must_use]
    pub fn cpu_model(self) -> &'static str {
        match self {
            Self::BochsVtx => bochs::VTX_MODEL,
            Self::BochsSvm => bochs::SVM_MODEL,
            Self::KvmVtx | Self::KvmSvm => Accelerator::Kvm.cpu_model(),
            Self::QemuSvm => Accelerator::Tcg.cpu_model(),
        }
    }

    /// Whether it works here, found out by trying.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::KvmVtx | Self::KvmSvm => match probe::nested_kvm() {
                Ok(found) if found == self => Ok(()),
                Ok(found) => Err(format!("this machine has {found}")),
                Err(reason) => Err(reason),
            },
            Self::QemuSvm => qemu::program().map(drop).map_err(|failure| failure.to_string()),
            Self::BochsVtx | Self::BochsSvm if Path::new(bochs::BIOS).exists() => Ok(()),
            Self::BochsVtx | Self::BochsSvm => Err("Bochs is not installed: run `make setup`".into()),
        }
    }

    /// Why it cannot have what a test needs; nothing if it can.
    #[must_use]
    pub fn lacks(self, need: Need) -> Option<&'static str> {
        let is_bochs = self.accelerator().is_none();
        match need {
            Need::Card(CardModel::E1000) | Need::Board(Board::I440fx) | Need::Firmware(Firmware::Bios) => {
                None
            }
            Need::Card(_) => is_bochs.then_some("of these cards Bochs has the 82540EM only"),
            Need::Cards(count) => {
                (is_bochs && count > bochs::MAX_CARDS).then_some("Bochs has no more than four cards")
            }
            Need::Board(Board::Q35) => is_bochs.then_some("Bochs has no Q35"),
            Need::Firmware(_) => is_bochs.then_some("Bochs does not run OVMF"),
            Need::Cable => is_bochs.then_some("Bochs has no cable to pull"),
            Need::Screen => is_bochs.then_some("Bochs shows its screen to nobody here"),
            Need::JumboFromWire => is_bochs.then_some("Bochs takes no frame over 1514 bytes from a tap"),
            Need::Shutdown => (self == Self::BochsSvm)
                .then_some("Bochs 2.7 ends itself at a guest's triple fault, though SVM intercepts it"),
            Need::InterruptWhileOff => (self == Self::BochsSvm).then_some(
                "Bochs 2.7 takes no interrupt while a guest runs that was entered with RFLAGS.IF clear",
            ),
            Need::LinuxBoot => (self == Self::BochsSvm && !choice::asks_for(self)).then_some(SLOW),
            Need::MoreLinuxBoots => (is_bochs && !choice::asks_for(self)).then_some(SLOW),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
