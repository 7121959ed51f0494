//! A switch with its ports, served by any core, one at a time.

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
use base::{Instant, Port};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use path::{MAX_PORTS, PathError, PortConfig, PortCounters, PortId, Switch};
use spin::Mutex;

/// Steps of a switch under one lock.
const STEPS: usize = 8;
/// Times that one service takes the lock: with [`STEPS`] it bounds the time away from the guests.
const LOCKS: usize = 4;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// A switch with its ports.
pub(super) struct LanSegment {
    /// Name of its physical NIC in the configuration, or `local`.
    pub(super) name: String,
    /// The vNICs. Their ports follow that of the physical NIC if there is one, and begin with 0 if not.
    pub(super) members: Vec<Arc<VnicSlot>>,
    vector: Option<u8>,
    /// There is work to do.
    kicked: AtomicBool,
    /// The physical NIC has interrupted.
    interrupted: AtomicBool,
    /// When the switch must be served at the latest, in nanoseconds.
    deadline: AtomicU64,
    traffic: Mutex<Traffic>,
}

/// The part that only the core that serves the switch may touch.
pub(super) struct Traffic {
    /// The physical NIC.
    pub(super) uplink: Option<Uplink>,
    /// The link state that the vNICs were given last; they start with a link.
    link: bool,
    switch: Box<Switch>,
    next_poll: Instant,
}

impl LanSegment {
    /// A switch with these ports.
    pub(super) fn new(
        name: String,
        uplink: Option<Uplink>,
        members: Vec<Arc<VnicSlot>>,
    ) -> Result<Self, PathError> {
        let guests = members.iter().map(|member| PortConfig::guest(member.mac));
        let ports: Vec<PortConfig> =
            uplink.as_ref().map(|_| PortConfig::uplink()).into_iter().chain(guests).collect();
        let switch = Box::new(Switch::new(&ports, cpu::rdtsc())?);
        Ok(Self {
            name,
            members,
            vector: uplink.as_ref().and_then(Uplink::vector),
            kicked: AtomicBool::new(true),
            interrupted: AtomicBool::new(false),
            deadline: AtomicU64::new(NEVER),
            traffic: Mutex::new(Traffic { uplink, link: true, switch, next_poll: Instant::ZERO }),
        })
    }

    /// Notes that there is work to do.
    pub(super) fn kick(&self) {
        self.kicked.store(true, Ordering::SeqCst);
    }

    /// Takes note of the physical NIC's interrupt, on the boot core, where it arrives. NICs on a shared line share
    /// a vector, and any of them may have raised it, so all of them are checked.
    pub(super) fn take_interrupt(&self, all: &[Self]) {
        let Some(vector) = self.vector.filter(|vector| pending::take(*vector)) else { return };
        for segment in all.iter().filter(|segment| segment.vector == Some(vector)) {
            segment.interrupted.store(true, Ordering::Release);
            segment.kick();
        }
    }

    /// True if there is work to do.
    pub(super) fn wants_service(&self, now: Instant) -> bool {
        self.kicked.load(Ordering::Acquire) || self.deadline.load(Ordering::Acquire) <= now.as_nanos()
    }

    /// When [`wants_service`](Self::wants_service) becomes true at the latest.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.kicked.load(Ordering::Acquire) {
            return Some(now);
        }
        let deadline = self.deadline.load(Ordering::Acquire);
        (deadline != NEVER).then_some(Instant(deadline))
    }

    /// Moves frames until nothing moves, or until the bound of one service is reached. If another core is serving
    /// the switch this does nothing: that core sees the flag before it leaves. Work beyond the bound goes to the
    /// boot core.
    pub(super) fn serve(&self) {
        let here = cores::current() == cores::BOOT_CORE;
        self.kick();
        for _ in 0..LOCKS {
            let Some(mut traffic) = self.traffic.try_lock() else { return };
            self.kicked.store(false, Ordering::SeqCst);
            let more = self.move_batches(&mut traffic, clock::now());
            let deadline = traffic.next_deadline().map_or(NEVER, Instant::as_nanos);
            // Before unlocking: the next core that serves may set another.
            let before = self.deadline.swap(deadline, Ordering::AcqRel);
            drop(traffic);
            if deadline < before && !here {
                local_apic::wake(cores::BOOT_CORE);
            }
            if more {
                self.kick();
            }
            // A flag that was set while this core held the lock must not be missed: the core that set it has tried
            // the lock afterwards, and this core checks the flag after unlocking.
            fence(Ordering::SeqCst);
            if !self.kicked.load(Ordering::SeqCst) {
                return;
            }
        }
        if !here {
            local_apic::wake(cores::BOOT_CORE);
        }
    }

    /// Moves batches through the switch; true if there is more than the bound allows.
    fn move_batches(&self, traffic: &mut Traffic, now: Instant) -> bool {
        if let Some(uplink) = &mut traffic.uplink {
            if self.interrupted.swap(false, Ordering::AcqRel) {
                uplink.interrupt(now);
            }
            uplink.unmask_line(now);
            if now >= traffic.next_poll {
                traffic.next_poll = uplink.check(now);
            }
            let up = uplink.link_up();
            if core::mem::replace(&mut traffic.link, up) != up {
                self.pass_link(up, now);
            }
        }
        // There are no more members than ports: the switch was made from them.
        let mut guests: heapless::Vec<GuestPort, MAX_PORTS> =
            self.members.iter().map(|slot| GuestPort { slot, touched: false }).take(MAX_PORTS).collect();
        let mut ports: heapless::Vec<&mut dyn Port, MAX_PORTS> = heapless::Vec::new();
        if let Some(uplink) = &mut traffic.uplink {
            let _ = ports.push(&mut uplink.nic);
        }
        for guest in &mut guests {
            let _ = ports.push(guest);
        }
        let more = (0..STEPS).all(|_| !traffic.switch.step(&mut ports, now).is_idle());
        drop(ports);
        for guest in guests.iter().filter(|guest| guest.touched && !directory::is_here(guest.slot.guest)) {
            directory::call_attention(guest.slot.guest);
        }
        more
    }

    /// Passes the link state of the physical NIC on to the vNICs. Without a physical NIC they keep their link.
    fn pass_link(&self, up: bool, now: Instant) {
        for member in &self.members {
            member.with_port(|port| port.set_link(up, now));
            // This core checks its own guests' vNICs after every service.
            if !directory::is_here(member.guest) {
                directory::call_attention(member.guest);
            }
        }
    }

    /// Passes the traffic to `look`; waits while another core serves the switch.
    pub(super) fn with_traffic<R>(&self, look: impl FnOnce(&Traffic) -> R) -> R {
        look(&self.traffic.lock())
    }

    /// Stops the physical NIC, at the end of Weir, unless another core is in the middle of its work with it.
    pub(super) fn stop_uplink(&self) {
        if let Some(uplink) = self.traffic.try_lock().as_mut().and_then(|traffic| traffic.uplink.as_mut()) {
            uplink.stop();
        }
    }

    /// Logs the statistics of the physical NIC.
    pub(super) fn log_uplink(&self) {
        self.with_traffic(|traffic| traffic.uplink.iter().for_each(Uplink::log_statistics));
    }

    /// Logs what the ports have carried and dropped.
    pub(super) fn log_ports(&self) {
        self.with_traffic(|traffic| {
            let ports = self.members.len() + usize::from(traffic.uplink.is_some());
            for port in 0..ports {
                let Some(counters) = traffic.counters(port) else { continue };
                log::info!("switch {} port {port}:{}", self.name, counts(counters.named()));
            }
        });
    }
}

impl Traffic {
    /// The counters of a port.
    pub(super) fn counters(&self, port: usize) -> Option<&PortCounters> {
        self.switch.counters(PortId::new(port)?)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let poll = self.uplink.as_ref().map(|_| self.next_poll);
        let unmask = self.uplink.as_ref().and_then(Uplink::unmask_due);
        self.switch.next_deadline().into_iter().chain(poll).chain(unmask).min()
    }
}
