//! How far the firmware's AML is followed. Boot waits for it, in silence.

use core::cell::Cell;

/// Most names that are kept: a large server has some 10,000.
pub(super) const MAX_NAMES: usize = 20_000;
/// Most steps for all of it: a second or less. A large server takes less than a fifth of them.
pub(super) const MAX_STEPS: u32 = 20_000_000;
/// Most steps for one value.
pub(super) const MAX_VALUE_STEPS: u32 = 2_000_000;
/// Depth to which blocks and operands of tables are followed.
pub(super) const MAX_BLOCKS: u32 = 24;
/// Depth of calls, blocks and operands together, where a value is found.
pub(super) const MAX_CALLS: u32 = 40;
/// Most names that methods may store to.
pub(super) const MAX_STORED: usize = 64;
/// Most routes that are kept.
pub(super) const MAX_ROUTES: usize = 4096;

/// Why AML was not followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmlLimit {
    /// The list of names is full.
    #[error("it has more than {MAX_NAMES} names, and the others are unknown")]
    Names,
    /// The heap has no room for a list.
    #[error("there is no memory for what it says")]
    Memory,
    /// All of it takes too long.
    #[error("it takes more than {MAX_STEPS} steps, and none of it is used")]
    Steps,
    /// One value takes too long.
    #[error("a value takes more than {MAX_VALUE_STEPS} steps, and is unknown")]
    ValueSteps,
    /// A table is nested too deep.
    #[error("blocks are nested more than {MAX_BLOCKS} deep, and what is inside is unknown")]
    Blocks,
    /// A program is nested too deep.
    #[error("a value takes calls that are nested more than {MAX_CALLS} deep, and is unknown")]
    Calls,
    /// Methods store to too many names.
    #[error("methods store to more than {MAX_STORED} names, and what they return is unknown")]
    Stored,
    /// The list of routes is full.
    #[error("it has more than {MAX_ROUTES} routes, and the others are unknown")]
    Routes,
}

/// The steps that are left. All work costs steps, each time that it is done: a statement, a term, a descriptor of a resource
/// template and a place in the tree that is looked at one each, other bytes that are looked at one for eight.
pub(super) struct Bounds {
    steps_left: Cell<u32>,
    reached: Cell<Option<AmlLimit>>,
}

impl Bounds {
    pub(super) fn new() -> Self {
        Self { steps_left: Cell::new(MAX_STEPS), reached: Cell::new(None) }
    }

    /// Takes steps; `None` when there are not so many.
    pub(super) fn spend(&self, steps: usize) -> Option<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps_left.get().checked_sub(steps));
        self.steps_left.set(left.unwrap_or(0));
        left.map_or_else(|| self.reach(AmlLimit::Steps), |_| Some(()))
    }

    /// Takes the steps for so many bytes, and one.
    pub(super) fn spend_bytes(&self, bytes: usize) -> Option<()> {
        self.spend(1 + bytes / 8)
    }

    /// Steps that have been taken.
    pub(super) fn steps(&self) -> u32 {
        MAX_STEPS - self.steps_left.get()
    }

    /// Notes a limit, which ends what is being done.
    pub(super) fn reach<T>(&self, limit: AmlLimit) -> Option<T> {
        // That nothing more is followed counts for more than what was left out before.
        let first = self.reached.get().filter(|_| limit != AmlLimit::Steps);
        self.reached.set(first.or(Some(limit)));
        None
    }

    /// The limit that was reached: the first one, or that of all steps.
    pub(super) fn reached(&self) -> Option<AmlLimit> {
        self.reached.get()
    }
}
