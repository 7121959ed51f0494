//! Teams, as the operator's commands use them.

use super::Network;
use super::network::LOCAL;
use super::segment::LanSegment;
use super::uplink::Uplink;
use alloc::string::String;
use alloc::vec::Vec;
use base::{Instant, MacAddress};
use nic_manager::{MemberId, MemberRole, VnicId};
use shell::{TeamAccess, Teams};

impl Network {
    /// The names of all teams, and of all physical NICs that there are.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let teams = self.segments.iter().map(|segment| segment.name.clone()).filter(|name| name != LOCAL);
        (teams.collect(), self.segments.iter().flat_map(|segment| segment.nics.iter().cloned()).collect())
    }
}

impl Teams for Network {
    type Member = Uplink;
    type Names = LanSegment;

    fn count(&self) -> usize {
        self.segments.len() - 1
    }

    fn access<R>(
        &self,
        team: usize,
        look: impl FnOnce(TeamAccess<'_, Uplink, LanSegment>) -> R,
    ) -> Option<R> {
        let names = self.segments.get(team)?;
        Some(names.with_traffic(|traffic| {
            let lost = traffic.lost();
            look(TeamAccess { team: traffic.team.as_mut(), names, lost })
        }))
    }

    fn missing(&self, team: usize) -> impl Iterator<Item = (&str, MemberRole)> {
        let missing = self.segments.get(team).into_iter().flat_map(|segment| &segment.missing);
        missing.map(|(nic, role)| (nic.as_str(), *role))
    }

    fn member(&self, nic: usize) -> Option<(usize, MemberId)> {
        let places =
            |(team, segment): (usize, &LanSegment)| (0..segment.nics.len()).map(move |at| (team, at));
        let (team, at) = self.segments.iter().enumerate().flat_map(places).nth(nic)?;
        Some((team, MemberId::new(at)?))
    }

    fn vnics(&self, vm: usize) -> impl Iterator<Item = (usize, VnicId)> {
        self.vnics.iter().filter(move |slot| slot.guest == vm).filter_map(|slot| {
            let (team, port) = slot.place();
            Some((team, self.segments.get(team)?.vnic_at(port)?))
        })
    }

    fn find(&self, team: usize, mac: MacAddress, now: Instant) -> Option<VnicId> {
        let segment = self.segments.get(team)?;
        segment.vnic_at(segment.with_traffic(|traffic| traffic.find(mac, now))?)
    }

    fn kick(&self, team: usize) {
        self.segments.get(team).into_iter().for_each(LanSegment::kick);
    }
}
