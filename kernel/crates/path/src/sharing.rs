//! How those whose frames wait for a destination share it: each lane of a port by itself.

use crate::ingress::IngressQueue;
use crate::patience::UplinkProgress;
use crate::switch::Offered;
use crate::turns::{Rest, Turns};
use crate::{Attachment, PortConfig, PortCounters, PortId, PortSet, Progress, Switch};
use alloc::boxed::Box;
use base::port::LANES;
use base::{Instant, Port};

/// What is known of one lane of a port.
pub(crate) struct PortLane {
    /// Whose frames it is offered first.
    turns: Turns,
    /// Whether its NIC takes frames.
    pub(crate) progress: UplinkProgress,
}

impl PortLane {
    /// The lanes of a port: one of a vNIC.
    pub(crate) fn all(port: &PortConfig) -> Box<[Self]> {
        let to_vnic = port.attachment != Attachment::Uplink;
        let lane = || Self { turns: Turns::new(to_vnic), progress: UplinkProgress::default() };
        core::iter::repeat_with(lane).take(if to_vnic { 1 } else { LANES }).collect()
    }

    /// Forgets which of these lanes took nothing: they have lost their link, or were reset.
    pub(crate) fn begin_anew(lanes: &mut [Self]) {
        lanes.iter_mut().for_each(|lane| lane.progress = UplinkProgress::default());
    }

    /// Takes note of an offer of what waits in `queue` for `target`, a port with these lanes: of those frames in one of them, or
    /// `None` for all. Drops those that may not wait, and returns how many have waited too long, and how many there is no room for.
    pub(crate) fn note<P: Port>(
        lanes: &mut [Self],
        queue: &mut IngressQueue,
        (target, lane): (PortId, Option<usize>),
        accepted: usize,
        port: &mut P,
        now: Instant,
    ) -> (usize, usize) {
        if lane.is_none() {
            queue.note_lane(target, port);
        }
        let next = queue.lane(target);
        let asked = lane.or(next).unwrap_or(0);
        let all = next != Some(asked);
        // Frames for a wire that takes others, however slowly, have not waited too long.
        let held = is_held(port.lanes(), asked);
        if held {
            lanes[asked].progress = UplinkProgress::default();
        }
        let takes = lanes[asked].progress.note(accepted, all, now) || held;
        match lane {
            _ if takes || all => (0, 0),
            Some(lane) => queue.drop_in_lane((target, lane), port, now),
            None => (queue.drop_older(target, now), queue.drop_beyond(target)),
        }
    }
}

/// True for the lane of frames that wait for something else than room in a NIC: they are never too old.
fn is_held(lanes: usize, lane: usize) -> bool {
    lanes > 1 && lane == lanes - 1
}

/// How far a call is with one lane.
#[derive(Clone, Copy, Default)]
struct LaneRound {
    /// It has no room for the next frame of the one whose turn it is.
    kept: bool,
    /// Whose frames it has been offered.
    asked: PortSet,
}

impl Switch {
    /// The ports that frames wait for.
    pub(crate) fn wanted(&self) -> PortSet {
        let queues = self.occupied.iter().filter_map(|ingress| self.queues.get(ingress.index()));
        queues.fold(PortSet::EMPTY, |all, queue| all.union(queue.targets()))
    }

    /// The ports whose next frame for this port waits in this lane, of so many.
    fn waiting_in(&self, egress: PortId, (lane, lanes): (usize, usize)) -> PortSet {
        let in_lane = |of: usize| of.min(lanes - 1) == lane;
        let waits = |port: &PortId| self.queues[port.index()].lane(egress).is_some_and(in_lane);
        self.occupied.iter().filter(waits).fold(PortSet::EMPTY, PortSet::with)
    }

    /// How many lanes a port has; takes note of the lane of each frame that is next for it if there are several.
    fn ask_lanes<P: Port>(&mut self, egress: PortId, ports: &mut [P]) -> usize {
        let port = ports.get_mut(egress.index()).filter(|_| self.forwarder.uplinks().contains(egress));
        let Some(port) = port else { return 1 };
        let lanes = port.lanes().clamp(1, LANES);
        if lanes > 1 {
            for ingress in self.occupied.iter() {
                self.queues[ingress.index()].note_lane(egress, port);
            }
        }
        lanes
    }

    /// Offers the frames that wait to each of these destinations. In each lane of one the senders take turns. While it has no
    /// room for the next frame of the one whose turn it is, it gets few frames of others, or none.
    pub(crate) fn share<P: Port>(
        &mut self,
        among: PortSet,
        ports: &mut [P],
        now: Instant,
        progress: &mut Progress,
    ) {
        for egress in among.iter() {
            let lanes = self.ask_lanes(egress, ports);
            let (mut rounds, mut lane) = ([LaneRound::default(); LANES], 0);
            loop {
                let left =
                    |lane: &usize| !self.waiting_in(egress, (*lane, lanes)).is_within(rounds[*lane].asked);
                let Some(next) = (lane..lanes).chain(0..lane).find(left) else { break };
                lane = self.serve(egress, (next, lanes), &mut rounds, ports, now, progress);
            }
        }
    }

    /// Offers the frames of one sender that wait in this lane, of so many, of which at least one has not been asked. Returns the
    /// lane to go on with: that of the sender's next frame, so that it can return soon.
    fn serve<P: Port>(
        &mut self,
        egress: PortId,
        (lane, lanes): (usize, usize),
        rounds: &mut [LaneRound; LANES],
        ports: &mut [P],
        now: Instant,
        progress: &mut Progress,
    ) -> usize {
        let (count, waiting) = (self.queues.len(), self.waiting_in(egress, (lane, lanes)));
        let LaneRound { kept, asked } = rounds[lane];
        let turns = &mut self.lanes[egress.index()][lane].turns;
        if !kept {
            turns.choose(count, waiting);
        }
        let left = waiting.minus(asked);
        let Some(ingress) = turns.order(count).find(|port| left.contains(*port)) else { return lane };
        let limit = if kept { turns.beside() } else { usize::MAX };
        let sent = |counters: &PortCounters| (counters.tx_frames, counters.tx_bytes);
        let before = sent(&self.counters[egress.index()]);
        let offered = Offered {
            among: PortSet::EMPTY.with(egress),
            limit,
            lane: if lanes > 1 { Some(lane) } else { None },
        };
        self.deliver(ingress, offered, ports, now, progress);
        let after = sent(&self.counters[egress.index()]);
        let accepted = (after.0 - before.0, after.1 - before.1);
        let next = self.queues[ingress.index()].lane(egress).map(|next| next.min(lanes - 1));
        let rest = match next {
            None => Rest::Nothing,
            Some(next) if next == lane => Rest::Refused,
            Some(_) => Rest::Elsewhere,
        };
        if rest == Rest::Elsewhere && accepted.0 > 0 {
            // Its next frame is one that nobody has seen.
            rounds.iter_mut().for_each(|round| round.asked = round.asked.without(ingress));
        } else {
            rounds[lane].asked = asked.with(ingress);
        }
        let turns = &mut self.lanes[egress.index()][lane].turns;
        if kept {
            turns.note_beside(accepted.1);
        } else {
            turns.note(ingress, count, accepted, rest, now);
            rounds[lane].kept = rest == Rest::Refused;
        }
        next.unwrap_or(lane)
    }
}
