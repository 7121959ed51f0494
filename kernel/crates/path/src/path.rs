//! Moves frames between ports, with back-pressure.

use crate::pending::Pending;
use crate::{Counters, PathError, PortConfig, PortId, Switch, Verdict};
use alloc::boxed::Box;
use base::batch::MAX_FRAMES;
use base::time::Duration;
use base::{Instant, Port};

/// Frames from one port on their way.
struct Lane {
    hold: Duration,
    pending: Pending,
}

impl Lane {
    fn deadline(&self) -> Option<Instant> {
        (!self.pending.is_empty()).then(|| self.pending.since() + self.hold)
    }
}

/// What one [`Path::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Frames polled from ports.
    pub polled: usize,
    /// Copies accepted by ports.
    pub delivered: usize,
    /// Frames dropped on arrival and copies dropped on departure.
    pub dropped: usize,
    /// Copies that still wait for their destination.
    pub pending: usize,
}

impl Progress {
    /// True when nothing moved: until a port has something new or [`Path::next_deadline`] comes, another
    /// step does nothing either.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.polled == 0 && self.delivered == 0 && self.dropped == 0
    }
}

/// A switch with a pending batch for each port.
pub struct Path {
    switch: Switch,
    lanes: Box<[Lane]>,
    counters: Box<[Counters]>,
    /// The port whose turn it is to be first.
    first: usize,
}

impl Path {
    /// A path between these ports, which get their numbers in this order.
    ///
    /// `seed` spreads learned addresses over the table. Take it from something a guest cannot know, such
    /// as a time stamp at boot, so that no guest can choose addresses that collide.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn new(ports: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let switch = Switch::new(ports, seed)?;
        let lanes = ports.iter().map(|port| Lane { hold: port.hold, pending: Pending::new() }).collect();
        Ok(Self { switch, lanes, counters: ports.iter().map(|_| Counters::default()).collect(), first: 0 })
    }

    /// Moves at most one batch from each port on.
    ///
    /// `ports` stand in the order given to [`new`](Self::new). A port that is missing at the end of the
    /// list counts as one whose link is down. The port that delivers first in one step comes last in the
    /// next, so that senders share a destination that is nearly full.
    pub fn step(&mut self, ports: &mut [&mut dyn Port], now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.switch.age(now);
        let count = self.lanes.len();
        let start = self.first;
        for index in (start..count).chain(0..start) {
            let Some(ingress) = PortId::new(index) else { continue };
            let delivered = progress.delivered;
            if self.lanes[index].pending.is_empty() {
                self.poll(ingress, ports, now, &mut progress);
            }
            self.deliver(ingress, ports, now, &mut progress);
            progress.pending += self.lanes[index].pending.copies();
            if delivered == 0 && progress.delivered != 0 {
                self.first = (index + 1) % count;
            }
        }
        progress
    }

    /// When [`step`](Self::step) must run again at the latest: the first time that a held frame is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.deadline()).min()
    }

    /// The counts of a port.
    #[must_use]
    pub fn counters(&self, port: PortId) -> Option<&Counters> {
        self.counters.get(port.index())
    }

    /// Copies of frames from `port` that wait for their destination.
    #[must_use]
    pub fn pending(&self, port: PortId) -> usize {
        self.lanes.get(port.index()).map_or(0, |lane| lane.pending.copies())
    }

    /// The switch, to look addresses up.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Polls `ingress` into its empty batch and decides where the frames go.
    fn poll(&mut self, ingress: PortId, ports: &mut [&mut dyn Port], now: Instant, progress: &mut Progress) {
        let Some(port) = ports.get_mut(ingress.index()) else { return };
        let pending = &mut self.lanes[ingress.index()].pending;
        let counters = &mut self.counters[ingress.index()];
        port.poll(pending.begin(now), MAX_FRAMES, now);
        for index in 0..MAX_FRAMES {
            let Some(frame) = pending.frame(index) else { break };
            progress.polled += 1;
            counters.rx_frames += 1;
            counters.rx_bytes += frame.len() as u64;
            match self.switch.decide(frame, ingress, counters, now) {
                Verdict::Forward(targets) => {
                    counters.forwarded += 1;
                    counters.copies += targets.len() as u64;
                    pending.route(index, targets);
                }
                Verdict::Drop(cause) => {
                    counters.count_drop(cause);
                    progress.dropped += 1;
                }
            }
        }
    }

    /// Offers what came from `ingress` to each destination, and drops what has waited long enough.
    fn deliver(
        &mut self,
        ingress: PortId,
        ports: &mut [&mut dyn Port],
        now: Instant,
        progress: &mut Progress,
    ) {
        let lane = &mut self.lanes[ingress.index()];
        let expired = lane.deadline().is_some_and(|deadline| now >= deadline);
        for target in lane.pending.targets().iter() {
            let frames = lane.pending.frames_for(target);
            let offered = frames.len();
            let port = ports.get_mut(target.index()).filter(|port| port.capabilities().link_up);
            let link_up = port.is_some();
            let accepted = port.map_or(0, |port| port.send(&frames, now).min(offered));
            let bytes: usize = frames[..accepted].iter().map(|frame| frame.len()).sum();
            drop(frames);

            let dropped = if link_up && !expired { 0 } else { offered - accepted };
            lane.pending.done(target, accepted + dropped);
            progress.delivered += accepted;
            progress.dropped += dropped;
            let counters = &mut self.counters[target.index()];
            counters.tx_frames += accepted as u64;
            counters.tx_bytes += bytes as u64;
            *(if link_up { &mut counters.held_too_long } else { &mut counters.link_down }) += dropped as u64;
        }
        lane.pending.clear_if_done();
    }
}
