//! Why a frame goes by one member and not by another.

use crate::action::MemberFault;
use crate::manager::Manager;
use crate::member_state::MemberState;
use crate::report::TeamNames;
use crate::vnic::VnicState;
use crate::{FailbackMode, MemberId, TeamEvent, TeamPolicy, VnicId, policy};
use base::{Instant, LinkStatus, NicCondition};
use core::fmt;

/// The reasons for the choice of a member, line by line: what is known, the rule, the result, and what would have to change for
/// another one.
pub struct Why<'a, N> {
    /// The manager that has chosen.
    pub manager: &'a Manager,
    /// A copy of it, to which things may happen: what it would choose then.
    pub spare: &'a mut Manager,
    /// How things are called.
    pub names: &'a N,
    /// The vNIC.
    pub vnic: VnicId,
    /// The bucket of the frame.
    pub bucket: usize,
    /// The present.
    pub now: Instant,
}

impl<N: TeamNames> Why<'_, N> {
    /// Passes each line to `say`.
    pub fn explain(&mut self, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let Self { manager, names, bucket, .. } = *self;
        let Some(vnic) = manager.vnics.get(usize::from(self.vnic.0)) else { return };
        self.tell_vnic(vnic, say);
        for (member, state) in (0..).map_while(MemberId::new).zip(&manager.members) {
            self.tell_member(member, state, say);
        }
        say(format_args!("rule: policy {}: {} -> bucket {bucket}", manager.policy(), manager.key()));
        let nic = |member: Option<MemberId>| member.map_or("none", |member| names.nic(member));
        let carrier = manager.table().get(bucket);
        let home = policy::policy(manager.policy()).home(bucket, &policy::TeamView::new(manager));
        match (carrier, home) {
            (None, _) => say(format_args!("result: no NIC: none can carry frames")),
            (Some(_), home) if home == carrier => {
                say(format_args!("result: {}, where it is at home", nic(carrier)));
            }
            (Some(_), home) => {
                let why = home.and_then(|home| manager.fault(home));
                match why {
                    Some(fault) => say(format_args!(
                        "result: {}, since {}, where it is at home: {fault}",
                        nic(carrier),
                        nic(home)
                    )),
                    None => say(format_args!(
                        "result: {}; {} is its home, and failback {} leaves it where it is",
                        nic(carrier),
                        nic(home),
                        manager.settings().failback
                    )),
                }
            }
        }
        self.tell_others(carrier, home, say);
    }

    fn tell_vnic(&self, vnic: &VnicState, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let (vm, number) = self.names.vnic(self.vnic);
        let on = if vnic.on { "on" } else { "off" };
        let info = &vnic.info;
        say(format_args!(
            "{vm}/{number}: {}, port {}, priority {}, {on}, sends {} kb/s, addresses {}",
            info.mac,
            info.port,
            info.priority,
            vnic.rate / 125,
            vnic.addresses.len()
        ));
    }

    fn tell_member(&self, member: MemberId, state: &MemberState, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let name = self.names.nic(member);
        let sends = self.manager.load.rates[member.index()] / 125;
        let carries = self.manager.counts()[member.index()];
        let usable = self.manager.usable().contains(member);
        let place = format_args!("{}, carries {carries}, sends {sends} kb/s", state.role);
        match (self.manager.fault(member), usable) {
            (None, true) => say(format_args!("{name}: link {}, {place}", state.link)),
            (None, false) => say(format_args!("{name}: link {}, {place}; not used", state.link)),
            (Some(fault), true) => {
                say(format_args!("{name}: {fault}, {place}; used, since there is no better one"));
            }
            (Some(MemberFault::Settling), false) => {
                let left = state.settles_at.map(|at| at.saturating_since(self.now).as_secs() + 1);
                let left = left.unwrap_or_default();
                say(format_args!("{name}: works again, held down for {left} s more, {place}"));
            }
            (Some(fault), false) => say(format_args!("{name}: {fault}, {place}")),
        }
    }

    /// What would have to change: another carrier if this one failed, and the home if that worked.
    fn tell_others(
        &mut self,
        carrier: Option<MemberId>,
        home: Option<MemberId>,
        say: &mut dyn FnMut(fmt::Arguments<'_>),
    ) {
        let Self { manager, spare, names, bucket, now, .. } = self;
        if let Some(member) = carrier {
            (**spare).clone_from(manager);
            // Not by its link alone, which would count for the down delay.
            let (condition, link) = (NicCondition::Failed, LinkStatus::DOWN);
            spare.handle(&TeamEvent::Nic { member, condition, link }, *now, &mut drop);
            let (name, next) = (names.nic(member), spare.table().get(*bucket));
            let next = next.map_or("no NIC", |next| names.nic(next));
            say(format_args!("else: {next}, if {name} failed"));
        }
        match (home, carrier) {
            (Some(home), Some(carrier)) if home != carrier => {
                let name = names.nic(home);
                match manager.settings().failback {
                    FailbackMode::Always => say(format_args!("else: {name}, as soon as it may be used")),
                    FailbackMode::Better => say(format_args!("else: {name}, if it were the better one")),
                    FailbackMode::OnFailure => {
                        say(format_args!("else: {name}, if {} failed", names.nic(carrier)));
                    }
                    FailbackMode::Manual => say(format_args!("else: {name}, after net nic {name} up")),
                }
            }
            _ => {}
        }
        if manager.policy() == TeamPolicy::Load {
            say(format_args!(
                "else: another one, if this one sent at 75 % of its speed for 30 s and that helped"
            ));
        }
    }
}
