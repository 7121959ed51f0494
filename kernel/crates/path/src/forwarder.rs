//! Decides where a frame goes: the forwarding and learning of a bridge [IEEE 802.1Q-2018 8.6 to 8.8], without
//! VLANs and without a spanning tree.

use crate::control_frame;
use crate::elsewhere::{Elsewhere, Sender};
use crate::mac_table::{Learned, Learner, MacTable, number};
use crate::{
    Attachment, CAPACITY, GUEST_QUOTA, MAX_PORTS, PathError, PortConfig, PortCounters, PortId, PortSet,
};
use base::{Instant, MacAddress};

/// Length of an Ethernet header: both addresses and the EtherType.
pub(crate) const HEADER: usize = 14;

/// Why a frame is dropped on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropCause {
    /// Shorter than an Ethernet header.
    Runt,
    /// The source is a group address.
    GroupSource,
    /// The destination is one of 01-80-C2-00-00-00 to -0F, which bridges do not forward.
    ReservedGroup,
    /// A guest sent MAC control.
    MacControl,
    /// A guest sent a protocol between switches, or to the group of beacons.
    BridgeProtocol,
    /// The destination is on the port the frame came from.
    SamePort,
    /// The same at the wire, and a guest is about to take over the destination.
    Contested,
    /// No other port may receive the frame.
    NoDestination,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send one copy to each of these ports: at least one, never the ingress port.
    Forward {
        /// The ports.
        targets: PortSet,
        /// How many they are.
        copies: usize,
        /// The destination is a group address.
        group: bool,
    },
    /// Drop it and count the cause.
    Drop(DropCause),
}

/// How frames with this header go.
#[derive(Clone, Copy)]
pub(crate) struct Conversation {
    header: [u8; HEADER],
    decision: Decision,
}

/// What a source address means for the port that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing new.
    Known,
    /// The address was at another port before.
    Moved,
    /// The address is not this port's.
    Conflict,
}

/// A number that no address has.
const NO_ADDRESS: u64 = u64::MAX;

/// The forwarding rules of a switch and the addresses it has learned.
pub(crate) struct Forwarder {
    all: PortSet,
    uplinks: PortSet,
    /// The configured address of the vNIC at each port, as a number; [`NO_ADDRESS`] at a port without one. There are
    /// so few that comparing them all takes no longer than looking one up in a table.
    own: heapless::Vec<u64, MAX_PORTS>,
    /// The guest of each port, where it may have other ports.
    guests: heapless::Vec<Option<usize>, MAX_PORTS>,
    /// Where the configured address of each port is at present: at the port of its guest that sent from it last, or on the wire.
    places: heapless::Vec<PortId, MAX_PORTS>,
    /// The ports whose guests are off.
    absent: PortSet,
    /// The configured addresses of the machine's other switches.
    elsewhere: Elsewhere,
    table: MacTable,
}

impl Forwarder {
    /// The rules for these ports, on a machine with these vNICs. For `seed` see [`crate::Switch::new`].
    ///
    /// # Errors
    /// See [`PathError`].
    pub(crate) fn new(ports: &[PortConfig], vnics: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let (mut own, mut guests, mut places) =
            (heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new());
        let mut uplinks = PortSet::EMPTY;
        for (index, port) in ports.iter().enumerate() {
            let id = PortId::new(index).ok_or(PathError::TooManyPorts(ports.len()))?;
            let (mac, guest) = match port.attachment {
                Attachment::Guest { mac, .. } if mac.is_multicast() => return Err(PathError::GroupMac(mac)),
                Attachment::Guest { mac, .. } if own.contains(&number(mac)) => {
                    return Err(PathError::DuplicateMac(mac));
                }
                Attachment::Guest { mac, guest } => (number(mac), guest),
                Attachment::Uplink => {
                    uplinks = uplinks.with(id);
                    (NO_ADDRESS, None)
                }
            };
            own.push(mac).map_err(|_| PathError::TooManyPorts(ports.len()))?;
            guests.push(guest).map_err(|_| PathError::TooManyPorts(ports.len()))?;
            places.push(id).map_err(|_| PathError::TooManyPorts(ports.len()))?;
        }
        let (all, table) = (PortSet::first(ports.len()), MacTable::new(seed));
        let elsewhere = Elsewhere::new(vnics, &own);
        Ok(Self { all, uplinks, own, guests, places, absent: PortSet::EMPTY, elsewhere, table })
    }

    /// Decides as [`decide`](Self::decide) does. `last` is what was decided before about a frame from the same port at the same
    /// time, if nothing has to be counted for each of its kind: most frames go the same way as the one before.
    pub(crate) fn decide_next(
        &mut self,
        last: &mut Option<Conversation>,
        frame: &[u8],
        ingress: PortId,
        counters: &mut PortCounters,
        now: Instant,
    ) -> Decision {
        if let Some(Conversation { header, decision }) = last
            && frame.starts_with(header)
        {
            return *decision;
        }
        let before = counters.refused_sources();
        let decision = self.decide(frame, ingress, counters, now);
        let forwarded = matches!(decision, Decision::Forward { .. });
        let same = forwarded && counters.refused_sources() == before && control_frame::header_decides(frame);
        let header = frame.first_chunk().filter(|_| same);
        *last = header.map(|header| Conversation { header: *header, decision });
        decision
    }

    /// Decides where `frame` from `ingress` goes, and learns its source address. Moved, conflicting and
    /// refused addresses are counted in `counters`, the counters of `ingress`.
    pub(crate) fn decide(
        &mut self,
        frame: &[u8],
        ingress: PortId,
        counters: &mut PortCounters,
        now: Instant,
    ) -> Decision {
        let header = (MacAddress::destination_of(frame), MacAddress::source_of(frame));
        let (Some(destination), Some(source), true) = (header.0, header.1, frame.len() >= HEADER) else {
            return Decision::Drop(DropCause::Runt);
        };
        if source.is_multicast() {
            return Decision::Drop(DropCause::GroupSource);
        }
        let from_wire = self.uplinks.contains(ingress);
        if !from_wire && let Some(cause) = control_frame::cause(frame, destination) {
            return Decision::Drop(cause);
        }
        self.learn(source, ingress, counters, now);
        if is_reserved(destination) {
            return Decision::Drop(DropCause::ReservedGroup);
        }
        let group = destination.is_multicast();
        let allowed = self.allowed_from(ingress);
        let targets = if group {
            allowed
        } else {
            match self.whereabouts(destination, from_wire, now) {
                Some(places) if places == PortSet::EMPTY.with(ingress) => {
                    // A guest that sends from a router's address makes switches on the wire send here what is for the
                    // router. It gets none of that while the router is alive.
                    let contested = from_wire && self.table.is_contested(destination);
                    let cause = if contested { DropCause::Contested } else { DropCause::SamePort };
                    return Decision::Drop(cause);
                }
                Some(places) => places.intersection(allowed),
                // All vNICs are known, and so are the other addresses that guests have sent from. What is left is
                // on the wire, if it is anywhere: no guest gets to see what is meant for another.
                None if from_wire => PortSet::EMPTY,
                None => self.uplinks,
            }
        };
        match targets.is_empty() {
            true => Decision::Drop(DropCause::NoDestination),
            false => Decision::Forward { targets, copies: targets.len(), group },
        }
    }

    /// True if a frame from this guest's port to `destination` goes to exactly one port, which is among these.
    pub(crate) fn goes_only_to(
        &self,
        destination: MacAddress,
        ingress: PortId,
        among: PortSet,
        now: Instant,
    ) -> bool {
        let places = self.whereabouts(destination, false, now).unwrap_or(self.uplinks);
        let targets = places.intersection(self.allowed_from(ingress));
        targets.len() == 1 && targets.is_within(among)
    }

    /// Checks a few table slots and removes addresses not seen for [`crate::AGEING`]. Cheap: call it often.
    pub(crate) fn age(&mut self, now: Instant) {
        self.table.sweep(now);
    }

    /// The ports of physical NICs.
    pub(crate) fn uplinks(&self) -> PortSet {
        self.uplinks
    }

    /// The ports where `mac` is, seen from the wire or from a guest.
    fn whereabouts(&self, mac: MacAddress, from_wire: bool, now: Instant) -> Option<PortSet> {
        let port = self.find(mac, now).map(|port| PortSet::EMPTY.with(port));
        port.or_else(|| self.elsewhere.find(mac, self.uplinks, from_wire))
    }

    /// The port where `mac` is: of a vNIC's address, the port of its guest that sent from it last; else the port
    /// where it was last seen as a source.
    pub(crate) fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        match self.home(mac) {
            Some(home) => self.places.get(home).copied(),
            None => self.table.find(mac, now),
        }
    }

    /// The guest at this port is on, or off. While it is off, its address may be on the wire: another host may run it. When it is on
    /// again, the address is here.
    pub(crate) fn set_present(&mut self, port: PortId, present: bool) {
        self.absent = if present { self.absent.without(port) } else { self.absent.with(port) };
        if let Some(place) = self.places.get_mut(port.index()).filter(|_| present)
            && self.uplinks.contains(*place)
        {
            *place = port;
        }
    }

    /// Learns that `source` is at `ingress`. The address of a vNIC moves only between the ports of its guest: with
    /// bonding, a guest sends from the address of one vNIC through another, whether or not the first has a link. While its guest is
    /// off, it moves to the wire too.
    fn learn(&mut self, source: MacAddress, ingress: PortId, counters: &mut PortCounters, now: Instant) {
        // Nearly every frame of a guest has the address of the vNIC that it comes from.
        let index = ingress.index();
        if self.own.get(index) == Some(&number(source)) && self.places.get(index) == Some(&ingress) {
            return;
        }
        if let Some(home) = self.home(source) {
            if self.places[home] == ingress {
                return;
            }
            let on_another_host = self.uplinks.contains(ingress)
                && PortId::new(home).is_some_and(|home| self.absent.contains(home));
            if home == ingress.index() || self.same_guest(home, ingress.index()) || on_another_host {
                self.places[home] = ingress;
                counters.moved += 1;
            } else {
                counters.source_conflict += 1;
            }
            return;
        }
        let sender = match self.uplinks.contains(ingress) {
            true => Sender::Wire,
            false => Sender::Guest(self.guests.get(index).copied().flatten()),
        };
        match self.elsewhere.note(source, ingress, sender) {
            Some(Source::Known) => return,
            Some(Source::Moved) => return counters.moved += 1,
            Some(Source::Conflict) => return counters.source_conflict += 1,
            None => {}
        }
        match self.table.learn(source, &self.learner(ingress), now) {
            Learned::Refreshed | Learned::New => {}
            Learned::Moved => counters.moved += 1,
            Learned::Refused => counters.not_learned += 1,
            Learned::Contested => counters.source_conflict += 1,
        }
    }

    /// What `port` may do with learned addresses. The wire has what it sends from: else a guest that once had an
    /// address of the wire could keep it. An address of the wire that is not known any more is looked for where it is.
    fn learner(&self, port: PortId) -> Learner {
        if self.uplinks.contains(port) {
            return Learner { port, quota: CAPACITY, spare: PortSet::EMPTY, takes_from: PortSet::ALL };
        }
        let kin = self.all.iter().filter(|other| self.same_guest(other.index(), port.index()));
        let takes_from = kin.fold(PortSet::EMPTY, PortSet::with);
        Learner { port, quota: GUEST_QUOTA, spare: self.uplinks, takes_from }
    }

    /// The index of the port for which this address is configured.
    fn home(&self, mac: MacAddress) -> Option<usize> {
        let mac = number(mac);
        self.own.iter().position(|own| *own == mac)
    }

    /// True if two ports belong to the same guest.
    fn same_guest(&self, one: usize, other: usize) -> bool {
        let guest = |port: usize| self.guests.get(port).copied().flatten();
        guest(one).is_some_and(|known| guest(other) == Some(known))
    }

    /// The ports that may receive frames from `ingress`.
    fn allowed_from(&self, ingress: PortId) -> PortSet {
        let others = self.all.without(ingress);
        if self.uplinks.contains(ingress) { others.minus(self.uplinks) } else { others }
    }
}

/// The reserved bridge group addresses [IEEE 802.1Q-2018 table 8-1].
fn is_reserved(mac: MacAddress) -> bool {
    mac.0[..5] == [0x01, 0x80, 0xc2, 0x00, 0x00] && mac.0[5] < 0x10
}

#[cfg(test)]
mod tests;
