//! Frames that come back: kept ones that have left, finished ones to their ports, and those that must not leave any more.

use crate::ingress::IngressQueue;
use crate::sharing::PortLane;
use crate::{MAX_PORTS, PortId, PortSet, Progress, RESEND_HOLD, Switch};
use base::time::Duration;
use base::{Instant, Port, Ticket};

/// How often ports are asked at least what they have sent of that which they have kept. Nothing waits for it but the guests
/// whose frames it was, which see their descriptors done that much later.
pub const REAP_INTERVAL: Duration = Duration::from_micros(100);

impl Switch {
    /// Takes note of whether frames from `ingress` wait.
    pub(crate) fn note_occupied(&mut self, ingress: PortId) {
        self.occupied = match self.queues[ingress.index()].targets().is_empty() {
            true => self.occupied.without(ingress),
            false => self.occupied.with(ingress),
        };
    }

    /// Drops the frames that wait and are from another life of their port.
    pub(crate) fn withdraw<P: Port>(&mut self, ports: &mut [P], progress: &mut Progress) {
        for ingress in self.occupied.iter() {
            let queue = &mut self.queues[ingress.index()];
            if ports.get_mut(ingress.index()).is_none_or(|port| queue.is_of(port.life())) {
                continue;
            }
            for target in queue.targets().iter() {
                let dropped = queue.drop_all(target);
                self.counters[target.index()].withdrawn += dropped as u64;
                progress.dropped += dropped;
            }
            self.note_occupied(ingress);
        }
    }

    /// Takes back what ports have kept and made use of, or will not send. Returns the ports that will not send something, for which it
    /// waits now: what is behind them has changed, and they may have room.
    pub(crate) fn reap<P: Port>(
        &mut self,
        ports: &mut [P],
        now: Instant,
        progress: &mut Progress,
    ) -> PortSet {
        let keeps = |queues: &[IngressQueue]| queues.iter().any(|queue| queue.kept() > 0);
        self.reaped = None;
        let mut returned = PortSet::EMPTY;
        if !keeps(&self.queues) {
            return returned;
        }
        let queues = &mut self.queues;
        let mut done = |ticket: Ticket| {
            if let Some(queue) = queues.get_mut(ticket.source()) {
                queue.give_back(ticket);
            }
        };
        // Only physical NICs keep frames.
        for uplink in self.forwarder.uplinks().iter() {
            ports.get_mut(uplink.index()).into_iter().for_each(|port| _ = port.reap(&mut done, now));
        }
        for uplink in self.forwarder.uplinks().iter() {
            if let Some(port) = ports.get_mut(uplink.index())
                && self.take_back(uplink, port, now, progress)
            {
                returned = returned.with(uplink);
            }
        }
        self.reaped = keeps(&self.queues).then_some(now);
        returned
    }

    /// Lets the frames that a NIC will not send wait for its port again, before those that came later. True if there are some.
    ///
    /// Where several NICs are behind the port, those of another one may have come back before, and wait still. Those that come
    /// back now go before them: of one flow, what was put left the queue before what waits in it.
    fn take_back<P: Port>(
        &mut self,
        uplink: PortId,
        port: &mut P,
        now: Instant,
        progress: &mut Progress,
    ) -> bool {
        let (mut counts, mut some) = ([0_u8; MAX_PORTS], false);
        let (queues, counters) = (&mut self.queues, &mut self.counters[uplink.index()]);
        port.take_back(&mut |ticket: Ticket| {
            let source = ticket.source();
            let Some(queue) = queues.get_mut(source) else { return };
            (counters.taken_back, some) = (counters.taken_back + 1, true);
            if queue.take_back(ticket, uplink) {
                counts[source] += 1;
            } else {
                counters.withdrawn += 1;
                progress.dropped += 1;
            }
        });
        if !some {
            return false;
        }
        PortLane::begin_anew(&mut self.lanes[uplink.index()]);
        self.partly_stuck = self.partly_stuck.without(uplink);
        let returned = (0..).zip(counts).filter(|(_, count)| *count > 0);
        for (source, count) in returned.filter_map(|(index, count)| Some((PortId::new(index)?, count))) {
            self.queues[source.index()].resend(uplink, count.into(), now + RESEND_HOLD);
            self.note_occupied(source);
        }
        true
    }

    /// Tells the ports which of their frames are finished, and who stood still and can go on.
    pub(crate) fn settle<P: Port>(&mut self, ports: &mut [P], now: Instant, progress: &mut Progress) {
        let returned = self.reap(ports, now, progress);
        if !returned.is_empty() {
            self.withdraw(ports, progress);
            self.share(returned, ports, now, progress);
            self.reaped = Some(now);
        }
        for (index, queue) in self.queues.iter_mut().enumerate() {
            if queue.outbox.has_finished() {
                match ports.get_mut(index) {
                    Some(port) => port.settle(&mut queue.outbox, now),
                    None => while queue.outbox.finished(|_, _| ()).is_some() {},
                }
            }
        }
        for ingress in self.stopped.iter() {
            let queue = &self.queues[ingress.index()];
            if !queue.stands_still() && !queue.outbox.is_full() {
                self.stopped = self.stopped.without(ingress);
                progress.resumed = progress.resumed.with(ingress);
            }
        }
    }
}
