//! What happens to a team: all that its manager ever learns.

use crate::{MAX_MEMBERS, MemberId, MemberSet, TeamPolicy};
use base::{LinkStatus, MacAddress, NicCondition};
use serde::{Deserialize, Serialize};

/// Most vNICs that a team serves.
pub const MAX_VNICS: usize = 15;

/// What was seen of one member since the last sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MemberSample {
    /// Bytes that it has sent.
    pub sent: u64,
    /// Bytes that it has received.
    pub received: u64,
    /// Frames that it has received, without beacons.
    pub frames: u64,
    /// Damaged frames and errors of the NIC.
    pub errors: u64,
    /// The longest time for which it made no progress with frames that it had, in microseconds.
    pub longest_wait: u32,
    /// The members whose beacons it has received.
    pub heard: MemberSet,
    /// The gateway has answered it.
    pub answered: bool,
}

/// What was seen of a team since the last sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TeamSample {
    /// It ends a round of beacons: who has heard whom counts.
    pub ends_round: bool,
    /// Its members, in order.
    pub members: heapless::Vec<MemberSample, MAX_MEMBERS>,
    /// Bytes that it has sent for each vNIC, in the order of [`VnicId`]s.
    pub vnics: heapless::Vec<u64, MAX_VNICS>,
}

/// A vNIC, by its place in the list that the team was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VnicId(pub u8);

/// What the operator wants of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AdminState {
    /// It is used.
    Up,
    /// It sends what it has, and nothing else, and still receives.
    Drain,
    /// It is not used at all.
    Down,
}

/// Something that happened. Whoever tells of it tells the manager when.
#[expect(
    clippy::large_enum_variant,
    reason = "samples are the most frequent ones, and nothing is allocated for them"
)]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TeamEvent {
    /// A member's condition or link is other than it was.
    Nic {
        /// The member.
        member: MemberId,
        /// Whether it can be used.
        condition: NicCondition,
        /// Its link.
        link: LinkStatus,
    },
    /// A member makes no progress with what it has, for longer than [`crate::Manager::patience`]; or it does again.
    Stall {
        /// The member.
        member: MemberId,
        /// It makes none.
        stalled: bool,
    },
    /// A period has passed.
    Sample(TeamSample),
    /// A vNIC was switched on, or off, with its VM.
    Vnic {
        /// The vNIC.
        vnic: VnicId,
        /// Its VM runs.
        on: bool,
    },
    /// A vNIC has sent from an address, in a VLAN, for the first time.
    Address {
        /// The vNIC.
        vnic: VnicId,
        /// The address.
        mac: MacAddress,
        /// The VLAN, if the frame had a tag.
        vlan: Option<u16>,
    },
    /// The operator wants this of a member.
    Admin {
        /// The member.
        member: MemberId,
        /// What the operator wants.
        state: AdminState,
    },
    /// The operator wants frames to be divided in this way.
    Policy(TeamPolicy),
    /// Nothing has happened, but [`crate::Manager::next_deadline`] has come.
    Tick,
}
