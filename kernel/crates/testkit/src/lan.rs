//! A switch that is scheduled as the kernel does it (`kernel/src/net/segment.rs`): a port is looked at only for a reason.
//! A wake-up that is lost shows as frames that stay where they are.

use alloc::vec;
use alloc::vec::Vec;
use base::{Effects, Instant, Port};
use path::{Attachment, PathError, PortConfig, PortId, PortSet, Progress, Switch};

/// Maximum number of frames that are polled at once.
pub const BATCH: usize = 32;
/// No work takes more rounds than this.
const ROUNDS: usize = 10_000;

/// A switch, and the reasons to look at its ports.
///
/// ```
/// use base::{Effects, Instant, MacAddress, Port};
/// use path::PortConfig;
/// use testkit::frame::{mac, numbered};
/// use testkit::{Lan, QueuePort};
///
/// let mut lan = Lan::new(&[PortConfig::guest(mac(0)), PortConfig::uplink()], 1)?;
/// let (mut vnic, mut nic) = (QueuePort::new(), QueuePort::new());
/// vnic.arrive(&numbered(MacAddress::BROADCAST, mac(0), 0, 60));
/// let ports = &mut [&mut vnic as &mut dyn Port, &mut nic];
/// assert_eq!(lan.run(ports, Instant::ZERO).polled, 0, "nobody said that there is a frame");
/// lan.note(0, Effects::TX_KICK);
/// assert_eq!(lan.run(ports, Instant::ZERO).delivered, 1);
/// # Ok::<(), path::PathError>(())
/// ```
pub struct Lan {
    /// The switch.
    pub switch: Switch,
    uplinks: PortSet,
    /// For each port, what its guest has given to do.
    work: Vec<Effects>,
    /// A physical NIC has interrupted, or has more.
    kicked: bool,
}

impl Lan {
    /// A switch with these ports. For `seed` see [`Switch::new`].
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn new(ports: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let is_uplink = |port: &PortId| ports[port.index()].attachment == Attachment::Uplink;
        let ids = (0..ports.len()).filter_map(PortId::new).filter(is_uplink);
        let uplinks = ids.fold(PortSet::EMPTY, PortSet::with);
        let work = vec![Effects::empty(); ports.len()];
        Ok(Self { switch: Switch::new(ports, seed)?, uplinks, work, kicked: false })
    }

    /// Notes what the guest at this port has given its vNIC to do: [`Effects::TX_KICK`], [`Effects::RX_SPACE`].
    pub fn note(&mut self, port: usize, effects: Effects) {
        self.work[port] |= effects & (Effects::TX_KICK | Effects::RX_SPACE);
    }

    /// Notes that a physical NIC has interrupted.
    pub fn interrupt(&mut self) {
        self.kicked = true;
    }

    /// Notes that there are new frames at this port, or room.
    pub fn signal(&mut self, port: usize, effects: Effects) {
        match PortId::new(port).is_some_and(|port| self.uplinks.contains(port)) {
            true => self.interrupt(),
            false => self.note(port, effects),
        }
    }

    /// Does all that there is a reason for, and returns what was done.
    ///
    /// # Panics
    /// If there is no end to it.
    pub fn run(&mut self, ports: &mut [&mut dyn Port], now: Instant) -> Progress {
        let mut total = Progress::default();
        for _ in 0..ROUNDS {
            let mut idle = true;
            for index in 0..self.work.len() {
                let work = core::mem::replace(&mut self.work[index], Effects::empty());
                let Some(port) = PortId::new(index).filter(|_| !work.is_empty()) else { continue };
                self.work(port, work, ports, now, &mut total);
                idle = false;
            }
            if self.kicked || self.switch.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.serve(ports, now, &mut total);
                idle = false;
            }
            if idle {
                let ids = (0..self.work.len()).filter_map(PortId::new);
                total.pending = ids.map(|port| self.switch.pending(port)).sum();
                return total;
            }
        }
        panic!("the switch does not come to rest");
    }

    /// What a guest's core does with the guest's work.
    fn work(
        &mut self,
        port: PortId,
        work: Effects,
        ports: &mut [&mut dyn Port],
        now: Instant,
        total: &mut Progress,
    ) {
        if work.contains(Effects::RX_SPACE) {
            if self.switch.waits_for(port) {
                let given = self.switch.give_to(port, ports, now);
                self.add(total, given);
            }
            if let Some(vnic) = ports.get_mut(port.index()) {
                vnic.flush(now);
            }
        }
        if work.contains(Effects::TX_KICK) {
            let taken = self.switch.take_from(port, ports, BATCH, now);
            self.add(total, taken);
            if taken.more {
                self.note(port.index(), Effects::TX_KICK);
            }
        }
    }

    /// What the boot core does when a physical NIC has interrupted, or a deadline has come.
    fn serve(&mut self, ports: &mut [&mut dyn Port], now: Instant, total: &mut Progress) {
        self.kicked = false;
        if self.switch.next_deadline().is_some() {
            let retried = self.switch.retry(ports, now);
            self.add(total, retried);
        }
        for port in self.uplinks.iter() {
            let taken = self.switch.take_from(port, ports, BATCH, now);
            self.add(total, taken);
            self.kicked |= taken.more;
        }
    }

    fn add(&mut self, total: &mut Progress, progress: Progress) {
        total.polled += progress.polled;
        total.delivered += progress.delivered;
        total.dropped += progress.dropped;
        for port in progress.resumed.iter() {
            self.signal(port.index(), Effects::TX_KICK);
        }
    }
}
