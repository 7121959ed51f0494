//! Which addresses the vNICs send from: what switches on the wire are to be told of when they move.

use crate::{MAX_ADDRESSES, VnicId, VnicInfo};
use base::time::Duration;
use base::{Instant, LentFrame, MacAddress};

/// Ports of a switch.
const PORTS: usize = 16;

/// A vNIC that has used all its places gets another one at most so often: each is an event, and a guest can make up addresses.
const LEAST_INTERVAL: Duration = Duration::from_secs(10);

/// Bits that are the same in all frames from one address: without a tag, the address; with one, its end and the tag but for
/// the priority.
const ADDRESS: u64 = 0xffff_ffff_ffff;
const TAG: u64 = 0xff0f_ffff_ffff_ffff;

/// An address that was seen, in its VLAN.
type Seen = (MacAddress, Option<u16>);

/// What is known of one vNIC.
struct SourceList {
    vnic: VnicId,
    known: heapless::Vec<Seen, MAX_ADDRESSES>,
    next: Instant,
}

/// The addresses that frames come from, by port.
pub(super) struct Sources {
    /// The last frame of each port.
    last: [u64; PORTS],
    lists: [Option<SourceList>; PORTS],
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
        Self { last: [0; PORTS], lists }
    }

    /// The vNIC and the address of a frame from this port, if it has come from there for the first time.
    #[inline]
    pub(super) fn note(
        &mut self,
        frame: &LentFrame<'_>,
        port: usize,
        now: Instant,
    ) -> Option<(VnicId, Seen)> {
        let word = |at: usize| frame.head.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
        let (start, end) = (word(6)?, word(8)?);
        let tagged = matches!(start >> 48, 0x0081 | 0xa888);
        let key = if tagged { end & TAG } else { start & ADDRESS };
        let last = self.last.get_mut(port)?;
        if core::mem::replace(last, key) == key {
            return None;
        }
        self.look(frame, port, now)
    }

    #[cold]
    fn look(&mut self, frame: &LentFrame<'_>, port: usize, now: Instant) -> Option<(VnicId, Seen)> {
        let list = self.lists.get_mut(port)?.as_mut()?;
        // A tag of VLAN 0 gives a priority only.
        let seen = (MacAddress::source_of(frame.head)?, frame.vlan().filter(|vlan| *vlan != 0));
        if list.known.contains(&seen) || list.known.is_full() && now < list.next {
            return None;
        }
        if list.known.is_full() {
            // Its own address stays.
            list.known.remove(1);
        }
        let _ = list.known.push(seen);
        list.next = now + LEAST_INTERVAL;
        Some((list.vnic, seen))
    }
}
