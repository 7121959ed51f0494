//! How a team is to behave: what the configuration says of it, and what the operator changes.

use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Most members of a team.
pub const MAX_MEMBERS: usize = 8;

/// Most VLANs on which a team sends beacons.
pub const MAX_BEACON_VLANS: usize = 8;

/// How a team divides the frames of its guests among its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TeamPolicy {
    /// All by the first member, in the order of the configuration, that works.
    Order,
    /// Each vNIC by one member.
    Port,
    /// Each source address in each VLAN by one member.
    SourceMac,
    /// Each pair of IP addresses by one member.
    IpHash,
    /// Each vNIC by one member, and by another one when its member is loaded for long.
    Load,
}

impl TeamPolicy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Order, Self::Port, Self::SourceMac, Self::IpHash, Self::Load];

    /// Its word in the configuration and in the shell.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Port => "port",
            Self::SourceMac => "mac",
            Self::IpHash => "ip-hash",
            Self::Load => "load",
        }
    }

    /// What stands in the way of this policy in a team that has members on standby, or sends beacons.
    pub fn conflicts(self, standby: bool, beacons: bool) -> impl Iterator<Item = PolicyConflict> {
        let conflicts = [(standby, PolicyConflict::Standby), (beacons, PolicyConflict::Beacons)];
        conflicts.into_iter().filter(move |(is, _)| *is && self == Self::IpHash).map(|(_, conflict)| conflict)
    }
}

/// What a team cannot have with policy `ip-hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyConflict {
    /// Members on standby.
    Standby,
    /// Beacons.
    Beacons,
}

impl fmt::Display for PolicyConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standby => {
                "a team with policy \"ip-hash\" has no member on standby: its ports are one link to the switch, which uses them all"
            }
            Self::Beacons => {
                "a team with policy \"ip-hash\" sends no beacons: its ports are one link to the switch, which passes none from one to the other"
            }
        })
    }
}

impl fmt::Display for TeamPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemberRole {
    /// It carries frames.
    Active,
    /// It carries frames in the place of an active one that does not work.
    Standby,
    /// It carries none: it is only looked after.
    Unused,
}

/// When a member that works again gets back what it carried before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailbackMode {
    /// When its hold-down is over.
    Always,
    /// The same if it is better than the one that carries it: active and not standby, or of a higher speed.
    Better,
    /// When the one that carries it fails.
    OnFailure,
    /// When the operator says so, or nothing else works.
    Manual,
}

impl fmt::Display for FailbackMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Always => "always",
            Self::Better => "better",
            Self::OnFailure => "on-failure",
            Self::Manual => "manual",
        })
    }
}

/// What becomes of frames of which nobody knows whether they have left a NIC that failed: it has fetched them, and its counters
/// do not say that they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InDoubtPolicy {
    /// They are given up and counted: none is on the wire twice.
    NoDuplicate,
    /// They are sent again: none is lost. Guests get frames back later, when the NIC's counters say that they have left.
    NoLoss,
}

impl fmt::Display for InDoubtPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoDuplicate => "no-duplicate",
            Self::NoLoss => "no-loss",
        })
    }
}

/// How members look for each other on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BeaconSettings {
    /// Time from one beacon to the next, in milliseconds.
    pub interval_ms: u32,
    /// How many in a row are missed until a member counts as cut off.
    pub lost: u8,
    /// The VLANs on which they are sent; without any, they have no tag.
    pub vlans: heapless::Vec<u16, MAX_BEACON_VLANS>,
    /// Who is asked which member is cut off, when that is not clear.
    pub gateway: Option<IpAddr>,
}

impl BeaconSettings {
    /// One a second, without a tag.
    pub const STANDARD: Self =
        Self { interval_ms: 1000, lost: 3, vlans: heapless::Vec::new(), gateway: None };
}

/// How switches on the wire are told that an address is behind another member now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NoticeSettings {
    /// How often each is told; 0 for never.
    pub copies: u8,
    /// Time from one to the next, in milliseconds.
    pub spacing_ms: u32,
}

/// How a team is to behave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TeamSettings {
    /// Who carries what.
    pub policy: TeamPolicy,
    /// When a member that works again is used again.
    pub failback: FailbackMode,
    /// How long a member must have a link until it is used, in milliseconds. With each failure in a short time it doubles.
    pub up_delay_ms: u32,
    /// How long a member must have no link until it is left, in milliseconds.
    pub down_delay_ms: u32,
    /// Beacons, if they are sent.
    pub beacon: Option<BeaconSettings>,
    /// What switches on the wire are told.
    pub notice: NoticeSettings,
    /// What becomes of frames in doubt.
    pub in_doubt: InDoubtPolicy,
}

impl TeamSettings {
    /// What holds if nothing else is said.
    pub const STANDARD: Self = Self {
        policy: TeamPolicy::Port,
        failback: FailbackMode::Always,
        up_delay_ms: 1000,
        down_delay_ms: 0,
        beacon: None,
        notice: NoticeSettings { copies: 3, spacing_ms: 100 },
        in_doubt: InDoubtPolicy::NoDuplicate,
    };
}
