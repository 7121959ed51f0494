//! Which of 256 buckets a frame is in, and which member carries each bucket.

use crate::{MemberId, TeamPolicy};
use base::{LentFrame, MacAddress};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// How many buckets there are.
pub const BUCKETS: usize = 256;

/// What of a frame decides about its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKey {
    /// The port that it came in at: the bucket with that number.
    Port,
    /// Its source address and its VLAN.
    SourceMac,
    /// Its IP addresses: fragments, which have no ports, stay with the packets before and after them. Frames that carry neither IPv4 nor IPv6
    /// go by their source address.
    IpHash,
}

impl FrameKey {
    /// What decides under this policy.
    #[must_use]
    pub fn of(policy: TeamPolicy) -> Self {
        match policy {
            TeamPolicy::Order | TeamPolicy::Port | TeamPolicy::Load => Self::Port,
            TeamPolicy::SourceMac => Self::SourceMac,
            TeamPolicy::IpHash => Self::IpHash,
        }
    }

    /// The bucket of a frame that came in at this port.
    #[must_use]
    pub fn bucket(self, frame: &LentFrame<'_>, port: usize) -> usize {
        match self {
            Self::Port => port % BUCKETS,
            Self::SourceMac => of_source(frame),
            Self::IpHash => of_addresses(frame.head).unwrap_or_else(|| of_source(frame)),
        }
    }
}

fn of_source(frame: &LentFrame<'_>) -> usize {
    of_mac(MacAddress::source_of(frame.head).unwrap_or_default(), frame.vlan())
}

/// The bucket of a source address in a VLAN.
#[must_use]
pub fn of_mac(mac: MacAddress, vlan: Option<u16>) -> usize {
    let [a, b, c, d, e, f] = mac.0;
    let vlan = vlan.map_or([0, 0], u16::to_le_bytes);
    fold(u64::from_le_bytes([a, b, c, d, e, f, vlan[0], vlan[1]]))
}

/// The EtherType of a frame behind at most two tags, and where its payload begins.
#[inline]
fn payload(head: &[u8]) -> Option<(u16, usize)> {
    let ether_type = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let mut at = 12;
    while at < 20 && matches!(ether_type(at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    Some((ether_type(at)?, at + 2))
}

/// The bucket of the IP addresses in this frame, if it has any.
fn of_addresses(head: &[u8]) -> Option<usize> {
    let (ether_type, at) = payload(head)?;
    // Source and destination are at 12 and 16 [RFC 791 3.1], and at 8 and 24 [RFC 8200 3].
    match ether_type {
        0x0800 => head.get(at + 12..)?.first_chunk().map(|both| of_v4(u64::from_le_bytes(*both))),
        0x86dd => head.get(at + 8..)?.first_chunk().map(of_v6),
        _ => None,
    }
}

/// The bucket of both addresses of IPv4, as they are in memory.
#[inline]
pub(crate) fn of_v4(both: u64) -> usize {
    fold(both)
}

fn of_v6(addresses: &[u8; 32]) -> usize {
    let (words, _) = addresses.as_chunks();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    fold(word(0).rotate_left(21) ^ word(1) ^ word(2).rotate_left(42) ^ word(3))
}

/// The bucket of packets from one of these addresses to the other; `None` if they are of different kinds.
#[must_use]
pub fn of_ips(source: IpAddr, destination: IpAddr) -> Option<usize> {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let ([a, b, c, d], [e, f, g, h]) = (from.octets(), to.octets());
            Some(of_v4(u64::from_le_bytes([a, b, c, d, e, f, g, h])))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut both = [0; 32];
            both[..16].copy_from_slice(&from.octets());
            both[16..].copy_from_slice(&to.octets());
            Some(of_v6(&both))
        }
        _ => None,
    }
}

/// The source address of the IP packet in this frame, if it is one.
pub(crate) fn ip_source(head: &[u8]) -> Option<IpAddr> {
    let (ether_type, at) = payload(head)?;
    match ether_type {
        0x0800 => Some(IpAddr::V4((*head.get(at + 12..)?.first_chunk::<4>()?).into())),
        0x86dd => Some(IpAddr::V6((*head.get(at + 8..)?.first_chunk::<16>()?).into())),
        _ => None,
    }
}

/// Eight bits that depend on all of these: the highest of a product with an odd number that has no pattern.
fn fold(bits: u64) -> usize {
    let mixed = (bits ^ bits >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as usize
}

/// The member that carries each bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierTable(heapless::Vec<Option<MemberId>, BUCKETS>);

impl Default for CarrierTable {
    fn default() -> Self {
        Self(core::iter::repeat_n(None, BUCKETS).collect())
    }
}

impl CarrierTable {
    /// The member that carries this bucket.
    #[must_use]
    pub fn get(&self, bucket: usize) -> Option<MemberId> {
        self.0.get(bucket).copied().flatten()
    }

    /// Lets a member carry this bucket.
    pub(crate) fn set(&mut self, bucket: usize, member: Option<MemberId>) {
        if let Some(place) = self.0.get_mut(bucket) {
            *place = member;
        }
    }

    /// The members of all buckets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<MemberId>> {
        self.0.iter().copied()
    }
}
