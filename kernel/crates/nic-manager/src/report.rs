//! What the operator reads of a team: a line for each note, and the reasons for a choice.

use crate::action::TeamNote;
use crate::{AdminState, MemberId, MemberRole, TeamEvent, TeamReport, VnicId};
use base::Instant;
use core::fmt;

/// How things are called.
pub trait TeamNames {
    /// The team.
    fn team(&self) -> &str;

    /// A member's NIC.
    fn nic(&self, member: MemberId) -> &str;

    /// The VM of a vNIC, and the vNIC's number in it.
    fn vnic(&self, vnic: VnicId) -> (&str, usize);
}

/// A report as a line of the log.
pub struct ReportLine<'a, N> {
    /// The report.
    pub report: TeamReport,
    /// How things are called.
    pub names: &'a N,
    /// Since when the frames of a member that was left are in the hands of others.
    pub now: Instant,
    /// Frames that were dropped meanwhile.
    pub lost: u64,
}

impl<N: TeamNames> fmt::Display for ReportLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, names, now, lost } = self;
        let nic = |member: Option<MemberId>| member.map_or("none", |member| names.nic(member));
        let team = names.team();
        match report.note {
            TeamNote::Failover { from, to, cause, moved } => {
                let (from, to, cause) = (nic(Some(from)), nic(to), cause.word());
                let took = now.saturating_since(report.at).as_micros();
                let (resent, in_doubt) = (report.retired.returned, report.retired.in_doubt);
                write!(
                    f,
                    "failover {team}: {from} -> {to} cause={cause} took={took}us moved={moved} resent={resent} \
                     in-doubt={in_doubt} lost={lost}"
                )
            }
            TeamNote::Failback { member, moved } => {
                write!(f, "failback {team}: {} is used again, moved={moved}", nic(Some(member)))
            }
            TeamNote::Member { member, fault: Some(fault) } => {
                write!(f, "team {team}: {}: {fault}", nic(Some(member)))
            }
            TeamNote::Member { member, fault: None } => {
                write!(f, "team {team}: {}: ready to carry frames", nic(Some(member)))
            }
            TeamNote::BeaconLost { member, missed } => {
                write!(f, "team {team}: {} beacon lost {missed} in a row", nic(Some(member)))
            }
            TeamNote::BeaconHeard { member } => write!(f, "team {team}: {} beacon heard", nic(Some(member))),
            TeamNote::Undecided => write!(
                f,
                "team {team}: its NICs do not hear each other, and nothing tells which is cut off: nothing moves"
            ),
            TeamNote::Moved { vnic, from, to, reason } => {
                let (vm, number) = names.vnic(vnic);
                write!(f, "team {team}: {vm}/{number} {} -> {}: {reason}", nic(from), nic(to))
            }
            TeamNote::Policy { policy, moved } => write!(f, "team {team}: policy {policy}, moved={moved}"),
        }
    }
}

/// An event as a line for the operator.
pub struct EventLine<'a, N> {
    /// The event.
    pub event: &'a TeamEvent,
    /// How things are called.
    pub names: &'a N,
}

impl<N: TeamNames> fmt::Display for EventLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nic = |member: &MemberId| self.names.nic(*member);
        match self.event {
            TeamEvent::Nic { member, condition, link } => {
                write!(f, "{}: {condition}, link {link}", nic(member))
            }
            TeamEvent::Stall { member, stalled } => {
                write!(
                    f,
                    "{}: {}",
                    nic(member),
                    if *stalled { "makes no progress" } else { "makes progress" }
                )
            }
            TeamEvent::Sample(sample) => {
                f.write_str("sample:")?;
                for (member, seen) in (0..).map_while(MemberId::new).zip(&sample.members) {
                    write!(f, " {} sent {} received {}", nic(&member), seen.sent, seen.received)?;
                    write!(f, " errors {} heard {}", seen.errors, seen.heard.len())?;
                }
                Ok(())
            }
            TeamEvent::Vnic { vnic, on } => {
                let (vm, number) = self.names.vnic(*vnic);
                write!(f, "{vm}/{number}: {}", if *on { "on" } else { "off" })
            }
            TeamEvent::Address { vnic, mac, vlan } => {
                let (vm, number) = self.names.vnic(*vnic);
                write!(f, "{vm}/{number}: sends from {mac}")?;
                vlan.map_or(Ok(()), |vlan| write!(f, " in VLAN {vlan}"))
            }
            TeamEvent::Admin { member, state } => write!(f, "operator: {} {state}", nic(member)),
            TeamEvent::Policy(policy) => write!(f, "operator: policy {policy}"),
            TeamEvent::Tick => f.write_str("tick"),
        }
    }
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Unused => "unused",
        })
    }
}
