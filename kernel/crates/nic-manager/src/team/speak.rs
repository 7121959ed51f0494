//! What a team says on the wire.

use super::{Team, TeamMember};
use crate::MemberId;
use base::{Instant, MacAddress};

impl<M: TeamMember> Team<M> {
    pub(super) fn announce(
        &mut self,
        _mac: MacAddress,
        _vlan: Option<u16>,
        _member: MemberId,
        _now: Instant,
    ) {
    }
    pub(super) fn send_beacons(&mut self, _member: MemberId, _sequence: u64, _now: Instant) {}
    pub(super) fn probe(&mut self, _member: MemberId, _now: Instant) {}
}
