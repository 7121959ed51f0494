//! Message-signalled interrupts of PCI functions, MSI and MSI-X [PCI 3.0 6.8].

use crate::hardware::interrupt::local_apic;
use crate::hardware::pci::{PciConfiguration, PciFunction};
use crate::memory::PageFrames;
use crate::memory::window::{self, WindowError};
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use pci_types::capability::{MsiCapability, MsixCapability, MultipleMessageSupport, PciCapability};

/// Bytes of an entry of the MSI-X table: address, upper address, data, vector control [PCI 3.0 6.8.2].
const ENTRY: u64 = 16;

/// A message that raises a vector on one processor [SDM3A 11.11].
#[derive(Clone, Copy, Debug)]
pub struct MsiMessage {
    address: u32,
    data: u32,
}

impl MsiMessage {
    /// A message that raises `vector` on this processor: fixed, edge. `None` when the processor's id does not fit
    /// into an address, in which 255 means all processors.
    pub fn to_this_processor(vector: u8) -> Option<Self> {
        let id = u8::try_from(local_apic::id()).ok().filter(|id| *id != 255)?;
        Some(Self { address: 0xfee0_0000 | u32::from(id) << 12, data: vector.into() })
    }
}

impl PciFunction {
    /// Sets `message` for each of the first `entries` entries of the function's MSI-X table and enables MSI-X.
    /// Returns false if it has no table of that length in memory.
    ///
    /// # Errors
    /// When the table cannot be mapped.
    pub fn send_msix(
        &self,
        frames: &mut PageFrames,
        message: MsiMessage,
        entries: u64,
    ) -> Result<bool, WindowError> {
        let Some(mut msix) = self.msix().filter(|msix| u64::from(msix.table_size()) >= entries) else {
            return Ok(false);
        };
        let offset = u64::from(msix.table_offset());
        let Some((at, bytes)) = self.memory_bar(msix.table_bar()) else { return Ok(false) };
        if offset.checked_add(entries * ENTRY).is_none_or(|end| end > bytes) {
            return Ok(false);
        }
        let mut table = window::map(frames, HostPhysical(at.0 + offset), entries * ENTRY)?;
        // All interrupts are masked while the entries change [PCI 3.0 6.8.3.1].
        msix.set_function_mask(true, PciConfiguration);
        msix.set_enabled(true, PciConfiguration);
        for entry in 0..entries {
            let start = to_usize(entry * ENTRY);
            for (offset, value) in [(0, message.address), (4, 0), (8, message.data), (12, 0)] {
                table.write(start + offset, value);
            }
        }
        msix.set_function_mask(false, PciConfiguration);
        Ok(true)
    }

    /// Sets `message` and enables MSI. Returns false if the function has no MSI.
    pub fn send_msi(&self, message: MsiMessage) -> bool {
        let Some(msi) = self.msi() else { return false };
        msi.set_message_info(message.address.into(), message.data, PciConfiguration);
        msi.set_multiple_message_enable(MultipleMessageSupport::Int1, PciConfiguration);
        msi.set_enabled(true, PciConfiguration);
        true
    }

    /// Disables MSI and MSI-X, which a driver of the firmware may have enabled: the function uses its interrupt
    /// line.
    pub fn send_none(&self) {
        if let Some(mut msix) = self.msix() {
            msix.set_enabled(false, PciConfiguration);
        }
        if let Some(msi) = self.msi() {
            msi.set_enabled(false, PciConfiguration);
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
