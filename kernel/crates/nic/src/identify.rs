//! The NICs for which there are drivers, by PCI identity. `docs/hardware.md` shows the same table.

use crate::PciId;
use crate::chip::{BringUp, InterruptControl, NicChip};
use crate::e1000::E1000Chip;
use crate::e1000e::E1000eChip;
use crate::igb::IgbChip;
use intel_regs::pci::VENDOR_INTEL;
use intel_regs::phy::PAGE_SELECT_I210;

/// A family of NICs with one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 82540EM, 82545EM.
    E1000,
    /// 82574.
    E1000e,
    /// 82576, I210, I350.
    Igb,
}

impl Family {
    /// The name of the driver.
    #[must_use]
    pub fn driver(self) -> &'static str {
        match self {
            Self::E1000 => E1000Chip::NAME,
            Self::E1000e => E1000eChip::NAME,
            Self::Igb => IgbChip::NAME,
        }
    }

    /// True when ASPM must be off on the NIC's link: the 82574 stops under load with it (specification update).
    #[must_use]
    pub fn forbids_aspm(self) -> bool {
        self == Self::E1000e
    }

    /// True when the NICs of this family are trusted with MSI and MSI-X if their PCI header offers them.
    #[must_use]
    pub fn has_messages(self) -> bool {
        match self {
            Self::E1000 => E1000Chip::MESSAGES,
            Self::E1000e => E1000eChip::MESSAGES,
            Self::Igb => IgbChip::MESSAGES,
        }
    }
}

/// How a driver was verified with one model of NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The tests run on the models of the NIC in these emulators.
    RunOn(&'static str),
    /// It follows the manual and was not tested.
    ManualOnly,
}

/// A model of NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicModel {
    /// Device ID; the vendor is Intel.
    pub device: u16,
    /// Name of the model.
    pub name: &'static str,
    /// Family, which determines the driver.
    pub family: Family,
    /// How the driver was verified with it.
    pub evidence: Evidence,
}

impl NicModel {
    /// True when the NIC has Energy Efficient Ethernet: the I350 and later.
    pub(crate) fn has_eee(&self) -> bool {
        self.device == DEVICE_I350 || self.is_i210()
    }
}

impl NicModel {
    /// True for the I210 and I211.
    pub(crate) fn is_i210(&self) -> bool {
        matches!(self.device, DEVICE_I210 | DEVICE_I211 | DEVICE_I210_FLASHLESS)
    }

    /// The register of the PHY that selects a page, if registers 0 to 15 are not the same on all pages: that of the I210
    /// and I211.
    pub(crate) fn phy_page_register(&self) -> Option<u32> {
        self.is_i210().then_some(PAGE_SELECT_I210)
    }
}

/// Device IDs of the models that have features of their own.
const DEVICE_I350: u16 = 0x1521;
const DEVICE_I210: u16 = 0x1533;
const DEVICE_I211: u16 = 0x1539;
const DEVICE_I210_FLASHLESS: u16 = 0x157b;

const fn model(device: u16, name: &'static str, family: Family, evidence: Evidence) -> NicModel {
    NicModel { device, name, family, evidence }
}

/// All NICs with a driver, in the order of their device IDs. Copper ports only: those for fibre and backplanes
/// are brought up differently.
pub const MODELS: [NicModel; 12] = [
    model(0x100e, "82540EM", Family::E1000, Evidence::RunOn("Bochs, QEMU")),
    model(0x100f, "82545EM", Family::E1000, Evidence::RunOn("QEMU")),
    model(0x10c9, "82576", Family::Igb, Evidence::RunOn("QEMU")),
    model(0x10d3, "82574L", Family::E1000e, Evidence::RunOn("QEMU")),
    model(0x10e8, "82576 quad port", Family::Igb, Evidence::ManualOnly),
    model(0x10f6, "82574LA", Family::E1000e, Evidence::ManualOnly),
    model(0x150a, "82576NS", Family::Igb, Evidence::ManualOnly),
    model(DEVICE_I350, "I350", Family::Igb, Evidence::ManualOnly),
    model(0x1526, "82576 ET2 quad port", Family::Igb, Evidence::ManualOnly),
    model(DEVICE_I210, "I210", Family::Igb, Evidence::ManualOnly),
    model(DEVICE_I211, "I211", Family::Igb, Evidence::ManualOnly),
    model(DEVICE_I210_FLASHLESS, "I210 without flash", Family::Igb, Evidence::ManualOnly),
];

/// The model with this identity; `None` when there is no driver for it.
///
/// ```
/// use nic::{Family, PciId, identify};
///
/// let model = identify(PciId { vendor: 0x8086, device: 0x10d3 }).expect("an 82574L has a driver");
/// assert_eq!((model.name, model.family), ("82574L", Family::E1000e));
/// assert_eq!(identify(PciId { vendor: 0x1af4, device: 0x1000 }), None);
/// ```
#[must_use]
pub fn identify(id: PciId) -> Option<&'static NicModel> {
    MODELS.iter().find(|model| id == PciId { vendor: VENDOR_INTEL, device: model.device })
}

/// The end of the memory that the NIC with this identity reaches by DMA: what [`crate::NicHost::allocate`] hands
/// out must be below.
#[must_use]
pub fn dma_limit(id: PciId) -> u64 {
    identify(id).map_or(0, |model| match model.family {
        Family::E1000 => E1000Chip::DMA_LIMIT,
        Family::E1000e => E1000eChip::DMA_LIMIT,
        Family::Igb => IgbChip::DMA_LIMIT,
    })
}

/// True when the NIC with this identity waits too short a time for a completion on PCI Express, unless Device Control 2
/// says otherwise: the 82576.
#[must_use]
pub fn gives_up_early(id: PciId) -> bool {
    identify(id).is_some_and(|model| model.family == Family::Igb && !model.has_eee())
}

/// True when the NIC with this identity is reset through its I/O window if it has one: see [`crate::NicHost::write_io`].
#[must_use]
pub fn uses_ports(id: PciId) -> bool {
    identify(id).is_some_and(|model| model.family == Family::E1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn nics_of_conventional_pci_are_kept_below_4_gib() {
        let limit = |device| dma_limit(PciId { vendor: VENDOR_INTEL, device });
        assert_eq!([0x100e, 0x100f, 0x10d3, 0x1533].map(limit), [1 << 32, 1 << 32, 1 << 52, 1 << 52]);
        assert_eq!(limit(0xffff), 0, "no driver, no memory");
    }

    #[test]
    fn only_the_82576_gives_up_on_completions_early() {
        let early =
            MODELS.iter().filter(|m| gives_up_early(PciId { vendor: VENDOR_INTEL, device: m.device }));
        assert!(early.map(|model| model.name).all(|name| name.starts_with("82576")));
        assert!(gives_up_early(PciId { vendor: VENDOR_INTEL, device: 0x10c9 }));
    }

    #[test]
    fn only_nics_of_conventional_pci_use_their_ports() {
        let users = MODELS.iter().filter(|m| uses_ports(PciId { vendor: VENDOR_INTEL, device: m.device }));
        assert!(users.map(|model| model.device).eq([0x100e, 0x100f]));
    }

    #[test]
    fn device_ids_are_in_order_and_unique() {
        assert!(MODELS.is_sorted_by(|a, b| a.device < b.device));
    }

    #[test]
    fn a_device_of_another_vendor_has_no_driver() {
        assert_eq!(identify(PciId { vendor: 0x8086, device: 0x10d3 }).map(|m| m.name), Some("82574L"));
        assert_eq!(identify(PciId { vendor: 0x1af4, device: 0x10d3 }), None);
    }

    #[test]
    fn the_page_on_hardware_shows_the_same_table() {
        let page = include_str!("../../../../docs/hardware.md");
        let rows = page.lines().filter(|line| line.starts_with("| 8086:")).count();
        assert_eq!(rows, MODELS.len());
        for model in MODELS {
            let evidence = match model.evidence {
                Evidence::RunOn(emulators) => format!("run on {emulators}"),
                Evidence::ManualOnly => "by the manual".into(),
            };
            let NicModel { device, name, family, .. } = model;
            let row = format!("| 8086:{device:04x} | {name} | `{}` | {evidence}", family.driver());
            assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }
}
