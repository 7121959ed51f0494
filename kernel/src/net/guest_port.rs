//! A guest's vNIC as a port of a switch.

use crate::meeting::vnic_slot::VnicSlot;
use crate::memory::guest::GuestRam;
use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};
use spin::MutexGuard;
use vnic::{VnicEngine, VnicPort};

/// A guest's vNIC as a port. It has no link while it may not master the bus or its VM is off.
pub(super) struct GuestPort<'a> {
    /// The vNIC.
    pub(super) slot: &'a VnicSlot,
    /// The vNIC's data half while it is locked: for a run of frames to the guest, and from its first use as a source to the end of the
    /// piece of work, so that nothing that its guest does comes between a look at its life and the copy of its frames.
    engine: Option<MutexGuard<'a, VnicEngine>>,
    is_source: bool,
    /// Its guest's core must look at the vNIC.
    pub(super) touched: bool,
}

impl<'a> GuestPort<'a> {
    /// This vNIC, not used yet.
    pub(super) fn new(slot: &'a VnicSlot) -> Self {
        Self { slot, engine: None, is_source: false, touched: false }
    }

    /// Uses the vNIC, and says whether it may reach guest memory, which [`VnicSlot::set_on`] changes under the lock only.
    fn with<R>(&mut self, work: impl FnOnce(&mut VnicPort<'_, GuestRam>, bool) -> R) -> R {
        let mut port = self.slot.port(self.engine.get_or_insert_with(|| self.slot.engine()));
        let result = work(&mut port, self.slot.is_on());
        self.touched |= port.take_touched();
        result
    }

    /// Ends a run of frames to the guest.
    fn end_run(&mut self) {
        if !self.is_source {
            self.engine = None;
        }
    }
}

impl Port for GuestPort<'_> {
    fn capabilities(&mut self) -> Capabilities {
        self.with(|port, on| {
            let capabilities = port.capabilities();
            Capabilities { link_up: capabilities.link_up && on, ..capabilities }
        })
    }

    fn life(&mut self) -> u32 {
        self.is_source = true;
        self.with(|port, _| port.life())
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        self.with(|port, on| if on { port.fetch(into, budget, now) } else { 0 })
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        self.with(|port, _| port.settle(outbox, now));
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        self.with(|port, on| if on { port.put(frame, ticket, now) } else { Put::Refused(ticket) })
    }

    fn flush(&mut self, now: Instant) {
        self.with(|port, on| {
            if on {
                port.flush(now);
            }
        });
        self.end_run();
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        self.with(|port, _| port.missed(frames, now));
        self.end_run();
    }
}
