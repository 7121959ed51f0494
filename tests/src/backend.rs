//! What Weir can run on here: an emulator and the virtualization extension that it provides.

use crate::machine::{Chipset, EmulatedNicModel, Firmware};
use crate::qemu::Accelerator;
use crate::{bochs, choice, probe, qemu};
use std::fmt;
use std::path::Path;

/// An emulator with a virtualization extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// QEMU with nested KVM on the host's VT-x.
    KvmVtx,
    /// QEMU with nested KVM on the host's SVM.
    KvmSvm,
    /// QEMU, emulating SVM.
    QemuSvm,
    /// Bochs, emulating VT-x.
    BochsVtx,
    /// Bochs, emulating SVM.
    BochsSvm,
}

/// Why a backend does not boot Linux.
const SLOW: &str = "too slow for every run: other backends run it, and so does this one if ACCEL names it";

/// A feature that a test may need and not every backend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This NIC model.
    Nic(EmulatedNicModel),
    /// This number of NICs.
    Nics(usize),
    /// This chipset.
    Chipset(Chipset),
    /// This firmware.
    Firmware(Firmware),
    /// Memory above 4 GiB, on a machine with little of it.
    HighMemory,
    /// The cable can be unplugged.
    Cable,
    /// A NIC can be made faulty.
    NicFaults,
    /// Machine checks can be caused.
    MachineCheck,
    /// The screen can be read.
    Screen,
    /// Frames of more than 1514 bytes can be received from the wire.
    JumboFromWire,
    /// A guest's triple fault causes a VM exit.
    Shutdown,
    /// A physical interrupt causes a VM exit even while the guest has interrupts disabled.
    InterruptWhileOff,
    /// A guest is started within a slice, apart from its images.
    Speed,
    /// Nothing but Weir takes the processor from its guests, so that milliseconds and parts of a core can be measured.
    Undisturbed,
    /// A guest can step over an instruction that exits, one at a time.
    StepOverExit,
    /// A guest that sets a reserved bit of CR3 gets #GP.
    ReservedCr3,
    /// The processor tells which of its kind are threads of one core.
    Threads,
    /// One boot of Linux, with minutes of traffic.
    LinuxBoot,
    /// Further boots of Linux, which must take no more than a minute or two each.
    MoreLinuxBoots,
}

/// All backends, fastest first.
pub const ALL: [Backend; 5] =
    [Backend::KvmVtx, Backend::KvmSvm, Backend::QemuSvm, Backend::BochsVtx, Backend::BochsSvm];

impl Backend {
    /// Its name in test names and in `ACCEL`.
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

    /// A description for the user.
    #[must_use]
    pub fn description(self) -> String {
        match self {
            Self::KvmVtx => "QEMU with nested KVM on this machine's VT-x".into(),
            Self::KvmSvm => "QEMU with nested KVM on this machine's SVM".into(),
            Self::QemuSvm => "QEMU emulates SVM".into(),
            Self::BochsVtx => format!("{} emulates VT-x", bochs::description()),
            Self::BochsSvm => format!("{} emulates SVM", bochs::description()),
        }
    }

    /// How QEMU executes instructions; `None` for Bochs.
    #[must_use]
    pub fn accelerator(self) -> Option<Accelerator> {
        match self {
            Self::KvmVtx | Self::KvmSvm => Some(Accelerator::Kvm),
            Self::QemuSvm => Some(Accelerator::Tcg),
            Self::BochsVtx | Self::BochsSvm => None,
        }
    }

    /// The default processor model.
    #[must_use]
    pub fn cpu_model(self) -> &'static str {
        match self {
            Self::BochsVtx => bochs::VTX_MODEL,
            Self::BochsSvm => bochs::SVM_MODEL,
            Self::KvmVtx | Self::KvmSvm => Accelerator::Kvm.cpu_model(),
            Self::QemuSvm => Accelerator::Tcg.cpu_model(),
        }
    }

    /// Checks by trying whether it works here.
    ///
    /// # Errors
    /// The reason why it does not.
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

    /// True where two cores of one thread each look like two threads of one core. In Bochs 3.0, leaf 0Bh says that one bit
    /// of a local APIC's id numbers the threads, also where a core has one thread, and ids without gaps.
    #[must_use]
    pub fn calls_cores_threads(self) -> bool {
        self == Self::BochsVtx && bochs::is_3()
    }

    /// Why it cannot provide what a test needs; `None` if it can.
    #[must_use]
    pub fn lacks(self, need: Need) -> Option<&'static str> {
        let is_bochs = self.accelerator().is_none();
        let is_kvm = self.accelerator() == Some(Accelerator::Kvm);
        match need {
            Need::Nic(EmulatedNicModel::E1000)
            | Need::Chipset(Chipset::I440fx)
            | Need::Firmware(Firmware::Bios) => None,
            Need::Nic(_) => is_bochs.then_some("the only one of these NICs that Bochs has is the 82540EM"),
            Need::Nics(count) => {
                (is_bochs && count > bochs::MAX_NICS).then_some("Bochs has at most four NICs")
            }
            Need::Chipset(Chipset::Q35) => is_bochs.then_some("Bochs has no Q35"),
            Need::Firmware(Firmware::BiosIpxe) => is_bochs.then_some("Bochs has no iPXE here"),
            Need::Firmware(_) => is_bochs.then_some("Bochs does not run OVMF"),
            Need::HighMemory => is_bochs.then_some("Bochs has memory above 4 GiB only behind 3 GiB below"),
            Need::Cable => is_bochs.then_some("Bochs has no cable to unplug"),
            Need::NicFaults => is_bochs.then_some("no monitor of Bochs reaches its NICs"),
            // KVM raises them only where the host's processor has the registers that QEMU writes.
            Need::MachineCheck => {
                (self != Self::QemuSvm).then_some("only QEMU's TCG raises machine checks on demand")
            }
            Need::Screen => is_bochs.then_some("the screen of Bochs cannot be read here"),
            Need::JumboFromWire => is_bochs.then_some("Bochs drops frames over 1514 bytes from a tap"),
            Need::Shutdown => (self == Self::BochsSvm && !bochs::is_3())
                .then_some("Bochs 2.7 terminates on a guest's triple fault, although SVM intercepts it"),
            // KVM ends the run of a nested guest by an interrupt, also where the guest's hypervisor has a preemption timer.
            Need::InterruptWhileOff if choice::is_emulated() => {
                is_kvm.then_some("KVM does not end the run of a nested guest that has interrupts off here")
            }
            Need::InterruptWhileOff => (self == Self::BochsSvm).then_some(
                "Bochs takes no physical interrupt while a guest that was entered with RFLAGS.IF clear runs",
            ),
            Need::Speed => is_bochs
                .then_some("Bochs' processor of 50 MHz starts even the smallest guest in more than a slice"),
            Need::Undisturbed => (is_kvm && choice::is_emulated())
                .then_some("in this emulated machine, KVM takes milliseconds from one guest to the next"),
            Need::StepOverExit => (self == Self::BochsSvm).then_some(
                "Bochs keeps a guest's trace trap across a VM exit, and takes it again and again in the hypervisor",
            ),
            // QEMU below KVM, too.
            Need::ReservedCr3 => (self == Self::QemuSvm || self == Self::KvmSvm && choice::is_emulated())
                .then_some("QEMU ends the guest's run with an exit of code -1 instead of #GP"),
            Need::Threads => (self == Self::BochsSvm)
                .then_some("Bochs' ryzen calls each of its threads a core (leaf 8000001Eh)"),
            Need::LinuxBoot => (self == Self::BochsSvm && !choice::is_requested(self)).then_some(SLOW),
            Need::MoreLinuxBoots => {
                ((is_bochs || choice::is_emulated()) && !choice::is_requested(self)).then_some(SLOW)
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
