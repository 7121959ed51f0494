//! What the operator reads of teams, and does with them.

use crate::TeamCommand;
use crate::table::{counts, shortened};
use crate::team_rows::{CarriedRow, MemberRow, StandingText, TeamRow, VlanList};
use base::{Instant, MacAddress};
use core::fmt;
use nic_manager::{
    AdminState, FrameDestination, MemberId, MemberRole, MemberStanding, ReportLine, Team, TeamMember,
    TeamNames, TeamPolicy, TeamReport, TeamSettings, VnicId, write_history,
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

    /// The NICs that a team is to have and the machine lacks, and what they would be there for.
    fn missing(&self, team: usize) -> impl Iterator<Item = (&str, MemberRole)>;

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
        TeamCommand::List => list(teams, now, say),
        TeamCommand::Describe { team } => describe(teams, team, now, say),
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
        let ((made, _), usable) = (team.report_counts(), team.manager().usable());
        let mut changed = None;
        match change {
            TeamChange::Policy(policy) => team.set_policy(policy, now),
            TeamChange::Admin(member, state) => {
                let before = standing(team, member);
                team.administer(member, state, now);
                changed = standing(team, member).filter(|after| before != Some(*after)).zip(Some(member));
            }
        }
        match changed {
            _ if team.report_counts().0 != made => {
                team.reports_since(made).for_each(|report| say(format_args!("{}", line(report, names))));
            }
            // Where nothing moves, as of a NIC that was drained before.
            Some((standing, member)) => say(format_args!(
                "team {}: {}: {}",
                names.team(),
                names.nic(member),
                StandingText { standing, now }
            )),
            None => say(format_args!("{}: nothing changes", names.team())),
        }
        if !usable.is_empty() && team.manager().usable().is_empty() {
            say(format_args!(
                "{}: no usable NIC is left: its guests lose their link, but for uplink_link = \"up\"",
                names.team()
            ));
        }
    });
    teams.kick(team);
}

fn standing<M: TeamMember>(team: &Team<M>, member: MemberId) -> Option<MemberStanding> {
    team.manager().members().nth(member.index())
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

/// `net teams`.
fn list<T: Teams>(teams: &T, now: Instant, say: Say<'_>) {
    say(format_args!("{}", TeamRow::<T>::HEADING));
    for number in 0..teams.count() {
        teams.access(number, |TeamAccess { team, names, lost }| {
            let filtered = team.as_ref().map_or(0, |team| team.counters().filtered());
            let manager = team.as_ref().map(|team| team.manager());
            say(format_args!("{}", TeamRow { teams, number, manager, names, lost, filtered, now }));
        });
    }
}

/// `net team`.
fn describe<T: Teams>(teams: &T, number: usize, now: Instant, say: Say<'_>) {
    let missing = |say: Say<'_>| {
        for (name, role) in teams.missing(number) {
            say(format_args!("{}", MemberRow { name, role, standing: None, rates: [0; 2], now }));
        }
    };
    teams.access(number, |TeamAccess { team, names, lost }| {
        let name = names.team();
        let Some(team) = team else {
            say(format_args!("{name}: the machine has none of its NICs"));
            missing(say);
            return;
        };
        let manager = team.manager();
        tell_settings(name, manager.settings(), say);
        say(format_args!("{}", MemberRow::HEADING));
        let members = (0..).map_while(MemberId::new).zip(manager.members()).zip(team.members());
        for ((id, standing), member) in members {
            let (name, role, rates) = (names.nic(id), standing.role, member.info().rates);
            let rates = [rates.sent, rates.received];
            say(format_args!("{}", MemberRow { name, role, standing: Some(standing), rates, now }));
        }
        missing(say);
        say(format_args!("{}", CarriedRow::<T::Names>::HEADING));
        for (vnic, standing) in (0..).map(VnicId).zip(manager.vnics()) {
            say(format_args!("{}", CarriedRow { names, manager, vnic, standing }));
        }
        let (own, (_, reports_lost)) = (team.counters(), team.report_counts());
        let own = own.named().chain([("reports_lost", reports_lost)]);
        say(format_args!("{name}:{}", counts([("lost", lost)].into_iter().chain(own))));
    });
}

/// How the team is to behave.
fn tell_settings(name: &str, settings: &TeamSettings, say: Say<'_>) {
    say(format_args!(
        "{name}: policy {}, failback {}, up delay {} ms, down delay {} ms, frames in doubt: {}",
        settings.policy, settings.failback, settings.up_delay_ms, settings.down_delay_ms, settings.in_doubt
    ));
    let (notice, beacon) = (settings.notice, &settings.beacon);
    let none = if beacon.is_none() { "; no beacons" } else { "" };
    say(format_args!("{name}: notices {}, {} ms apart{none}", notice.copies, notice.spacing_ms));
    let Some(beacon) = beacon else { return };
    let (interval, lost, vlans) = (beacon.interval_ms, beacon.lost, VlanList(&beacon.vlans));
    say(format_args!("{name}: beacons each {interval} ms, cut off after {lost} missed, {vlans}"));
    beacon.gateway.iter().for_each(|gateway| say(format_args!("{name}: gateway {gateway}")));
}

#[cfg(test)]
#[path = "teams_tests.rs"]
mod tests;
