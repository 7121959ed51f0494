//! What the measures mean for one entry and the exit after it.

use super::{Measures, ReturnStack, SPEC_CTRL_IBRS, SPEC_CTRL_STIBP};

bitflags::bitflags! {
    /// What one entry, and the exit after it, must do beyond the world switch.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Guards: u8 {
        /// Flush the L1D before the entry.
        const FLUSH_L1D = 1 << 0;
        /// VERW before the entry.
        const CLEAR_BUFFERS = 1 << 1;
        /// IA32_SPEC_CTRL.IBRS from exit to entry.
        const IBRS = 1 << 2;
        /// IBPB after the exit.
        const BARRIER = 1 << 3;
        /// Fill the predictor of return addresses after the exit.
        const FILL_RETURN_STACK = 1 << 4;
        /// One call after the exit.
        const ONE_CALL = 1 << 5;
        /// With `IBRS`: STIBP is set at all times.
        const STIBP = 1 << 6;
        /// Divide 0 by 1 before the entry.
        const CLEAR_DIVIDER = 1 << 7;
    }
}

// The world switch makes the bits of IA32_SPEC_CTRL of these.
const _: () = assert!(Guards::STIBP.bits() >> 5 == 2 && SPEC_CTRL_STIBP == 2 && SPEC_CTRL_IBRS == 1);

impl Guards {
    /// Those that an entry needs only after work for other guests.
    pub const FOREIGN: Self = Self::FLUSH_L1D.union(Self::CLEAR_BUFFERS).union(Self::CLEAR_DIVIDER);
}

impl Measures {
    /// What each entry and exit must do.
    #[must_use]
    pub fn guards(&self) -> Guards {
        [
            (Guards::FLUSH_L1D, self.flush_l1d),
            (Guards::CLEAR_BUFFERS, self.clear_buffers),
            (Guards::CLEAR_DIVIDER, self.clear_divider),
            (Guards::IBRS, self.ibrs_at_exit),
            (Guards::STIBP, self.ibrs_at_exit && self.spec_ctrl & SPEC_CTRL_STIBP != 0),
            (Guards::BARRIER, self.barrier_at_exit),
            (Guards::FILL_RETURN_STACK, self.return_stack == ReturnStack::Fill),
            (Guards::ONE_CALL, self.return_stack == ReturnStack::OneCall),
        ]
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(guard, _)| guard)
        .collect()
    }
}
