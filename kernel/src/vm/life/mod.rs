//! The life cycle of a VM: how it is built, started, stopped and restarted.

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

/// The state of a VM, and what its next start needs.
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
