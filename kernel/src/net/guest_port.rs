//! A guest's vNIC as a port of a switch.

use crate::meeting::vnic_slot::VnicSlot;
use base::{Batch, Capabilities, Instant, Port};

/// A guest's vNIC as a port. It has no link while it may not master the bus or its VM is off.
pub(super) struct GuestPort<'a> {
    /// The vNIC.
    pub(super) slot: &'a VnicSlot,
    /// Frames went through it, so its guest's core must check the vNIC.
    pub(super) touched: bool,
}

impl Port for GuestPort<'_> {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.slot.with_port(|port| port.capabilities());
        Capabilities { link_up: capabilities.link_up && self.slot.is_on(), ..capabilities }
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        let sent = self.slot.send(frames, now);
        self.touched |= sent > 0;
        sent
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        self.slot.with_port(|port| port.missed(frames, now));
        self.touched = true;
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize {
        let polled = self.slot.poll(into, budget, now);
        self.touched |= polled > 0;
        polled
    }
}
