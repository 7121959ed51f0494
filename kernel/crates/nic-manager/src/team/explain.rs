//! Why a frame of a vNIC goes by one member and not by another.

use super::{Team, TeamMember};
use crate::bucket::{of_ips, of_mac};
use crate::{FrameKey, TeamNames, VnicId, Why};
use base::{Instant, MacAddress};
use core::fmt;
use core::net::IpAddr;

/// Where a frame is to go, as the operator says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameDestination {
    /// To this Ethernet address.
    Mac(MacAddress),
    /// In a packet to this IP address.
    Ip(IpAddr),
}

impl fmt::Display for FrameDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

impl<M: TeamMember> Team<M> {
    /// Passes the reasons for the choice of a member for what a vNIC sends to `say`, line by line.
    pub fn explain<N: TeamNames>(
        &self,
        (vnic, destination): (VnicId, Option<FrameDestination>),
        names: &N,
        now: Instant,
        say: &mut dyn FnMut(fmt::Arguments<'_>),
    ) {
        let manager = self.manager();
        if let Some(bucket) = self.bucket((vnic, destination), names, say) {
            let spare = &mut manager.clone();
            Why { manager, spare, names, vnic, bucket, now }.explain(say);
        }
    }

    /// The bucket of what the vNIC sends there; says why if it is not known.
    fn bucket<N: TeamNames>(
        &self,
        (vnic, destination): (VnicId, Option<FrameDestination>),
        names: &N,
        say: &mut dyn FnMut(fmt::Arguments<'_>),
    ) -> Option<usize> {
        let (info, policy) = (self.vnics.get(usize::from(vnic.0))?, self.manager().policy());
        let (vm, number) = names.vnic(vnic);
        let known = self.manager().bucket_of(vnic).or_else(|| (self.slots.len() == 1).then_some(0));
        match (known, destination) {
            (Some(bucket), _) => Some(bucket),
            (None, None) => {
                say(format_args!("{vm}/{number}: by {policy} the NIC depends on the destination: name one"));
                None
            }
            (None, Some(FrameDestination::Mac(_))) => {
                say(format_args!("{vm}/{number}: frames without IP addresses go by their source address"));
                Some(of_mac(info.mac, None))
            }
            (None, Some(FrameDestination::Ip(to))) => {
                let source = self.sources.as_ref().and_then(|sources| sources.last_ip(info.port.into(), to));
                match source {
                    Some(from) => say(format_args!("{vm}/{number}: from {from}, its last address, to {to}")),
                    None => say(format_args!(
                        "{vm}/{number}: its address is not known: by {policy} it has sent no packet of this kind"
                    )),
                }
                of_ips(source?, to)
            }
        }
    }
}

/// The rule by which the bucket was found, in words.
impl fmt::Display for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Port => "the vNIC's port",
            Self::SourceMac => "source address and VLAN",
            Self::IpHash => "IP addresses",
        })
    }
}
