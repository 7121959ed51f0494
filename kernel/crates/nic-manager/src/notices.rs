//! What switches on the wire are told: which addresses are behind which member now.

use crate::action::TeamAction;
use crate::bucket::{self, BUCKETS, FrameKey};
use crate::manager::{Act, Manager};
use crate::vnic::VnicState;
use crate::{MemberId, VnicId};
use base::{Duration, Instant};

/// Most that are said at once; the others follow in the next round, which comes soon. A member whose ring is full has room for two
/// rounds of them that wait.
const AT_ONCE: usize = 8;
const NEXT_ROUND: Duration = Duration::from_millis(1);

impl Manager {
    /// The addresses of a vNIC are to be told, from now on.
    pub(crate) fn schedule_notices(&mut self, vnic: VnicId, now: Instant) {
        let copies = self.copies();
        let known = self.vnics.get_mut(usize::from(vnic.0)).into_iter();
        for address in known.flat_map(|state| &mut state.addresses) {
            (address.left, address.next) = (copies, now);
        }
    }

    /// The addresses that are in these buckets are to be told.
    pub(crate) fn notice_buckets(&mut self, moved: &[bool; BUCKETS], now: Instant) {
        let copies = self.copies();
        for address in self.vnics.iter_mut().flat_map(|vnic| &mut vnic.addresses) {
            if moved[bucket::of_mac(address.mac, address.vlan)] {
                (address.left, address.next) = (copies, now);
            }
        }
    }

    /// How often each is told. With an IP hash, switches take the members for one line, and are told nothing.
    fn copies(&self) -> u8 {
        if self.key() == FrameKey::IpHash { 0 } else { self.settings.notice.copies }
    }

    /// Says what is due.
    pub(crate) fn announce(&mut self, now: Instant, act: Act<'_>) {
        let spacing = Duration::from_millis(self.settings.notice.spacing_ms.into());
        let (key, table) = (self.key(), &self.table);
        let carrier = |vnic: &VnicState, mac, vlan| match key {
            FrameKey::SourceMac => table.get(bucket::of_mac(mac, vlan)),
            FrameKey::Port => table.get(vnic.info.port.into()),
            // What another policy has left to be told.
            FrameKey::IpHash => None,
        };
        let mut said = 0;
        for index in 0..self.vnics.len() {
            let (mut addresses, on) =
                (core::mem::take(&mut self.vnics[index].addresses), self.vnics[index].on);
            for address in addresses.iter_mut().filter(|address| address.left > 0 && address.next <= now) {
                if said == AT_ONCE {
                    address.next = now + NEXT_ROUND;
                    continue;
                }
                let member: Option<MemberId> = carrier(&self.vnics[index], address.mac, address.vlan);
                match member.filter(|_| on) {
                    Some(member) => {
                        act(TeamAction::Announce { mac: address.mac, vlan: address.vlan, member });
                        (address.left, address.next, said) = (address.left - 1, now + spacing, said + 1);
                    }
                    // Nobody would hear it; when a member carries it again, it is told anew.
                    None => address.left = 0,
                }
            }
            self.vnics[index].addresses = addresses;
        }
    }
}
