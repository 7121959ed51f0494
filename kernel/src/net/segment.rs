//! A switch with what is plugged into it, served by any core, one at a time.

use super::guest_port::GuestPort;
use super::nic_interrupt::POLL_INTERVAL;
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

/// Steps of a switch in one go.
const STEPS: usize = 8;
/// Goes in one service: with [`STEPS`] they bound the time away from the guests.
const GOES: usize = 4;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// A switch with what is plugged into it.
pub struct LanSegment {
    /// Name of its physical NIC, or `local`.
    pub name: String,
    /// The vNICs: ports behind that of the physical NIC where there is one, else from 0 on.
    pub members: Vec<Arc<VnicSlot>>,
    vector: Option<u8>,
    /// There is something to do.
    kicked: AtomicBool,
    /// The physical NIC has interrupted.
    interrupted: AtomicBool,
    /// When something must be done at the latest, in nanoseconds.
    deadline: AtomicU64,
    traffic: Mutex<Traffic>,
}

/// What only the core that serves the switch may touch.
pub struct Traffic {
    /// The physical NIC.
    pub uplink: Option<Uplink>,
    /// Whether the vNICs have been told that they have a link; they begin with one.
    link: bool,
    switch: Box<Switch>,
    next_poll: Instant,
}

impl LanSegment {
    /// A switch with these ports.
    pub fn new(uplink: Option<Uplink>, members: Vec<Arc<VnicSlot>>) -> Result<Self, PathError> {
        let guests = members.iter().map(|member| PortConfig::guest(member.mac));
        let ports: Vec<PortConfig> =
            uplink.as_ref().map(|_| PortConfig::uplink()).into_iter().chain(guests).collect();
        let switch = Box::new(Switch::new(&ports, cpu::rdtsc())?);
        Ok(Self {
            name: uplink.as_ref().map_or("local", |uplink| &uplink.name).into(),
            members,
            vector: uplink.as_ref().and_then(Uplink::vector),
            kicked: AtomicBool::new(true),
            interrupted: AtomicBool::new(false),
            deadline: AtomicU64::new(NEVER),
            traffic: Mutex::new(Traffic { uplink, link: true, switch, next_poll: Instant::ZERO }),
        })
    }

    /// Leaves the note that there is something to do.
    pub fn kick(&self) {
        self.kicked.store(true, Ordering::SeqCst);
    }

    /// Notes the interrupt of the physical NIC. For the boot core, at which it interrupts. Those that share a line
    /// share a vector, and any of them may have raised it: each is asked.
    pub fn take_interrupt(&self, all: &[Self]) {
        let Some(vector) = self.vector.filter(|vector| pending::take(*vector)) else { return };
        for segment in all.iter().filter(|segment| segment.vector == Some(vector)) {
            segment.interrupted.store(true, Ordering::Release);
            segment.kick();
        }
    }

    /// True when there is something to do.
    pub fn wants_service(&self, now: Instant) -> bool {
        self.kicked.load(Ordering::Acquire) || self.deadline.load(Ordering::Acquire) <= now.as_nanos()
    }

    /// When [`wants_service`](Self::wants_service) is true at the latest.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.kicked.load(Ordering::Acquire) {
            return Some(now);
        }
        let deadline = self.deadline.load(Ordering::Acquire);
        (deadline != NEVER).then_some(Instant(deadline))
    }

    /// Moves frames until nothing moves, or enough have. While another core serves the switch it does nothing:
    /// that one sees the note before it goes. What is left over after enough is the boot core's.
    pub fn serve(&self) {
        let here = cores::current() == cores::BOOT_CORE;
        self.kick();
        for _ in 0..GOES {
            let Some(mut traffic) = self.traffic.try_lock() else { return };
            self.kicked.store(false, Ordering::SeqCst);
            let more = self.go(&mut traffic, clock::now());
            let deadline = traffic.next_deadline().map_or(NEVER, Instant::as_nanos);
            // Before the lock is given up: the next one to serve may set another.
            let before = self.deadline.swap(deadline, Ordering::AcqRel);
            drop(traffic);
            if deadline < before && !here {
                local_apic::wake(cores::BOOT_CORE);
            }
            if more {
                self.kick();
            }
            // A note that was left while this core held the lock must not be overlooked: whoever left it has
            // looked at the lock after writing it, and this looks at the note after giving up the lock.
            fence(Ordering::SeqCst);
            if !self.kicked.load(Ordering::SeqCst) {
                return;
            }
        }
        if !here {
            local_apic::wake(cores::BOOT_CORE);
        }
    }

    /// Moves batches through the switch; true when there is more than the bound allowed.
    fn go(&self, traffic: &mut Traffic, now: Instant) -> bool {
        if let Some(uplink) = &mut traffic.uplink {
            if self.interrupted.swap(false, Ordering::AcqRel) {
                uplink.interrupt(now);
            }
            uplink.unmask_line(now);
            if now >= traffic.next_poll {
                traffic.next_poll = now + POLL_INTERVAL;
                uplink.check(now);
            }
            let up = uplink.link_up();
            if core::mem::replace(&mut traffic.link, up) != up {
                self.tell_link(up, now);
            }
        }
        // No more members than ports: the switch was made from them.
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
            directory::attract(guest.slot.guest);
        }
        more
    }

    /// Gives the vNICs the link that their physical NIC has. Those without a physical NIC keep theirs.
    fn tell_link(&self, up: bool, now: Instant) {
        for member in &self.members {
            member.with_port(|port| port.set_link(up, now));
            // This core looks at its own guests' cards after every service.
            if !directory::is_here(member.guest) {
                directory::attract(member.guest);
            }
        }
    }

    /// Looks at the traffic; waits while another core serves the switch.
    pub fn with_traffic<R>(&self, look: impl FnOnce(&Traffic) -> R) -> R {
        look(&self.traffic.lock())
    }

    /// Says what the physical NIC has done.
    pub fn log_uplink(&self) {
        self.with_traffic(|traffic| traffic.uplink.iter().for_each(Uplink::log_statistics));
    }

    /// Says what the ports have carried and dropped.
    pub fn log_ports(&self) {
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
    /// The counts of a port.
    pub fn counters(&self, port: usize) -> Option<&PortCounters> {
        self.switch.counters(PortId::new(port)?)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let poll = self.uplink.as_ref().map(|_| self.next_poll);
        let unmask = self.uplink.as_ref().and_then(Uplink::unmask_due);
        self.switch.next_deadline().into_iter().chain(poll).chain(unmask).min()
    }
}
