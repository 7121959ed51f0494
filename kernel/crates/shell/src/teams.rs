//! What the operator reads of teams, and does with them.

use crate::TeamCommand;
use crate::table::{Column, Dash, counts, row, shortened};
use Column::{Number, Text};
use base::{Instant, MacAddress};
use core::fmt::{self, Display};
use nic_manager::{
    AdminState, FrameDestination, Manager, MemberId, MemberStanding, ReportLine, Team, TeamMember, TeamNames,
    TeamPolicy, TeamReport, VnicId, VnicStanding, write_history,
};

/// Where lines of the answer go.
type Say<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// A team, as long as nobody else uses it.
pub struct TeamAccess<'a, M, N> {
    /// The team; `None` if the machine has none of its NICs.
    pub team: Option<&'a mut Team<M>>,
    /// How things are called.
    pub names: &'a N,
    /// Frames for the wire that its switch has dropped.
    pub lost: u64,
}

/// The teams of the machine, under their numbers in [`crate::Names`]; behind them, the switch of vNICs without an uplink.
pub trait Teams {
    /// A member.
    type Member: TeamMember;
    /// How things are called.
    type Names: TeamNames;

    /// Number of teams.
    fn count(&self) -> usize;

    /// Passes a team to `look`.
    fn access<R>(
        &self,
        team: usize,
        look: impl FnOnce(TeamAccess<'_, Self::Member, Self::Names>) -> R,
    ) -> Option<R>;

    /// The team of a NIC, and its place there.
    fn member(&self, nic: usize) -> Option<(usize, MemberId)>;

    /// The teams that the vNICs of a VM belong to, and their numbers there.
    fn vnics(&self, vm: usize) -> impl Iterator<Item = (usize, VnicId)>;

    /// The vNIC that has this address, as the switch of the team knows.
    fn find(&self, team: usize, mac: MacAddress, now: Instant) -> Option<VnicId>;

    /// Frames that wait may find another way now.
    fn kick(&self, team: usize);
}

/// Executes a command for teams, and passes the lines of the answer to `say`.
pub fn answer<T: Teams>(teams: &T, command: TeamCommand, now: Instant, say: Say<'_>) {
    match command {
        TeamCommand::List => {
            say(format_args!("{}", TeamRow::<T::Names>::HEADING));
            for_each(teams, |access| {
                let team = access.team.as_deref();
                let filtered = team.map_or(0, |team| team.counters().filtered());
                let (manager, names, lost) = (team.map(Team::manager), access.names, access.lost);
                say(format_args!("{}", TeamRow { manager, names, lost, filtered }));
            });
        }
        TeamCommand::Describe { team } => {
            teams.access(team, |access| describe(&access, say));
        }
        TeamCommand::Why { vm, destination } => {
            for (team, vnic) in teams.vnics(vm) {
                let mac = destination
                    .and_then(|to| if let FrameDestination::Mac(mac) = to { Some(mac) } else { None });
                let here = mac.and_then(|mac| teams.find(team, mac, now));
                teams.access(team, |access| explain(&access, (vnic, destination, here), now, say));
            }
        }
        TeamCommand::Events => for_each(teams, |access| {
            let Some(team) = access.team else { return };
            let mut reports = team.reports_since(0).peekable();
            if reports.peek().is_none() {
                say(format_args!("{}: nothing was decided", access.names.team()));
            }
            reports.for_each(|report| {
                let (at, line) = (shortened::<16>(&report.at), line(report, access.names));
                say(format_args!("[{at:>12}] {line}"));
            });
        }),
        TeamCommand::RawEvents { team } => {
            let wanted = team.map_or(0..teams.count(), |team| team..team + 1);
            for team in wanted {
                teams.access(team, |TeamAccess { team, names, .. }| {
                    team.into_iter().for_each(|team| write_history(team.recorder(), names, say));
                });
            }
        }
        TeamCommand::Policy { team, policy } => steer(teams, team, TeamChange::Policy(policy), now, say),
        TeamCommand::Nic { nic, state } => {
            if let Some((team, member)) = teams.member(nic) {
                steer(teams, team, TeamChange::Admin(member, state), now, say);
            }
        }
    }
}

fn for_each<T: Teams>(teams: &T, mut look: impl FnMut(TeamAccess<'_, T::Member, T::Names>)) {
    (0..teams.count()).for_each(|team| _ = teams.access(team, &mut look));
}

fn line<'a, N: TeamNames>(report: &TeamReport, names: &'a N) -> ReportLine<'a, N> {
    ReportLine { report: *report, names }
}

/// What the operator changes.
#[derive(Clone, Copy)]
enum TeamChange {
    Policy(TeamPolicy),
    Admin(MemberId, AdminState),
}

/// Changes a team, and tells what has come of it.
fn steer<T: Teams>(teams: &T, team: usize, change: TeamChange, now: Instant, say: Say<'_>) {
    teams.access(team, |TeamAccess { team, names, .. }| {
        let Some(team) = team else {
            say(format_args!("{}: the machine has none of its NICs", names.team()));
            return;
        };
        if let TeamChange::Policy(policy) = change
            && let Some(conflict) = team.manager().conflicts(policy).next()
        {
            say(format_args!("{}: {conflict}", names.team()));
            return;
        }
        let (before, _) = team.report_counts();
        match change {
            TeamChange::Policy(policy) => team.set_policy(policy, now),
            TeamChange::Admin(member, state) => team.administer(member, state, now),
        }
        if team.report_counts().0 == before {
            say(format_args!("{}: nothing changes", names.team()));
        }
        team.reports_since(before).for_each(|report| say(format_args!("{}", line(report, names))));
    });
    teams.kick(team);
}

/// `net why`, for one vNIC; `here` is the one that the frame would go to.
fn explain<M: TeamMember, N: TeamNames>(
    access: &TeamAccess<'_, M, N>,
    (vnic, destination, here): (VnicId, Option<FrameDestination>, Option<VnicId>),
    now: Instant,
    say: Say<'_>,
) {
    let names = access.names;
    let (vm, number) = names.vnic(vnic);
    match (&access.team, destination.zip(here)) {
        (_, Some((to, here))) if here == vnic => say(format_args!("{vm}/{number}: {to} is its own address")),
        (_, Some((to, here))) => {
            let (there, other) = names.vnic(here);
            say(format_args!(
                "{vm}/{number}: the frame does not leave the machine: {to} is at {there}/{other}"
            ));
        }
        (Some(team), None) => team.explain((vnic, destination), names, now, say),
        (None, None) => say(format_args!("{vm}/{number}: no NIC: its switch {} has none", names.team())),
    }
}

/// `net team`.
fn describe<M: TeamMember, N: TeamNames>(access: &TeamAccess<'_, M, N>, say: Say<'_>) {
    let (name, names) = (access.names.team(), access.names);
    let Some(team) = access.team.as_deref() else {
        say(format_args!("{name}: the machine has none of its NICs"));
        return;
    };
    let (manager, settings) = (team.manager(), team.manager().settings());
    say(format_args!(
        "{name}: policy {}, failback {}, up delay {} ms, down delay {} ms, frames in doubt: {}",
        settings.policy, settings.failback, settings.up_delay_ms, settings.down_delay_ms, settings.in_doubt
    ));
    let notice = settings.notice;
    let notices = format_args!("notices {}, {} ms apart", notice.copies, notice.spacing_ms);
    match &settings.beacon {
        None => say(format_args!("{name}: {notices}; no beacons")),
        Some(beacon) => {
            let vlans = beacon.vlans.len();
            say(format_args!(
                "{name}: {notices}; beacons each {} ms, {} may be missed, VLANs {vlans}",
                beacon.interval_ms, beacon.lost
            ));
            beacon.gateway.iter().for_each(|gateway| say(format_args!("{name}: gateway {gateway}")));
        }
    }
    say(format_args!("{}", MemberRow::HEADING));
    let members = (0..).map_while(MemberId::new).zip(manager.members()).zip(team.members());
    for ((id, standing), member) in members {
        let rates = member.info().rates;
        say(format_args!(
            "{}",
            MemberRow { name: names.nic(id), standing, rates: [rates.sent, rates.received] }
        ));
    }
    say(format_args!("{}", CarriedRow::<N>::HEADING));
    for (vnic, standing) in (0..).map(VnicId).zip(manager.vnics()) {
        say(format_args!("{}", CarriedRow { names, manager, vnic, standing }));
    }
    let own = team.counters();
    say(format_args!("{name}:{}", counts([("lost", access.lost)].into_iter().chain(own.named()))));
}

/// A team, for `net teams`.
struct TeamRow<'a, N> {
    manager: Option<&'a Manager>,
    names: &'a N,
    /// Frames for the wire that were dropped.
    lost: u64,
    /// Frames from the wire that were nobody's.
    filtered: u64,
}

impl<N> TeamRow<'_, N> {
    const HEADING: &'static str = "team             policy  link vNICs   lost filtered  NICs";
}

impl<N: TeamNames> Display for TeamRow<'_, N> {
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
        let Some(manager) = self.manager else { return f.write_str("  missing") };
        for (id, standing) in (0..).map_while(MemberId::new).zip(manager.members()) {
            let comma = if id.index() == 0 { " " } else { "," };
            write!(f, "{comma} {} {}", self.names.nic(id), standing.role)?;
            match standing.fault {
                _ if standing.carries > 0 => f.write_str(" in use")?,
                Some(fault) => write!(f, " ({fault})")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// A member, for `net team`.
struct MemberRow<'a> {
    name: &'a str,
    standing: MemberStanding,
    /// Bytes a second out and in.
    rates: [u64; 2],
}

impl MemberRow<'_> {
    const HEADING: &'static str =
        "NIC              role    link Mb/s carries kb/s out  kb/s in missed  state";
}

impl Display for MemberRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemberStanding { role, link, fault, listens, carries, missed, .. } = self.standing;
        let [out, into] = self.rates.map(|bytes| bytes / 125);
        let speed = link.up.then(|| link.speed.megabits());
        let columns = [
            Text(&self.name, 16),
            Text(&role, 7),
            Text(&if link.up { "up" } else { "down" }, 4),
            Number(&Dash(speed), 4),
            Number(&carries, 7),
            Number(&out, 8),
            Number(&into, 8),
            Number(&Dash(missed.map(u32::from)), 6),
        ];
        row(f, &columns)?;
        match fault {
            Some(fault) => write!(f, "  {fault}")?,
            None => f.write_str(if carries > 0 { "  in use" } else { "  ready" })?,
        }
        f.write_str(if listens { ", receives group frames" } else { "" })
    }
}

/// A vNIC of a team, for `net team`.
struct CarriedRow<'a, N> {
    names: &'a N,
    manager: &'a Manager,
    vnic: VnicId,
    standing: VnicStanding<'a>,
}

impl<N> CarriedRow<'_, N> {
    const HEADING: &'static str = "vNIC             MAC               carried by       priority     kb/s";
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

#[cfg(test)]
#[path = "teams_tests.rs"]
mod tests;
