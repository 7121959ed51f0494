//! Teams: which physical NIC carries the frames of a segment to the wire.
//!
//! A [`Team`] is a [`base::Port`] in front of the NICs that are its members. Today it has one. It knows no driver: what it
//! decides is a function of values of `base`, [`base::NicInfo`] of each member and the [`Ingress`] of a frame.
//!
//! A member that is being reset, or has failed, stays a member, and is used again when it works. What it has not sent goes
//! back to the queues of the switch ([`base::Port::take_back`]), and is offered to the team again.
#![no_std]
#![forbid(unsafe_code)]

mod choice;
mod member;
mod settings;
mod team;

pub use choice::{Ingress, choose};
pub use member::{MemberId, MemberSet};
pub use settings::{
    BeaconSettings, FailbackMode, InDoubtPolicy, MAX_BEACON_VLANS, MAX_MEMBERS, MemberRole, NoticeSettings,
    TeamPolicy, TeamSettings,
};
pub use team::{Team, TeamMember, await_start};
