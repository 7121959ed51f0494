//! The semaphores in SWSM that guard SW_FW_SYNC [I210 4.6.1, 8.7.1].

use crate::NicRegisters;
use base::time::Duration;
use intel_regs::igb::{SWSM, Swsm};

/// After this time SMBI was left by a predecessor that did not release it: whoever holds it does so for some
/// microseconds, and Weir's own drivers hold it within one call only.
const STALE: Duration = Duration::from_millis(20);

/// Both semaphores, held.
pub(super) struct Semaphore;

impl Semaphore {
    /// Asks for both semaphores once: the one of software, which a read takes, then that of firmware. The request
    /// for the latter is lost while firmware holds it, so that each turn makes it anew, and holds nothing
    /// between two turns. SWSM has been the same for `unchanged`.
    ///
    /// # Errors
    /// The value of SWSM when one of them is taken.
    pub(super) fn take<R: NicRegisters>(registers: &mut R, unchanged: Duration) -> Result<Self, u32> {
        let semaphore = registers.read(SWSM);
        if semaphore & Swsm::SMBI.bits() != 0 {
            if unchanged >= STALE {
                Self.release(registers);
            }
            return Err(semaphore);
        }
        registers.write(SWSM, semaphore | (Swsm::SMBI | Swsm::SWESMBI).bits());
        let semaphore = registers.read(SWSM);
        if semaphore & Swsm::SWESMBI.bits() == 0 {
            Self.release(registers);
            return Err(semaphore);
        }
        Ok(Self)
    }

    /// Releases both.
    pub(super) fn release<R: NicRegisters>(self, registers: &mut R) {
        let semaphore = registers.read(SWSM);
        registers.write(SWSM, semaphore & !(Swsm::SMBI | Swsm::SWESMBI).bits());
    }
}
