//! Teams of physical NICs: the table of each, and the rules that span all of them.

use super::{Reader, WIRE_NAME, named};
use crate::team::{
    BEACON_INTERVALS_MS, BEACONS_LOST, LEAST_SILENCE_MS, MOST_DELAY_MS, MOST_NOTICES, NOTICE_SPACINGS_MS,
    VLANS,
};
use crate::text::fields::{Fields, Located, integer, items, kind, text};
use crate::text::value;
use crate::{System, TeamConfig, TeamNics};
use nic_manager::{
    BeaconSettings, FailbackMode, InDoubtPolicy, MAX_BEACON_VLANS, MemberRole, NoticeSettings,
    PolicyConflict, TeamPolicy, TeamSettings,
};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use toml::de::DeValue;

const NIC: &str = "the name of a NIC";
const NICS: &str = "\"all\", or a list of names, like [\"nic0\", \"nic1\"]";
const NAMES: &str = "a list of names, like [\"nic1\"]";
const DELAY: &str = "at most 10 min";
const INTERVAL: &str = "1 ms to 60 s";
const SPACING: &str = "1 ms to 10 s";
const LOST: &str = "a number from 1 to 10";
const COPIES: &str = "a number from 0 to 10";
const VLAN_LIST: &str = "a list of at most 8 VLAN numbers from 1 to 4094, like [10, 20]";
const VLAN: &str = "a VLAN number from 1 to 4094, without quotes";
const GATEWAY: &str = "the IPv4 or IPv6 address of one host, like \"192.0.2.1\"";

const FAILBACKS: [(&str, FailbackMode); 4] = [
    ("always", FailbackMode::Always),
    ("better", FailbackMode::Better),
    ("on-failure", FailbackMode::OnFailure),
    ("manual", FailbackMode::Manual),
];
const IN_DOUBT: [(&str, InDoubtPolicy); 2] =
    [("no-duplicate", InDoubtPolicy::NoDuplicate), ("no-loss", InDoubtPolicy::NoLoss)];
/// Whether `detection` is by beacons.
const DETECTIONS: [(&str, bool); 2] = [("link", false), ("beacon", true)];
const OF_BEACONS: [&str; 4] = ["beacon_interval", "beacon_lost", "beacon_vlans", "gateway"];

/// The table of a team, with the places that rules over several tables need.
struct TeamTable {
    /// Its `nics`.
    nics: Located<()>,
    /// Its `detection`.
    detection: Located<()>,
    /// Each NIC that it names.
    named: Vec<(Located<String>, MemberRole)>,
    /// Its fields have no errors.
    sound: bool,
}

impl Reader<'_, '_> {
    /// All teams of the system.
    pub(super) fn teams(&mut self, tables: Vec<Fields<'_>>, system: &mut System) {
        let tables: Vec<TeamTable> = tables
            .into_iter()
            .map(|fields| {
                let (table, team) = self.team(fields);
                system.teams.push(team);
                table
            })
            .collect();
        let is_all = |team: &TeamConfig| team.nics == TeamNics::All;
        let mut all = system.teams.iter().zip(&tables).filter(|(team, _)| is_all(team));
        let first = all.next().map(|(team, _)| team.name.as_str()).unwrap_or_default();
        for (_, table) in all {
            let message = format!("\"{first}\" is the team of all NICs already, and there can be one");
            table.nics.wrong(self.report, message);
        }
        let mut places = Vec::new();
        for (team, table) in system.teams.iter().zip(&tables) {
            let errors = self.report.count();
            for (nic, role) in &table.named {
                let is_same = |(other, ..): &&(&Located<String>, _, _)| other.value == nic.value;
                if !self.is_known(nic, team, system) {
                    continue;
                }
                if let Some((other, name, role)) = places.iter().find(is_same) {
                    let (nic_name, line) = (nic.value.escape_debug(), self.report.line(&other.at));
                    let message =
                        format!("\"{nic_name}\" is {role} in the team \"{name}\" already, on line {line}");
                    nic.wrong(self.report, message);
                }
                places.push((nic, &team.name, word_of(*role)));
            }
            if table.sound && self.report.count() == errors {
                self.check_members(table, team, system);
            }
        }
    }

    /// True if a NIC that a team names can be there; otherwise it is reported.
    fn is_known(&mut self, nic: &Located<String>, team: &TeamConfig, system: &System) -> bool {
        let sought = if team.nics == TeamNics::All { system.sought_nics() } else { system.nics.clone() };
        let is_known = sought.iter().any(|known| known.name == nic.value);
        if !is_known {
            let known = named("NICs", sought.iter().map(|known| &*known.name));
            let known = known.unwrap_or_else(|| "no [[nic]] is configured".into());
            nic.wrong(self.report, format!("no NIC is named \"{}\" ({known})", nic.value.escape_debug()));
        }
        is_known
    }

    /// A team without errors in its fields has members that can do what it is to do.
    fn check_members(&mut self, table: &TeamTable, team: &TeamConfig, system: &System) {
        let members = system.members(team);
        if !members.iter().any(|(_, role)| *role == MemberRole::Active) {
            let why = match team.nics {
                TeamNics::All => "all NICs that there can be are in other teams, on standby or unused",
                TeamNics::Named(_) => "at least one NIC must be in nics",
            };
            table.nics.wrong(self.report, format!("the team has no active member: {why}"));
        } else if members.len() == 1 && team.settings.beacon.is_some() {
            let message = "beacons need two NICs that hear each other, and this team can only have one";
            table.detection.wrong(self.report, message);
        }
    }

    fn team(&mut self, mut fields: Fields<'_>) -> (TeamTable, TeamConfig) {
        let errors = self.report.count();
        let name = self.name(&mut fields, WIRE_NAME).unwrap_or_else(|name| name);
        let mut named = Vec::new();
        let nics = self.nics(&mut fields, &mut named);
        let mut list = |field, role| {
            let items = fields.items(field, NAMES, self.report).unwrap_or_default();
            let first = named.len();
            self.names(items, role, &mut named);
            named[first..].iter().map(|(nic, _)| nic.value.clone()).collect()
        };
        let standby: Vec<String> = list("standby", MemberRole::Standby);
        let unused = list("unused", MemberRole::Unused);
        let settings = self.settings(&mut fields);
        for conflict in settings.policy.conflicts(!standby.is_empty(), settings.beacon.is_some()) {
            let field = match conflict {
                PolicyConflict::Standby => "standby",
                PolicyConflict::Beacons => "detection",
            };
            fields.place(field).wrong(self.report, conflict.to_string());
        }
        let [nics_place, detection] = ["nics", "detection"].map(|field| fields.place(field));
        fields.finish(self.report);
        let sound = self.report.count() == errors;
        (
            TeamTable { nics: nics_place, detection, named, sound },
            TeamConfig { name, nics, standby, unused, settings },
        )
    }

    /// The active NICs. In the place of a wrong value stands a list of none.
    fn nics(&mut self, fields: &mut Fields<'_>, named: &mut Vec<(Located<String>, MemberRole)>) -> TeamNics {
        let Some(field) = fields.take("nics") else { return TeamNics::All };
        match (field.value, items(&field)) {
            (DeValue::String(word), _) if word == "all" => return TeamNics::All,
            (DeValue::String(word), _) => {
                field.wrong(self.report, format!("\"{}\" is not {NICS}", word.escape_debug()));
            }
            (_, Some(items)) => self.names(items, MemberRole::Active, named),
            (value, None) => field.wrong(self.report, format!("expected {NICS}, but found {}", kind(value))),
        }
        TeamNics::Named(named.iter().map(|(nic, _)| nic.value.clone()).collect())
    }

    /// Appends the names of a list.
    fn names(
        &mut self,
        items: Vec<Located<&DeValue<'_>>>,
        role: MemberRole,
        named: &mut Vec<(Located<String>, MemberRole)>,
    ) {
        let names = items.iter().filter_map(|item| text(item, NIC, self.report));
        named.extend(names.map(|name| (name.with(name.value.to_owned()), role)));
    }

    fn settings(&mut self, fields: &mut Fields<'_>) -> TeamSettings {
        let standard = TeamSettings::STANDARD;
        let policies = TeamPolicy::ALL.map(|policy| (policy.word(), policy));
        let policy = self.word(fields, "policy", &policies).unwrap_or(standard.policy);
        let failback = self.word(fields, "failback", &FAILBACKS).unwrap_or(standard.failback);
        let mut delay = |reader: &mut Self, field, otherwise| {
            reader.milliseconds(fields, field, DELAY, 0..=MOST_DELAY_MS).unwrap_or(otherwise)
        };
        let up_delay_ms = delay(self, "up_delay", standard.up_delay_ms);
        let down_delay_ms = delay(self, "down_delay", standard.down_delay_ms);
        let notice = standard.notice;
        TeamSettings {
            policy,
            failback,
            up_delay_ms,
            down_delay_ms,
            beacon: self.beacon(fields),
            notice: NoticeSettings {
                copies: self.number(fields, "notify", COPIES, 0..=MOST_NOTICES).unwrap_or(notice.copies),
                spacing_ms: self
                    .milliseconds(fields, "notify_spacing", SPACING, NOTICE_SPACINGS_MS)
                    .unwrap_or(notice.spacing_ms),
            },
            in_doubt: self.word(fields, "in_doubt", &IN_DOUBT).unwrap_or(standard.in_doubt),
        }
    }

    fn beacon(&mut self, fields: &mut Fields<'_>) -> Option<BeaconSettings> {
        // A wrong word is neither: no errors follow from it.
        let by_link = fields.given("detection").is_none();
        let wanted = self.word(fields, "detection", &DETECTIONS);
        let mut beacon = BeaconSettings::STANDARD;
        if let Some(interval) = self.milliseconds(fields, "beacon_interval", INTERVAL, BEACON_INTERVALS_MS) {
            beacon.interval_ms = interval;
        }
        if let Some(lost) = self.number(fields, "beacon_lost", LOST, BEACONS_LOST) {
            beacon.lost = lost;
        }
        self.vlans(fields, &mut beacon);
        beacon.gateway = self.gateway(fields);
        if by_link || wanted == Some(false) {
            for field in OF_BEACONS.map(|name| fields.given(name)).into_iter().flatten() {
                field.wrong(self.report, "only a team with detection = \"beacon\" has this field");
            }
        } else if beacon.interval_ms * u32::from(beacon.lost) < LEAST_SILENCE_MS {
            let message = format!(
                "beacon_interval times beacon_lost must be at least {LEAST_SILENCE_MS} ms: a beacon may wait for a guest's turn"
            );
            fields.place("beacon_interval").wrong(self.report, message);
        }
        (wanted == Some(true)).then_some(beacon)
    }

    fn vlans(&mut self, fields: &mut Fields<'_>, beacon: &mut BeaconSettings) {
        let items = fields.items("beacon_vlans", VLAN_LIST, self.report).unwrap_or_default();
        if let Some(surplus) = items.get(MAX_BEACON_VLANS) {
            let message = format!("too many VLANs: {} (at most {MAX_BEACON_VLANS})", items.len());
            surplus.wrong(self.report, message);
        }
        for item in items.into_iter().take(MAX_BEACON_VLANS) {
            match integer(item.value).filter(|vlan| VLANS.contains(vlan)) {
                None => item.wrong(self.report, format!("expected {VLAN}")),
                Some(vlan) if beacon.vlans.contains(&vlan) => {
                    item.wrong(self.report, format!("duplicate VLAN {vlan}"))
                }
                Some(vlan) => drop(beacon.vlans.push(vlan)),
            }
        }
    }

    fn gateway(&mut self, fields: &mut Fields<'_>) -> Option<IpAddr> {
        let field = fields.take("gateway").and_then(|field| text(&field, GATEWAY, self.report))?;
        let is_host = |address: &IpAddr| {
            let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_broadcast)
        };
        let address = field.value.parse().ok().filter(is_host);
        if address.is_none() {
            field.wrong(self.report, format!("\"{}\" is not {GATEWAY}", field.value.escape_debug()));
        }
        address
    }

    /// The value of a field that holds a duration in a range, in milliseconds.
    fn milliseconds(
        &mut self,
        fields: &mut Fields<'_>,
        name: &'static str,
        allowed: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let field = fields.take(name)?;
        let number = match field.value {
            DeValue::String(text) => value::milliseconds(text).and_then(|number| u32::try_from(number).ok()),
            other => integer(other),
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!(
                "invalid duration: expected {allowed}, as a number of milliseconds or with a unit, like \"100 ms\", \"1 s\" or \"2 min\""
            );
            field.wrong(self.report, message);
        }
        number
    }
}

/// What a member is, for a message.
fn word_of(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Active => "active",
        MemberRole::Standby => "on standby",
        MemberRole::Unused => "unused",
    }
}
