//! Rows of the tables that show teams.

use crate::Teams;
use crate::table::{Column, Dash, row, shortened};
use Column::{Number, Text};
use base::Instant;
use core::fmt::{self, Display};
use nic_manager::{
    AdminState, Manager, MemberFault, MemberId, MemberRole, MemberStanding, TeamNames, TeamPolicy, VnicId,
    VnicStanding,
};

/// A team, for `net teams`.
pub(crate) struct TeamRow<'a, T: Teams> {
    pub(crate) teams: &'a T,
    pub(crate) number: usize,
    /// `None` if the machine has none of its NICs.
    pub(crate) manager: Option<&'a Manager>,
    pub(crate) names: &'a T::Names,
    /// Frames for the wire that were dropped.
    pub(crate) lost: u64,
    /// Frames from the wire that were nobody's.
    pub(crate) filtered: u64,
    pub(crate) now: Instant,
}

impl<T: Teams> TeamRow<'_, T> {
    pub(crate) const HEADING: &'static str = "team             policy  link vNICs   lost filtered  NICs";
}

impl<T: Teams> Display for TeamRow<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.manager.map_or("-", |manager| manager.policy().word());
        let link = self.manager.is_some_and(|manager| !manager.usable().is_empty());
        let vnics = self.manager.map_or(0, |manager| manager.vnics().count());
        let columns = [
            Text(&self.names.team(), 16),
            Text(&policy, 7),
            Text(&if link { "up" } else { "down" }, 4),
            Number(&vnics, 5),
            Number(&self.lost, 6),
            Number(&self.filtered, 8),
        ];
        row(f, &columns)?;
        let mut between = "  ";
        let members = self.manager.into_iter().flat_map(Manager::members);
        for (id, standing) in (0..).map_while(MemberId::new).zip(members) {
            write!(f, "{between}{} {}", self.names.nic(id), standing.role)?;
            f.write_str(if standing.carries > 0 { " in use" } else { "" })?;
            if standing.fault.is_some() {
                write!(f, " ({})", FaultText { standing, now: self.now })?;
            }
            between = ", ";
        }
        for (name, role) in self.teams.missing(self.number) {
            write!(f, "{between}{name} {role} (missing)")?;
            between = ", ";
        }
        // A team of all NICs need not name any.
        f.write_str(if between == "  " { "  missing" } else { "" })
    }
}

/// A member, for `net team`.
pub(crate) struct MemberRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: MemberRole,
    /// `None` if the machine has no such NIC.
    pub(crate) standing: Option<MemberStanding>,
    /// Bytes a second out and in.
    pub(crate) rates: [u64; 2],
    pub(crate) now: Instant,
}

impl MemberRow<'_> {
    pub(crate) const HEADING: &'static str =
        "NIC              role    link Mb/s carries kb/s out  kb/s in missed  state";
}

impl Display for MemberRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [out, into] = self.rates.map(|bytes| bytes / 125);
        let speed = self.standing.filter(|member| member.link.up).map(|member| member.link.speed.megabits());
        let columns = [
            Text(&self.name, 16),
            Text(&self.role, 7),
            Text(&if speed.is_some() { "up" } else { "down" }, 4),
            Number(&Dash(speed), 4),
            Number(&self.standing.map_or(0, |member| member.carries), 7),
            Number(&out, 8),
            Number(&into, 8),
            Number(&Dash(self.standing.and_then(|member| member.missed)), 6),
        ];
        row(f, &columns)?;
        match self.standing {
            Some(standing) => write!(f, "  {}", StandingText { standing, now: self.now }),
            None => f.write_str("  missing"),
        }
    }
}

/// What a member does, or why it does nothing.
pub(crate) struct StandingText {
    pub(crate) standing: MemberStanding,
    pub(crate) now: Instant,
}

impl Display for StandingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { standing, now } = *self;
        match standing.fault {
            Some(_) => FaultText { standing, now }.fmt(f)?,
            None => f.write_str(if standing.carries > 0 { "in use" } else { "ready" })?,
        }
        // While no member can receive, one that has done so stays chosen.
        let receives = standing.listens && standing.link.up && standing.admin != AdminState::Down;
        f.write_str(if receives { ", receives group frames" } else { "" })
    }
}

/// What is wrong with a member, and what the operator wants of it: in few words, since it ends a row.
struct FaultText {
    standing: MemberStanding,
    now: Instant,
}

impl Display for FaultText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemberStanding { fault, admin, settles_at, failures, .. } = self.standing;
        match fault {
            Some(MemberFault::Admin) => return write!(f, "operator: {admin}"),
            Some(MemberFault::Settling) => {
                let left = settles_at.map_or(0, |at| at.saturating_since(self.now).as_secs() + 1);
                write!(f, "held down {left} s more, failures {failures}")?;
            }
            Some(MemberFault::Manual) => write!(f, "waits for the operator, failures {failures}")?,
            Some(fault) => fault.fmt(f)?,
            None => {}
        }
        if admin == AdminState::Up { Ok(()) } else { write!(f, ", operator: {admin}") }
    }
}

/// The VLANs on which a team sends beacons.
pub(crate) struct VlanList<'a>(pub(crate) &'a [u16]);

impl Display for VlanList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else { return f.write_str("no VLAN") };
        write!(f, "VLANs {first}")?;
        others.iter().try_for_each(|vlan| write!(f, ", {vlan}"))
    }
}

/// A vNIC of a team, for `net team`.
pub(crate) struct CarriedRow<'a, N> {
    pub(crate) names: &'a N,
    pub(crate) manager: &'a Manager,
    pub(crate) vnic: VnicId,
    pub(crate) standing: VnicStanding<'a>,
}

impl<N> CarriedRow<'_, N> {
    pub(crate) const HEADING: &'static str =
        "vNIC             MAC               carried by       priority     kb/s";
}

impl<N: TeamNames> Display for CarriedRow<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VnicStanding { info, on, rate, carrier } = self.standing;
        // A NIC that is alone is not asked whose frames it carries.
        let measured = self.manager.members().len() > 1;
        let (vm, number) = self.names.vnic(self.vnic);
        let carrier = match carrier {
            Some(member) => self.names.nic(member),
            None if self.manager.policy() == TeamPolicy::IpHash => "by address",
            None => "-",
        };
        let columns = [
            Text(&format_args!("{}/{number}", shortened::<14>(&vm)), 16),
            Text(&info.mac, 17),
            Text(&carrier, 16),
            Number(&info.priority, 8),
            Number(&Dash(measured.then_some(rate / 125)), 8),
        ];
        row(f, &columns)?;
        f.write_str(if on { "" } else { "  off" })?;
        for (mac, vlan) in self.manager.addresses(self.vnic).skip(1) {
            write!(f, "  also {mac}")?;
            vlan.map_or(Ok(()), |vlan| write!(f, " in VLAN {vlan}"))?;
        }
        Ok(())
    }
}
