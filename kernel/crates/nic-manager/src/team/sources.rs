//! Which addresses the vNICs send from: what switches on the wire are to be told of when they move.

use super::routes::PORTS;
use crate::bucket::ip_source;
use crate::{MAX_ADDRESSES, VnicId, VnicInfo};
use base::time::Duration;
use base::{Instant, LentFrame, MacAddress};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A vNIC that has used all its places gets another one at most so often: each is an event, and a guest can make up addresses.
const LEAST_INTERVAL: Duration = Duration::from_secs(10);

/// An address that was seen, in its VLAN.
type Seen = (MacAddress, Option<u16>);

/// What the source of a frame is.
pub(super) enum FrameSource {
    /// It is known, or of no vNIC.
    Known,
    /// It is seen for the first time.
    New(VnicId, Seen),
    /// There is no place for it now.
    Crowded,
}

/// What is known of one vNIC.
struct SourceList {
    vnic: VnicId,
    known: heapless::Vec<Seen, MAX_ADDRESSES>,
    next: Instant,
}

/// The addresses that frames come from, by port.
pub(super) struct Sources {
    lists: [Option<SourceList>; PORTS],
    /// The last addresses of IP packets of each port, while frames go by them; unspecified if there were none.
    last_v4: [Ipv4Addr; PORTS],
    last_v6: [Ipv6Addr; PORTS],
}

impl Sources {
    /// Each vNIC has sent from its own address.
    pub(super) fn new(vnics: &[VnicInfo]) -> Self {
        let mut lists = [const { None }; PORTS];
        for (vnic, number) in vnics.iter().zip(0..) {
            if let Some(place) = lists.get_mut(usize::from(vnic.port)) {
                let known = core::iter::once((vnic.mac, None)).collect();
                *place = Some(SourceList { vnic: VnicId(number), known, next: Instant::ZERO });
            }
        }
        let (last_v4, last_v6) = ([Ipv4Addr::UNSPECIFIED; PORTS], [Ipv6Addr::UNSPECIFIED; PORTS]);
        Self { lists, last_v4, last_v6 }
    }

    /// Remembers which IP address a frame from this port comes from.
    pub(super) fn note_ip(&mut self, frame: &LentFrame<'_>, port: usize) {
        match ip_source(frame.head) {
            Some(IpAddr::V4(source)) => {
                self.last_v4.get_mut(port).into_iter().for_each(|last| *last = source)
            }
            Some(IpAddr::V6(source)) => {
                self.last_v6.get_mut(port).into_iter().for_each(|last| *last = source)
            }
            None => {}
        }
    }

    /// The last IP address that packets from this port came from, of the same kind as this one.
    pub(super) fn last_ip(&self, port: usize, like: IpAddr) -> Option<IpAddr> {
        let last = match like {
            IpAddr::V4(_) => IpAddr::V4(*self.last_v4.get(port)?),
            IpAddr::V6(_) => IpAddr::V6(*self.last_v6.get(port)?),
        };
        Some(last).filter(|last| !last.is_unspecified())
    }

    /// Takes note of the address of a frame from this port.
    pub(super) fn note(&mut self, frame: &LentFrame<'_>, port: usize, now: Instant) -> FrameSource {
        let list = self.lists.get_mut(port).and_then(Option::as_mut);
        let Some((list, source)) = list.zip(MacAddress::source_of(frame.head)) else {
            return FrameSource::Known;
        };
        // A tag of VLAN 0 gives a priority only.
        let seen = (source, frame.vlan().filter(|vlan| *vlan != 0));
        if list.known.contains(&seen) {
            return FrameSource::Known;
        }
        if list.known.is_full() && now < list.next {
            return FrameSource::Crowded;
        }
        if list.known.is_full() {
            // Its own address stays.
            list.known.remove(1);
        }
        let _ = list.known.push(seen);
        list.next = now + LEAST_INTERVAL;
        FrameSource::New(list.vnic, seen)
    }
}
