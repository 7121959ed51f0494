//! What no VM entry or exit switches: the active guest's stays in the processor from exit to entry.

use super::extended::ExtendedState;
use super::held_msrs::SwitchedMsrs;
use super::unsaved::Unsaved;
use crate::memory::{PageFrameError, PageFrames};

/// This state of one virtual processor while it is not active.
pub struct SwitchedState {
    msrs: SwitchedMsrs,
    /// x87, SSE, AVX and XCR0.
    pub extended: ExtendedState,
    unsaved: Unsaved,
}

impl SwitchedState {
    /// The state after reset, with these MSRs.
    ///
    /// # Errors
    /// When the machine's memory is used up.
    pub fn new(frames: &mut PageFrames, msrs: SwitchedMsrs) -> Result<Self, PageFrameError> {
        Ok(Self { msrs, extended: ExtendedState::new(frames)?, unsaved: Unsaved::default() })
    }

    /// Restores the state after reset, with these MSRs. It must not be in the processor.
    pub fn reset(&mut self, msrs: SwitchedMsrs) {
        self.msrs = msrs;
        self.extended.reset();
        self.unsaved = Unsaved::default();
    }

    /// Loads the state into the processor.
    pub fn load(&self) {
        self.msrs.load();
        self.extended.load();
        self.unsaved.load();
    }

    /// Saves the state out of the processor.
    pub fn save(&mut self) {
        self.msrs.save();
        self.extended.save();
        self.unsaved.save();
    }
}
