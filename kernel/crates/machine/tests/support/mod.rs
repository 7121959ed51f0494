//! What the tests share.

use base::HostPhysical;
use machine::FirmwareMemory;

/// Memory from [`START`] on.
pub struct Memory(pub Vec<u8>);

pub const START: usize = 0x1000;

impl<'a> FirmwareMemory<'a> for &'a Memory {
    fn bytes(&self, at: HostPhysical, length: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(at.0).ok()?.checked_sub(START)?;
        self.0.get(start..start.checked_add(length)?)
    }
}
