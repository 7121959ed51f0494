//! The emulated machine, in words that every emulator understands.

use std::fmt;

/// How emulated time relates to the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it goes; while all guests sleep, emulated time runs far ahead of the host's. QEMU without
    /// `-icount` has the host's time only: there it is [`RealTime`](Self::RealTime).
    Free,
    /// As fast as it goes, with a clock so fast that timers, which are Weir's and the guests' own, hardly come in
    /// between: for counting instructions. In Bochs the same run twice takes the same instructions. QEMU's clock is as
    /// fast with [`Free`](Self::Free).
    Counted,
    /// While all guests sleep, emulated time passes as the host's does: for tests in which a guest waits for the host.
    /// While one is busy it may pass faster in QEMU, which has a clock of instructions; in Bochs it never does.
    RealTime,
}

/// What is on the far side of a physical card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A tap interface of the network namespace.
    Tap(String),
    /// A network of the emulator's own, 10.0.5.0/24, in which 10.0.5.1 answers ping and gives the machine what it
    /// starts from by DHCP and TFTP.
    Server,
    /// Nothing.
    Null,
}

/// Which card it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CardModel {
    /// 82540EM (8086:100e).
    E1000,
    /// 82545EM (8086:100f).
    E1000Copper,
    /// 82574L (8086:10d3).
    E1000e,
    /// 82576 (8086:10c9).
    Igb,
    /// A card that Weir has no driver for: virtio (1af4:1000).
    Virtio,
}

impl CardModel {
    /// What QEMU calls it, and the tests.
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

impl fmt::Display for CardModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A physical card of the emulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Which it is.
    pub model: CardModel,
    /// Its address, as six hexadecimal numbers joined by colons.
    pub mac: String,
    /// Its far side.
    pub wire: Wire,
}

impl Card {
    /// The card with this index, on the tap with the same: 52:54:00:00:00:01 on `tap0`.
    #[must_use]
    pub fn on_tap(index: usize, model: CardModel) -> Self {
        let mac = format!("52:54:00:00:00:{:02x}", index + 1);
        Self { model, mac, wire: Wire::Tap(format!("tap{index}")) }
    }
}

/// The chipset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Intel 440FX: PCI, no PCI Express.
    I440fx,
    /// Intel Q35: PCI Express.
    Q35,
}

/// What starts the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS, from a disk.
    Bios,
    /// UEFI (OVMF), from a disk.
    Uefi,
    /// UEFI (OVMF), from the network by its own PXE, over a card that is there for this only.
    Pxe,
    /// UEFI (OVMF), from the network by the iPXE in the ROM of the cards that are on a [`Wire::Server`].
    Ipxe,
}

impl Firmware {
    /// The option of `boot image` that makes what it starts from.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Bios => "--bios",
            Self::Uefi => "--uefi",
            Self::Pxe | Self::Ipxe => "--pxe",
        }
    }

    /// What `boot image` makes then.
    #[must_use]
    pub fn image(self) -> &'static str {
        match self {
            Self::Bios => "weir-bios.img",
            Self::Uefi => "weir-uefi.img",
            Self::Pxe | Self::Ipxe => "pxe/weir.efi",
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
        self != Self::Bios
    }
}

/// The emulated machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// How time passes.
    pub pace: Pace,
    /// Its chipset.
    pub board: Board,
    /// What starts the image.
    pub firmware: Firmware,
    /// Whether there is a serial port.
    pub serial: bool,
    /// Its network cards, in the order of their places on the bus.
    pub cards: Vec<Card>,
    /// The processor's model in the emulator's words, where the backend's usual one is not wanted.
    pub cpu_model: Option<&'static str>,
    /// A reset starts it anew. Where it is not to, QEMU ends with a reset, which is a failure then; Bochs does not.
    pub resets: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory: 512,
            cpus: 1,
            pace: Pace::RealTime,
            board: Board::I440fx,
            firmware: Firmware::Bios,
            serial: true,
            cards: vec![Card::on_tap(0, CardModel::E1000)],
            cpu_model: None,
            resets: false,
        }
    }
}

impl Machine {
    /// The taps that its cards are on.
    #[must_use]
    pub fn taps(&self) -> Vec<&str> {
        self.cards
            .iter()
            .filter_map(|card| match &card.wire {
                Wire::Tap(name) => Some(name.as_str()),
                Wire::Server | Wire::Null => None,
            })
            .collect()
    }
}
