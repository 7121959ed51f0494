//! Message-signalled interrupts of PCI functions, MSI and MSI-X [PCI 3.0 6.8].

use crate::{BusFunction, PciAccess};
use base::HostPhysical;
use pci_types::capability::{MsiCapability, MsixCapability, MultipleMessageSupport, PciCapability};

/// Bytes of an entry of the MSI-X table: address, upper address, data, vector control [PCI 3.0 6.8.2].
const ENTRY: u64 = 16;

/// A message that raises a vector on one processor [SDM3A 11.11].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    address: u32,
    data: u32,
}

impl MsiMessage {
    /// A message that raises `vector` on the processor with this APIC id: fixed, edge. `None` when the id does not fit
    /// into an address, in which 255 means all processors.
    #[must_use]
    pub fn to_processor(apic_id: u32, vector: u8) -> Option<Self> {
        let id = u8::try_from(apic_id).ok().filter(|id| *id != 255)?;
        Some(Self { address: 0xfee0_0000 | u32::from(id) << 12, data: vector.into() })
    }
}

impl<A: PciAccess> BusFunction<A> {
    /// The place and length in bytes of the first `entries` entries of the function's MSI-X table. `None` if it has no
    /// table of that length in memory.
    pub fn msix_table(&self, entries: u64) -> Option<(HostPhysical, u64)> {
        let msix = self.msix().filter(|msix| u64::from(msix.table_size()) >= entries)?;
        let offset = u64::from(msix.table_offset());
        let (at, bytes) = self.memory_bar(msix.table_bar())?;
        let length = entries * ENTRY;
        (offset.checked_add(length)? <= bytes).then_some((HostPhysical(at.0 + offset), length))
    }

    /// Sets `message` for each of the first `entries` entries of the function's MSI-X table, to whose bytes `write`
    /// writes, and enables MSI-X.
    pub fn send_msix(&self, message: MsiMessage, entries: usize, mut write: impl FnMut(usize, u32)) {
        let Some(mut msix) = self.msix() else { return };
        // All interrupts are masked while the entries change [PCI 3.0 6.8.3.1].
        msix.set_function_mask(true, self.access);
        msix.set_enabled(true, self.access);
        for start in (0..entries).map(|entry| entry * 16) {
            for (offset, value) in [(0, message.address), (4, 0), (8, message.data), (12, 0)] {
                write(start + offset, value);
            }
        }
        msix.set_function_mask(false, self.access);
    }

    /// Sets `message` and enables MSI. Returns false if the function has no MSI.
    pub fn send_msi(&self, message: MsiMessage) -> bool {
        let Some(msi) = self.msi() else { return false };
        msi.set_message_info(message.address.into(), message.data, self.access);
        msi.set_multiple_message_enable(MultipleMessageSupport::Int1, self.access);
        msi.set_enabled(true, self.access);
        true
    }

    /// Disables MSI and MSI-X, which a driver of the firmware may have enabled: the function uses its interrupt
    /// line.
    pub fn send_none(&self) {
        if let Some(mut msix) = self.msix() {
            msix.set_enabled(false, self.access);
        }
        if let Some(msi) = self.msi() {
            msi.set_enabled(false, self.access);
        }
    }

    fn msix(&self) -> Option<MsixCapability> {
        self.find_capability(|capability| match capability {
            PciCapability::MsiX(msix) => Some(msix),
            _ => None,
        })
    }

    fn msi(&self) -> Option<MsiCapability> {
        self.find_capability(|capability| match capability {
            PciCapability::Msi(msi) => Some(msi),
            _ => None,
        })
    }
}
