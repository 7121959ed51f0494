//! A guest's vNIC as a port of a switch.

use crate::meeting::vnic_slot::VnicSlot;
use base::{Batch, Capabilities, Instant, Port};

/// A guest's vNIC as a port. It has no link while it may not master the bus or its VM is off.
pub(super) struct GuestPort<'a> {
    /// The vNIC.
    pub(super) slot: &'a VnicSlot,
    /// Its guest's core must look at the vNIC.
    pub(super) touched: bool,
}

impl Port for GuestPort<'_> {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.slot.with_port(|port| port.capabilities());
        Capabilities { link_up: capabilities.link_up && self.slot.is_on(), ..capabilities }
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        let (sent, touched) = self.slot.send(frames, now);
        self.touched |= touched;
        sent
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        let ((), touched) = self.slot.with_noted(|port| port.missed(frames, now));
        self.touched |= touched;
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize {
        let (polled, touched) = self.slot.poll(into, budget, now);
        self.touched |= touched;
        polled
    }
}
