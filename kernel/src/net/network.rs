//! All switches and physical NICs.

use super::segment::LanSegment;
use super::uplink::Uplink;
use crate::meeting::vnic_slot::VnicSlot;
use crate::processor::{clock, cores, cpu};
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::bits::low_u8;
use base::{Duration, Instant};
use config::TeamPlan;
use core::sync::atomic::{AtomicU64, Ordering};
use nic_manager::{MemberRole, Team, TeamPlace, TeamSecrets, TeamSettings, VnicInfo};
use path::{PathError, PortConfig, PortId};
use spin::Once;

/// Name of the switch of vNICs without an uplink.
pub(super) const LOCAL: &str = "local";

static NETWORK: Once<&'static Network> = Once::new();

/// Stops the physical NICs, at the end of Weir, whatever its reason: no guest runs any more. Waits for nothing.
pub fn stop_nics() {
    NETWORK.get().into_iter().flat_map(|network| &network.segments).for_each(LanSegment::stop_uplink);
}

/// The team of these NICs, which serves these vNICs; `None` without a NIC.
fn make_team(
    (number, secrets): (usize, TeamSecrets),
    nics: Vec<(Uplink, MemberRole)>,
    settings: TeamSettings,
    vnics: &[Arc<VnicSlot>],
    system: &config::System,
) -> Option<Team<Uplink>> {
    let mut nics = nics;
    nics.iter_mut().for_each(|(uplink, _)| uplink.nic.hold_back(settings.holds_back()));
    let info = |(port, slot): (u8, &Arc<VnicSlot>)| {
        let (vm, number) = (low_u8(slot.guest as u64), low_u8(slot.number() as u64));
        VnicInfo { port, vm, number, mac: slot.mac, priority: system.vms[slot.guest].priority }
    };
    let infos: Vec<_> = (1..).zip(vnics).map(info).collect();
    let place = TeamPlace { number: low_u8(number as u64), secrets, now: clock::now() };
    (!nics.is_empty()).then(|| Team::new(nics, settings, &infos, place))
}

/// All switches and physical NICs.
pub struct Network {
    /// Those with a team that has NICs first; then those whose NICs are missing; the last is for vNICs without an uplink.
    pub(super) segments: Vec<LanSegment>,
    /// All vNICs, in the order of their guests.
    pub(super) vnics: Vec<Arc<VnicSlot>>,
    /// Until when the guests of the boot core come first, in nanoseconds.
    rest_until: AtomicU64,
}

impl Network {
    /// Connects the guests' vNICs and these physical NICs, in their teams. A team whose NICs are missing has no link, as one whose NICs
    /// do not work: the vNICs that keep theirs reach each other, as on a switch without a cable to the wire.
    ///
    /// # Errors
    /// [`PathError`], for vNICs that no checked configuration has.
    pub fn new(
        mut uplinks: Vec<Uplink>,
        vnics: Vec<Arc<VnicSlot>>,
        system: &config::System,
    ) -> Result<Self, PathError> {
        let found: Vec<&str> = uplinks.iter().map(|uplink| &*uplink.name).collect();
        let plans = system.team_plans(&found);
        let mut members: Vec<Vec<Arc<VnicSlot>>> = (0..=plans.len()).map(|_| Vec::new()).collect();
        for vnic in &vnics {
            let wanted = vnic.uplink.as_deref();
            let plan = wanted.and_then(|uplink| plans.iter().position(|plan| plan.name == uplink));
            let segment = plan.unwrap_or(plans.len());
            let is_missing = plan.is_some_and(|plan| plans[plan].members.is_empty());
            if let Some(uplink) = wanted.filter(|_| is_missing) {
                let (guest, mac) = (&system.vms[vnic.guest].name, vnic.mac);
                let link = if vnic.follow_link(false, clock::now()) { "down" } else { "up" };
                log::warn!(
                    "{guest}: vNIC {mac} has no way to the wire: there is no physical NIC for {uplink}; its link is {link}"
                );
            }
            // The port of the team is the first one of its switch.
            let with_team = plan.is_some() && !is_missing;
            vnic.plug_into(segment, members[segment].len() + usize::from(with_team));
            members[segment].push(vnic.clone());
        }
        let all: Vec<_> = vnics.iter().map(|vnic| PortConfig::guest_numbered(vnic.mac, vnic.guest)).collect();
        let mut take = |name: &str| {
            let place = uplinks.iter().position(|uplink| uplink.name == name)?;
            Some(uplinks.remove(place))
        };
        let secrets =
            TeamSecrets { beacons: [0; 2].map(|_| cpu::random()), copies: [0; 2].map(|_| cpu::random()) };
        let (name, none, settings) = (LOCAL.into(), Vec::new(), TeamSettings::STANDARD);
        let local = TeamPlan { name, members: none.clone(), missing: none, settings };
        let segments =
            plans.into_iter().chain([local]).zip(members).enumerate().map(|(number, (plan, members))| {
                let nics = plan.members.iter().filter_map(|(nic, role)| Some((take(nic)?, *role))).collect();
                let team = make_team((number, secrets), nics, plan.settings, &members, system);
                LanSegment::new((plan.name, plan.missing), team, members, &all)
            });
        let segments = segments.collect::<Result<_, _>>()?;
        Ok(Self { segments, vnics, rest_until: AtomicU64::new(0) })
    }

    /// Does a piece of the work that a guest of this core has given with its vNIC. False if another core is at the
    /// switch: the work stays noted.
    pub fn work(&self, vnic: &VnicSlot) -> bool {
        let (segment, port) = vnic.place();
        let segment = self.segments.get(segment).zip(PortId::new(port));
        segment.is_none_or(|(segment, port)| segment.work(vnic, port))
    }

    /// On the boot core: serves those switches whose physical NIC has interrupted or whose deadline has come.
    /// Returns how long that took: nobody is charged for it. While guests of this core have something to execute,
    /// they get at least as much time as the wire.
    pub fn serve(&self, guests_wait: bool, now: Instant) -> Duration {
        if cores::current() != cores::BOOT_CORE {
            return Duration::ZERO;
        }
        self.segments.iter().for_each(|segment| segment.take_interrupt(&self.segments));
        if guests_wait && now.as_nanos() < self.rest_until.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let (mut served, mut more) = (false, false);
        for segment in self.segments.iter().filter(|segment| segment.wants_service(now)) {
            more |= segment.serve();
            served = true;
        }
        if !served {
            return Duration::ZERO;
        }
        let end = clock::now();
        let spent = end - now;
        self.rest_until.store(if more { (end + spent).as_nanos() } else { 0 }, Ordering::Relaxed);
        spent
    }

    /// When [`serve`](Self::serve) must run at the latest.
    pub fn next_deadline(&self, guests_wait: bool, now: Instant) -> Option<Instant> {
        if cores::current() != cores::BOOT_CORE {
            return None;
        }
        let rest = Instant(self.rest_until.load(Ordering::Relaxed));
        let due = self.segments.iter().filter_map(|segment| segment.next_deadline(now)).min()?;
        Some(if guests_wait { due.max(rest) } else { due })
    }

    /// Notes that this network is the machine's.
    pub fn note(&'static self) {
        NETWORK.call_once(|| self);
    }

    /// Logs what every port has carried and dropped.
    pub fn log_statistics(&self) {
        self.segments.iter().for_each(LanSegment::log_uplink);
        self.segments.iter().for_each(LanSegment::log_ports);
    }
}
