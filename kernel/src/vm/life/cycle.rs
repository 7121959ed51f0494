//! Where a VM is in its life cycle.

use super::start::Images;
use base::Instant;
use schedule::restart::{BackOff, RestartPolicy};
use shell::VmState;

/// The state of a VM, and what its next start needs.
pub(in crate::vm) struct Life {
    pub(super) state: VmState,
    pub(in crate::vm) images: Images,
    pub(super) policy: RestartPolicy,
    pub(super) back_off: BackOff,
    /// When it was last started.
    pub(super) started: Instant,
    /// When it starts again.
    pub(in crate::vm) start_at: Option<Instant>,
    /// Bytes that the start under way has prepared: all of its memory is cleared, then the images are loaded.
    pub(super) prepared: u64,
}
