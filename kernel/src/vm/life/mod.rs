//! The life of a VM, as opposed to its machine: how it is built, started, stopped and started again.

mod actions;
mod build;
mod start;
mod stop_reason;

pub use build::VmError;
pub(super) use start::Images;
pub use stop_reason::StopReason;

use crate::meeting::state::VmState;
use base::Instant;
use schedule::restart::{BackOff, RestartPolicy};

/// Where a VM is in its life, and how it goes on.
pub struct Life {
    state: VmState,
    images: Images,
    policy: RestartPolicy,
    back_off: BackOff,
    /// When it was last started.
    started: Instant,
    /// When it starts again.
    pub(super) start_at: Option<Instant>,
    /// Bytes of its memory that the start under way has cleared.
    cleared: u64,
}
