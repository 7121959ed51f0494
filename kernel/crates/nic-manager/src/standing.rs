//! What a team's manager knows and has decided, as values for the operator.

use crate::bucket::{self, FrameKey};
use crate::{AdminState, Manager, MemberFault, MemberId, MemberRole, VnicId, VnicInfo};
use base::{Instant, LinkStatus, MacAddress};

/// What is known of a member, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// What it is there for.
    pub role: MemberRole,
    /// Its link.
    pub link: LinkStatus,
    /// What the operator wants of it.
    pub admin: AdminState,
    /// What is wrong with it.
    pub fault: Option<MemberFault>,
    /// It receives frames for groups.
    pub listens: bool,
    /// How many buckets it carries that stand for something: vNICs, or parts of all addresses.
    pub carries: u64,
    /// Beacons that it has missed in a row; `None` where there are none.
    pub missed: Option<u8>,
    /// Until when it is held down, if it is.
    pub settles_at: Option<Instant>,
    /// How many failures its hold-down is for.
    pub failures: u8,
}

/// What is known of a vNIC.
#[derive(Clone, Copy, Debug)]
pub struct VnicStanding<'a> {
    /// What the configuration says.
    pub info: &'a VnicInfo,
    /// Its VM runs.
    pub on: bool,
    /// Bytes a second that it sends, on average.
    pub rate: u64,
    /// The member that carries what it sends from its own address; `None` if none does, or if that depends on IP addresses.
    pub carrier: Option<MemberId>,
}

impl Manager {
    /// Its members, in order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = MemberStanding> {
        let (carries, linked) = (self.counts(), self.linked());
        self.members.iter().enumerate().map(move |(index, state)| {
            let id = MemberId::new(index);
            let missed = id.filter(|_| self.settings.beacon.is_some());
            MemberStanding {
                role: state.role,
                link: state.link,
                admin: state.admin,
                fault: self.faults[index],
                listens: id.is_some() && id == self.listener,
                carries: carries[index],
                missed: missed.map(|id| self.hearing.missed(id, linked)),
                settles_at: state.returns_at().or(state.settles_at),
                failures: state.failures,
            }
        })
    }

    /// The vNICs that it serves, in the order of their numbers.
    pub fn vnics(&self) -> impl Iterator<Item = VnicStanding<'_>> {
        (0..).map(VnicId).zip(&self.vnics).map(|(vnic, state)| VnicStanding {
            info: &state.info,
            on: state.on,
            rate: state.rate,
            carrier: self.carrier_of(vnic),
        })
    }

    /// The member that carries what a vNIC sends from its own address; `None` if none does, or if that depends on IP addresses.
    #[must_use]
    pub fn carrier_of(&self, vnic: VnicId) -> Option<MemberId> {
        self.bucket_of(vnic).and_then(|bucket| self.table.get(bucket))
    }

    /// The addresses that a vNIC is known to send from, its own first, with their VLANs.
    pub fn addresses(&self, vnic: VnicId) -> impl Iterator<Item = (MacAddress, Option<u16>)> {
        let known = self.vnics.get(usize::from(vnic.0)).into_iter().flat_map(|state| &state.addresses);
        known.map(|address| (address.mac, address.vlan))
    }

    /// The bucket of what a vNIC sends from its own address, without a tag; by IP addresses that depends on these.
    #[must_use]
    pub fn bucket_of(&self, vnic: VnicId) -> Option<usize> {
        let info = &self.vnics.get(usize::from(vnic.0))?.info;
        match self.key() {
            FrameKey::Port => Some(info.port.into()),
            FrameKey::SourceMac => Some(bucket::of_mac(info.mac, None)),
            FrameKey::IpHash => None,
        }
    }
}
