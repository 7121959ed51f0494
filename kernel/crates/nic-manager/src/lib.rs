//! Teams of physical NICs: which of them carries each frame to the wire, and why.
//!
//! A [`Manager`] decides. It knows values of `base` only, no driver: what has become known of the NICs and of the VMs, event by
//! event; so whatever it has decided can be replayed. A [`Team`] executes what it decides: it is a [`base::Port`] in front of
//! the NICs that are its members, and per frame it reads a table.
//!
//! A member that is being reset, or has failed, stays a member, and is used again when it works. What it has not sent goes
//! back to the queues of the switch ([`base::Port::take_back`]), and is offered to the team again.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod bucket;
mod detection;
mod event;
pub mod frames;
mod hearing;
mod history;
mod history_text;
mod load_meter;
mod manager;
mod member;
mod member_state;
mod notices;
mod placement;
mod policy;
mod replay;
mod report;
mod settings;
mod standing;
mod team;
mod told;
mod vnic;
mod watch;
mod why;

pub use action::{MemberFault, MoveReason, TeamAction, TeamNote};
pub use bucket::{BUCKETS, CarrierTable, FrameKey};
pub use event::{AdminState, MAX_VNICS, MemberSample, TeamEvent, TeamSample, VnicId};
pub use history::Recorder;
pub use history_text::{DamageReason, HistoryDamage, HistoryText, read_histories, write_history};
pub use manager::{Act, Manager};
pub use member::{MemberId, MemberSet};
pub use replay::{HistoryError, Replay, ReplayStep};
pub use report::{ActionLine, EventLine, ReportLine, TeamNames};
pub use settings::{
    BeaconSettings, FailbackMode, InDoubtPolicy, MAX_BEACON_VLANS, MAX_MEMBERS, MemberRole, NoticeSettings,
    PolicyConflict, TeamPolicy, TeamSettings,
};
pub use standing::{MemberStanding, VnicStanding};
pub use team::{
    FrameDestination, Team, TeamCounters, TeamMember, TeamPlace, TeamReport, TeamSecrets, await_start,
};
pub use vnic::{MAX_ADDRESSES, VnicInfo};
pub use why::Why;
