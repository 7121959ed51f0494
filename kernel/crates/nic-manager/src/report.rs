//! What the operator reads of a team: a line for each note, and the reasons for a choice.

use crate::action::{MoveReason, TeamAction, TeamNote};
use crate::{AdminState, MemberId, MemberRole, TeamEvent, TeamReport, VnicId};
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
}

impl<N: TeamNames> fmt::Display for ReportLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, names } = self;
        let TeamNote::Failover { from, to, cause, moved } = report.note else {
            return write_note(report.note, *names, f);
        };
        let (from, to, cause) = (names.nic(from), name_of(to, *names), cause.word());
        let (resent, in_doubt) = (report.retired.returned, report.retired.in_doubt);
        write!(f, "failover {}: {from} -> {to} cause={cause} ", names.team())?;
        if let Some((now, _)) = report.done {
            write!(f, "took={}us ", now.saturating_since(report.at).as_micros())?;
        }
        write!(f, "moved={moved} resent={resent} in-doubt={in_doubt}")?;
        report.done.map_or(Ok(()), |(_, lost)| write!(f, " lost={lost}"))
    }
}

/// A member's NIC, if there is one.
fn name_of<N: TeamNames>(member: Option<MemberId>, names: &N) -> &str {
    member.map_or("none", |member| names.nic(member))
}

/// What a note says by itself, without what came of it.
fn write_note<N: TeamNames>(note: TeamNote, names: &N, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let team = names.team();
    match note {
        TeamNote::Failover { from, to, cause, moved } => {
            let (from, to, cause) = (names.nic(from), name_of(to, names), cause.word());
            write!(f, "failover {team}: {from} -> {to} cause={cause} moved={moved}")
        }
        TeamNote::Failback { member, moved } => {
            write!(f, "failback {team}: {} is used again, moved={moved}", names.nic(member))
        }
        TeamNote::Member { member, fault: Some(fault) } => {
            write!(f, "team {team}: {}: {fault}", names.nic(member))
        }
        TeamNote::Member { member, fault: None } => {
            write!(f, "team {team}: {}: ready to carry frames", names.nic(member))
        }
        TeamNote::BeaconLost { member, missed } => {
            write!(f, "team {team}: {} beacon lost {missed} in a row", names.nic(member))
        }
        TeamNote::BeaconHeard { member } => write!(f, "team {team}: {} beacon heard", names.nic(member)),
        TeamNote::Undecided => write!(
            f,
            "team {team}: its NICs do not hear each other, and nothing tells which is cut off: nothing moves"
        ),
        TeamNote::Moved { vnic, from, to, reason } => {
            let (vm, number) = names.vnic(vnic);
            let (from, to) = (name_of(from, names), name_of(to, names));
            match reason {
                MoveReason::Left(fault) => {
                    write!(f, "team {team}: {vm}/{number} {from} -> {to} ({from}: {fault})")
                }
                _ => write!(f, "team {team}: {vm}/{number} {from} -> {to} ({reason})"),
            }
        }
        TeamNote::Policy { policy, moved } => write!(f, "team {team}: policy {policy}, moved={moved}"),
    }
}

/// A decision as a line for the operator.
pub struct ActionLine<'a, N> {
    /// What was decided.
    pub action: TeamAction,
    /// How things are called.
    pub names: &'a N,
}

impl<N: TeamNames> fmt::Display for ActionLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nic = |member: MemberId| self.names.nic(member);
        match self.action {
            TeamAction::Switch => f.write_str("frames are divided in another way"),
            TeamAction::Retire(member) => {
                write!(f, "{}: sends no more, and gives back what it has not sent", nic(member))
            }
            TeamAction::Announce { mac, vlan, member } => {
                write!(f, "{}: announces {mac}", nic(member))?;
                vlan.map_or(Ok(()), |vlan| write!(f, " in VLAN {vlan}"))
            }
            TeamAction::Probe(member) => write!(f, "{}: asks the gateway", nic(member)),
            TeamAction::Link(true) => f.write_str("the team has a link"),
            TeamAction::Link(false) => f.write_str("the team has no link"),
            TeamAction::Listen(Some(member)) => write!(f, "{}: receives group frames", nic(member)),
            TeamAction::Listen(None) => f.write_str("group frames are received by whichever they come in at"),
            TeamAction::Say(note) => write_note(note, self.names, f),
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
