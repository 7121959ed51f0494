//! A port of a switch that is plugged into it by one of two kinds of owners.

use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};

/// What is plugged into a switch: one of two kinds of ports, told apart once for each call.
pub enum PluggedPort<N, V> {
    /// A physical NIC.
    Nic(N),
    /// A vNIC.
    Guest(V),
}

/// Evaluates the same expression for either.
macro_rules! any {
    ($port:expr, $of:ident => $do:expr) => {
        match $port {
            PluggedPort::Nic($of) => $do,
            PluggedPort::Guest($of) => $do,
        }
    };
}

impl<N: Port, V: Port> Port for PluggedPort<N, V> {
    fn capabilities(&mut self) -> Capabilities {
        any!(self, port => port.capabilities())
    }

    fn life(&mut self) -> u32 {
        any!(self, port => port.life())
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        any!(self, port => port.fetch(into, budget, now))
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        any!(self, port => port.settle(outbox, now));
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        any!(self, port => port.put(frame, ticket, now))
    }

    fn lanes(&mut self) -> usize {
        any!(self, port => port.lanes())
    }

    fn lane(&mut self, frame: &LentFrame<'_>, source: usize) -> usize {
        any!(self, port => port.lane(frame, source))
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        any!(self, port => port.reap(done, now))
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        any!(self, port => port.take_back(unsent))
    }

    fn note_accepted(&mut self, source: usize, bytes: usize) {
        any!(self, port => port.note_accepted(source, bytes));
    }

    fn flush(&mut self, now: Instant) {
        any!(self, port => port.flush(now));
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        any!(self, port => port.missed(frames, now));
    }
}
