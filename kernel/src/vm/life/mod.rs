//! The life cycle of a VM: how it is built, started, stopped and restarted.

mod actions;
mod build;
mod cycle;
mod start;
mod stop_reason;

pub(super) use cycle::Life;
#[cfg(test)]
pub(super) use start::Images;
pub use stop_reason::StopReason;
