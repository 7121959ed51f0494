//! What is to be done, by decision of a team's manager.

use crate::{MemberId, TeamPolicy, VnicId};
use base::MacAddress;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a member is not used, or is used only if nothing better is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemberFault {
    /// It has no link.
    Link,
    /// It is being reset, or has failed.
    Reset,
    /// It is cut off from the other members behind the first switch.
    CutOff,
    /// Too many of the frames that it receives are damaged.
    Errors,
    /// It does not send what it has.
    Stall,
    /// The operator wants it so.
    Admin,
    /// It works again, but has not for long enough.
    Settling,
    /// It works again, and waits for the operator.
    Manual,
    /// The configuration says so.
    Unused,
}

impl MemberFault {
    /// Its word in `cause=` of the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Reset => "reset",
            Self::CutOff => "beacon",
            Self::Errors => "errors",
            Self::Stall => "stall",
            Self::Admin => "operator",
            Self::Settling => "settling",
            Self::Manual => "manual",
            Self::Unused => "unused",
        }
    }
}

impl fmt::Display for MemberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Link => "no link",
            Self::Reset => "does not work",
            Self::CutOff => "cut off behind its switch",
            Self::Errors => "receives damaged frames",
            Self::Stall => "does not send",
            Self::Admin => "not wanted by the operator",
            Self::Settling => "works again, and is held down",
            Self::Manual => "works again, and waits for the operator",
            Self::Unused => "unused by configuration",
        })
    }
}

/// Why a bucket goes to another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MoveReason {
    /// The member that had it is not used any more.
    Left(MemberFault),
    /// The member whose it is at home is used again.
    Home,
    /// The member that had it carries too much.
    Load,
    /// The policy is another one, or the speed of a member or the VMs are others.
    Rules,
    /// No member could carry it before.
    First,
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(fault) => write!(f, "{fault}"),
            Self::Home => f.write_str("its own NIC is used again"),
            Self::Load => f.write_str("load"),
            Self::Rules => f.write_str("policy, speeds or VMs have changed"),
            Self::First => f.write_str("no NIC carried it"),
        }
    }
}

/// Something worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TeamNote {
    /// A member is left: what it carried goes to another one, the first of those that take over; to none if no other can.
    Failover {
        /// The member.
        from: MemberId,
        /// Its first successor.
        to: Option<MemberId>,
        /// What is wrong with it.
        cause: MemberFault,
        /// Buckets that move.
        moved: u16,
    },
    /// A member is used again, and has so many buckets back.
    Failback {
        /// The member.
        member: MemberId,
        /// Buckets that move.
        moved: u16,
    },
    /// What is wrong with a member has changed, and moves nothing.
    Member {
        /// The member.
        member: MemberId,
        /// What is wrong with it now.
        fault: Option<MemberFault>,
    },
    /// A member is cut off from those that stay.
    BeaconLost {
        /// The member.
        member: MemberId,
        /// Beacons in a row that did not pass between it and whichever is best heard.
        missed: u8,
    },
    /// It is not any more.
    BeaconHeard {
        /// The member.
        member: MemberId,
    },
    /// Members do not hear each other, and nothing tells which of them is cut off.
    Undecided,
    /// A vNIC's frames go to another member.
    Moved {
        /// The vNIC.
        vnic: VnicId,
        /// The member that carried them.
        from: Option<MemberId>,
        /// The one that carries them now.
        to: Option<MemberId>,
        /// Why.
        reason: MoveReason,
    },
    /// The policy has changed, and so many buckets move.
    Policy {
        /// The new one.
        policy: TeamPolicy,
        /// Buckets that move.
        moved: u16,
    },
}

/// Something to do now, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TeamAction {
    /// [`crate::Manager::table`] has changed.
    Switch,
    /// Stop this member's transmitter, and take back what it has not sent.
    Retire(MemberId),
    /// Tell the switches on the wire that this address is behind this member.
    Announce {
        /// The address.
        mac: MacAddress,
        /// The VLAN, for a tag.
        vlan: Option<u16>,
        /// The member.
        member: MemberId,
    },
    /// Ask the gateway for an answer to this member.
    Probe(MemberId),
    /// The team has a link, or has none any more.
    Link(bool),
    /// Group frames are received by this member only; without one, by all.
    Listen(Option<MemberId>),
    /// Tell the operator.
    Say(TeamNote),
}
