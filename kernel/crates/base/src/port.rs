//! The one shape of everything that frames enter or leave by: vNIC, physical NIC, tap, fault injector.

use crate::{Batch, Instant};

/// What a port can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest frame the port accepts, in bytes, without frame check sequence.
    pub max_frame: usize,
    /// False while the port has no carrier: frames sent to it would be lost on the wire.
    pub link_up: bool,
}

/// A source and sink of frames. Frames are whole Ethernet frames without frame check sequence.
pub trait Port {
    /// What the port can carry now.
    fn capabilities(&self) -> Capabilities;

    /// Offers `frames` in order and returns how many were accepted, always a prefix.
    ///
    /// The rest stays with the caller: that is back-pressure. A frame the port can never carry (too
    /// long, too short) is accepted and counted as dropped by the port, so that it cannot block the rest.
    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize;

    /// Appends at most `budget` waiting frames to `into` and returns how many, stopping early when `into`
    /// has no room for the next one.
    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize;
}
