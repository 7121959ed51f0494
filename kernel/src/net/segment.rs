//! A switch with its ports, used by any core, one at a time.

use super::guest_port::GuestPort;
use super::uplink::Uplink;
use crate::hardware::interrupt::{local_apic, pending};
use crate::log::counts;
use crate::meeting::directory;
use crate::meeting::vnic_slot::VnicSlot;
use crate::processor::{clock, cores, cpu};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Duration, Effects, Instant, MacAddress, Port};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use nic_manager::{MemberId, MemberRole, ReportLine, Team, TeamNames, VnicId};
use path::{MAX_PORTS, PathError, PluggedPort, PortConfig, PortCounters, PortId, Progress, Switch};
use schedule::{Alarm, Precedence};
use spin::{Mutex, MutexGuard};

/// Maximum number of frames that are polled under one lock.
const BATCH: usize = 32;
/// Maximum number of batches from the wire in one service, and when it ends before that.
const BATCHES: usize = 8;
const SERVICE: Duration = Duration::from_micros(250);
/// No deadline.
const NEVER: u64 = u64::MAX;

/// What is plugged into a switch.
type SwitchPort<'a> = PluggedPort<&'a mut Team<Uplink>, GuestPort<'a>>;

/// A switch with its ports.
pub struct LanSegment {
    /// Name of its team, or of its only NIC, in the configuration, or `local`.
    pub(super) name: String,
    /// The vNICs. Their ports follow that of the team if there is one, and begin with 0 if not.
    pub(super) members: Vec<Arc<VnicSlot>>,
    /// The vectors that the team's NICs raise.
    vectors: Vec<Option<u8>>,
    /// Names of the team's NICs.
    pub(super) nics: Vec<String>,
    /// Those that it is to have and the machine lacks.
    pub(super) missing: Vec<(String, MemberRole)>,
    /// The boot core has work to do.
    kicked: AtomicBool,
    /// NICs of the team that have interrupted, a bit for each.
    interrupted: AtomicU8,
    /// When the switch must be served at the latest, by the boot core.
    deadline: Alarm,
    /// Who comes next at the traffic: the wire has number 0, each core its own and one.
    precedence: Precedence,
    traffic: Mutex<Traffic>,
}

/// The part that only the core that serves the switch may touch.
pub(super) struct Traffic {
    /// What carries frames to the wire.
    pub(super) team: Option<Team<Uplink>>,
    switch: Box<Switch>,
}

impl LanSegment {
    /// A switch with these ports, on a machine with these vNICs.
    pub(super) fn new(
        (name, missing): (String, Vec<(String, MemberRole)>),
        team: Option<Team<Uplink>>,
        members: Vec<Arc<VnicSlot>>,
        vnics: &[PortConfig],
    ) -> Result<Self, PathError> {
        let guests = members.iter().map(|member| PortConfig::guest_numbered(member.mac, member.guest));
        let ports: Vec<PortConfig> =
            team.as_ref().map(|_| PortConfig::uplink()).into_iter().chain(guests).collect();
        let switch = Box::new(Switch::beside(&ports, vnics, cpu::rdtsc())?);
        Ok(Self {
            name,
            missing,
            members,
            nics: team.iter().flat_map(Team::members).map(|uplink| uplink.name.clone()).collect(),
            vectors: team.iter().flat_map(Team::members).map(Uplink::vector).collect(),
            kicked: AtomicBool::new(true),
            interrupted: AtomicU8::new(0),
            deadline: Alarm::new(NEVER),
            precedence: Precedence::default(),
            traffic: Mutex::new(Traffic { team, switch }),
        })
    }

    /// Notes that there is work to do for the boot core.
    pub(super) fn kick(&self) {
        self.kicked.store(true, Ordering::SeqCst);
    }

    /// Takes note of its NICs' interrupts, on the boot core, where they arrive. NICs on a shared line share a vector, and any of them
    /// may have raised it, so all of them are checked.
    pub(super) fn take_interrupt(&self, all: &[Self]) {
        for vector in self.vectors.iter().flatten().filter(|vector| pending::take(**vector)) {
            all.iter().for_each(|segment| segment.note_interrupt(*vector));
        }
    }

    fn note_interrupt(&self, vector: u8) {
        let mine = self.vectors.iter().enumerate().filter(|(_, own)| **own == Some(vector));
        let bits = mine.fold(0, |bits, (index, _)| bits | 1 << index);
        if bits != 0 {
            self.interrupted.fetch_or(bits, Ordering::Release);
            self.kick();
        }
    }

    /// True if there is work to do.
    pub(super) fn wants_service(&self, now: Instant) -> bool {
        self.kicked.load(Ordering::Acquire) || self.deadline.at() <= now.as_nanos()
    }

    /// When [`wants_service`](Self::wants_service) becomes true at the latest.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.kicked.load(Ordering::Acquire) {
            return Some(now);
        }
        let deadline = self.deadline.arm(now);
        (deadline != NEVER).then_some(Instant(deadline))
    }

    /// Moves what has arrived on the wire, and what waits, up to the bound of one service; true if there is more.
    /// Only the boot core does this.
    pub(super) fn serve(&self) -> bool {
        let begin = clock::now();
        let mut now = begin;
        for _ in 0..BATCHES {
            let Some(mut traffic) = self.precedence.attempt(0, now, || self.traffic.try_lock()) else {
                // Another core moves a batch. It does not see what the wire has.
                self.kick();
                return true;
            };
            self.kicked.store(false, Ordering::Relaxed);
            let lost = traffic.lost();
            self.attend_team(&mut traffic, now);
            let more = self.with_ports(&mut traffic, |uplink, switch, ports| {
                let waiting = switch.next_deadline().is_some();
                let mut progress = if waiting { switch.retry(ports, now) } else { Progress::default() };
                if let Some(port) = uplink {
                    let taken = switch.take_from(port, ports, BATCH, now);
                    progress.resumed = progress.resumed.union(taken.resumed);
                    // A batch also ends when no receive buffer is spare: for jumbo frames, each does.
                    progress.more = taken.more || taken.resumed.contains(port);
                }
                progress
            });
            self.log_reports(&mut traffic, lost);
            self.release(traffic);
            if !more {
                return false;
            }
            now = clock::now();
            if now - begin >= SERVICE {
                break;
            }
        }
        self.kick();
        true
    }

    /// Does a piece of the work that a guest has given with its vNIC at `port`, on the guest's core and in its time:
    /// a batch of its frames, and those that wait for it. False if another core is at the switch, or
    /// comes first.
    pub(super) fn work(&self, slot: &VnicSlot, port: PortId) -> bool {
        let (user, now) = (1 + cores::current(), clock::now());
        let lock = self.precedence.attempt(user, now, || self.traffic.try_lock());
        let Some(mut traffic) = lock else { return false };
        let work = slot.take_work();
        self.with_ports(&mut traffic, |_, switch, ports| {
            let mut progress = Progress::default();
            if work.contains(Effects::RX_SPACE) {
                if switch.waits_for(port) {
                    progress = switch.give_to(port, ports, now);
                }
                // Frames in the vNIC's FIFO go on, even if none came after them.
                ports.get_mut(port.index()).into_iter().for_each(|vnic| vnic.flush(now));
            }
            if work.contains(Effects::TX_KICK) {
                let taken = switch.take_from(port, ports, BATCH, now);
                progress.resumed = progress.resumed.union(taken.resumed);
            }
            progress
        });
        self.release(traffic);
        true
    }

    /// Looks after the team: interrupts, links, statistics, and what its manager has to know.
    fn attend_team(&self, traffic: &mut Traffic, now: Instant) {
        let Some(team) = &mut traffic.team else { return };
        let interrupted = self.interrupted.swap(0, Ordering::AcqRel);
        for (index, uplink) in team.members_mut().enumerate() {
            if interrupted >> index & 1 != 0 {
                uplink.interrupt(now);
            }
            uplink.unmask_line(now);
        }
        // The port of the team is the first.
        for ((vnic, slot), port) in (0..).map(VnicId).zip(&self.members).zip((1..).map_while(PortId::new)) {
            team.note_vnic(vnic, slot.is_on(), now);
            traffic.switch.set_present(port, slot.is_on());
        }
        if let Some(up) = team.attend(now) {
            self.pass_link(up, now);
        }
    }

    /// Logs what the team has to say, after frames have moved.
    fn log_reports(&self, traffic: &mut Traffic, lost_before: u64) {
        let lost = traffic.lost() - lost_before;
        let Some(team) = &mut traffic.team else { return };
        while let Some(report) = team.next_report(clock::now(), lost) {
            let line = ReportLine { report, names: self };
            if report.is_fault() {
                log::warn!("{line}");
            } else {
                log::info!("{line}");
            }
        }
    }

    /// Lets `act` move frames between the ports; it gets the physical NIC's port, if there is one. Then tells the
    /// cores of the guests whose vNICs were used, or can go on. True if there may be more frames to poll.
    fn with_ports(
        &self,
        traffic: &mut Traffic,
        act: impl FnOnce(Option<PortId>, &mut Switch, &mut [SwitchPort<'_>]) -> Progress,
    ) -> bool {
        let team = traffic.team.as_mut().map(PluggedPort::Nic);
        let uplink_port = team.as_ref().and_then(|_| PortId::new(0));
        let guests = self.members.iter().map(|slot| PluggedPort::Guest(GuestPort::new(slot)));
        // There are no more members than ports: the switch was made from them.
        let mut ports: heapless::Vec<SwitchPort<'_>, MAX_PORTS> = heapless::Vec::new();
        ports.extend(team.into_iter().chain(guests).take(MAX_PORTS));
        let progress = act(uplink_port, &mut traffic.switch, &mut ports);
        for (port, index) in ports.into_iter().zip(0..) {
            let id = PortId::new(index);
            let resumed = id.is_some_and(|id| progress.resumed.contains(id));
            // While the vNIC is still locked: its guest may ask next.
            if let PluggedPort::Guest(GuestPort { slot, .. }) = &port {
                slot.note_kept(id.map_or(0, |id| traffic.switch.referred(id)));
            }
            match port {
                PluggedPort::Nic(_) if resumed => self.kick_boot_core(),
                PluggedPort::Nic(_) => {}
                PluggedPort::Guest(GuestPort { slot, touched, .. }) => {
                    if resumed {
                        slot.add_work(Effects::TX_KICK);
                    }
                    // This core looks at its own guests' vNICs after each piece of work.
                    if (touched || resumed) && !directory::is_here(slot.guest) {
                        directory::call_attention_to_frames(slot.guest);
                    }
                }
            }
        }
        progress.more
    }

    /// Notes that there is work to do for the boot core, which may sleep.
    fn kick_boot_core(&self) {
        self.kick();
        if cores::current() != cores::BOOT_CORE {
            local_apic::wake(cores::BOOT_CORE);
        }
    }

    /// Unlocks the traffic, after its next deadline is known. If the boot core would come too late, it must know.
    fn release(&self, traffic: MutexGuard<'_, Traffic>) {
        let deadline = traffic.next_deadline().map_or(NEVER, Instant::as_nanos);
        // Before unlocking: the next core that is at the switch may set another.
        let late = self.deadline.set(deadline);
        drop(traffic);
        if late && cores::current() != cores::BOOT_CORE {
            local_apic::wake(cores::BOOT_CORE);
        }
    }

    /// Passes the link state of the physical NIC on to the vNICs that follow it. The others keep their link, and so
    /// do all vNICs without an uplink.
    fn pass_link(&self, up: bool, now: Instant) {
        for member in &self.members {
            // This core checks its own guests' vNICs after every service.
            if member.follow_link(up, now) && !directory::is_here(member.guest) {
                directory::call_attention(member.guest);
            }
        }
    }

    /// Passes the traffic to `look`; waits while another core serves the switch.
    pub(super) fn with_traffic<R>(&self, look: impl FnOnce(&mut Traffic) -> R) -> R {
        look(&mut self.traffic.lock())
    }

    /// The vNIC at a port; `None` for that of the team.
    pub(super) fn vnic_at(&self, port: usize) -> Option<VnicId> {
        let first = usize::from(!self.nics.is_empty());
        port.checked_sub(first).and_then(|place| u8::try_from(place).ok()).map(VnicId)
    }

    /// Stops the physical NICs, at the end of Weir, unless another core is in the middle of its work with it.
    pub(super) fn stop_uplink(&self) {
        let mut traffic = self.traffic.try_lock();
        let team = traffic.as_mut().and_then(|traffic| traffic.team.as_mut());
        team.into_iter().flat_map(Team::members_mut).for_each(Uplink::stop);
    }

    /// Logs the statistics of the physical NICs, and of the team.
    pub(super) fn log_uplink(&self) {
        self.with_traffic(|traffic| {
            let Some(team) = &traffic.team else { return };
            team.members().for_each(Uplink::log_statistics);
            if team.members().len() > 1 {
                log::info!("team {}:{}", self.name, counts(team.counters().named()));
            }
        });
    }

    /// Logs what the ports have carried and dropped.
    pub(super) fn log_ports(&self) {
        self.with_traffic(|traffic| {
            let ports = self.members.len() + usize::from(traffic.team.is_some());
            for port in 0..ports {
                let Some(counters) = traffic.counters(port) else { continue };
                log::info!("switch {} port {port}:{}", self.name, counts(counters.named()));
            }
        });
    }
}

impl TeamNames for LanSegment {
    fn team(&self) -> &str {
        &self.name
    }

    fn nic(&self, member: MemberId) -> &str {
        self.nics.get(member.index()).map_or("", String::as_str)
    }

    fn vnic(&self, vnic: VnicId) -> (&str, usize) {
        let slot = self.members.get(usize::from(vnic.0));
        let vm = slot.and_then(|slot| directory::summary(slot.guest));
        vm.map_or(("", 0), |vm| (vm.name, slot.map_or(0, |slot| slot.number())))
    }
}

impl Traffic {
    /// The counters of a port.
    pub(super) fn counters(&self, port: usize) -> Option<&PortCounters> {
        self.switch.counters(PortId::new(port)?)
    }

    /// The port at which this address is.
    pub(super) fn find(&self, mac: MacAddress, now: Instant) -> Option<usize> {
        self.switch.find(mac, now).map(PortId::index)
    }

    /// Frames for the wire that were dropped, if there is a way to it.
    pub(super) fn lost(&self) -> u64 {
        self.team.as_ref().and(self.counters(0)).map_or(0, PortCounters::lost)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let team = self.team.as_ref();
        let poll = team.map(Team::next_check);
        let unmask = team.into_iter().flat_map(Team::members).filter_map(Uplink::unmask_due);
        self.switch.next_deadline().into_iter().chain(poll).chain(unmask).min()
    }
}
