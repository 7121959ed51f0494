//! The way between vNICs and physical NICs: one switch for each physical NIC, with the vNICs that name it
//! as their uplink, and one for those that name none.

mod inspect;
mod uplink;

use crate::hardware::acpi::Machine;
use crate::hardware::cpu;
use crate::hardware::interrupt_controllers::IoApics;
use crate::hardware::pci::{self, Function};
use crate::log::counts;
use crate::memory::Frames;
use crate::virt::VirtualCpu;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::vec::Vec;
use base::{Capabilities, Instant, Port};
use path::{Path, PathError, PortConfig, PortId};
use uplink::Uplink;

/// Steps of a switch in one service: bounds the time away from the guests.
const STEPS: usize = 8;

/// Why the network cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A vNIC names an uplink that no physical NIC matches.
    #[error("vNIC {mac} of guest {guest} names the uplink {uplink}, and no physical NIC was found for it")]
    NoUplink {
        /// Which guest.
        guest: alloc::string::String,
        /// Which vNIC.
        mac: base::MacAddress,
        /// What it names.
        uplink: alloc::string::String,
    },
    /// A switch cannot be made.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// A switch with what is plugged into it.
struct Segment {
    /// The physical NIC: port 0 where there is one.
    uplink: Option<usize>,
    /// Guest and vNIC of the other ports.
    members: Vec<(usize, usize)>,
    path: Option<Box<Path>>,
}

/// All switches and physical NICs.
pub struct Network {
    uplinks: Vec<Uplink>,
    segments: Vec<Segment>,
    kicked: bool,
    next_check: Instant,
}

impl Network {
    /// Finds the physical NICs and brings up those that the configuration names; the others are kept off
    /// the bus. Every Ethernet controller is named in the log.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn new(
        frames: &mut Frames,
        machine: &Machine,
        io_apics: &mut IoApics,
        functions: &[Function],
        system: &config::System,
    ) -> Result<Self, NetworkError> {
        let mut uplinks: Vec<Uplink> = Vec::new();
        let mut taken: Vec<&str> = Vec::new();
        for function in functions.iter().filter(|f| f.class == pci::CLASS_ETHERNET) {
            let wanted = system
                .nics
                .iter()
                .find(|nic| !taken.contains(&nic.name.as_str()) && uplink::matches(nic, function));
            let Some(nic) = wanted else {
                function.quiesce();
                log::warn!("NIC {function} is named by no [[nic]] of the configuration: not used");
                continue;
            };
            taken.push(&nic.name);
            match Uplink::new(frames, machine, io_apics, function, &nic.name, uplinks.len()) {
                Ok(uplink) => uplinks.push(uplink),
                Err(error) => {
                    function.quiesce();
                    log::error!("{}: NIC {function}: {error}", nic.name);
                }
            }
        }
        for nic in system.nics.iter().filter(|nic| !uplinks.iter().any(|uplink| uplink.name == nic.name)) {
            log::error!("{}: no physical NIC for it", nic.name);
        }
        Ok(Self { uplinks, segments: Vec::new(), kicked: true, next_check: Instant::ZERO })
    }

    /// Plugs the guests' vNICs in.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn attach<V: VirtualCpu>(&mut self, vms: &[Vm<V>]) -> Result<(), NetworkError> {
        self.segments = (0..self.uplinks.len())
            .map(Some)
            .chain([None])
            .map(|uplink| Segment { uplink, members: Vec::new(), path: None })
            .collect();
        for (guest, vm) in vms.iter().enumerate() {
            for (index, slot) in vm.vnics.iter().enumerate() {
                let uplink = match &slot.uplink {
                    None => None,
                    Some(name) => {
                        let found = self.uplinks.iter().position(|uplink| uplink.name == *name);
                        Some(found.ok_or_else(|| NetworkError::NoUplink {
                            guest: vm.name().into(),
                            mac: slot.mac,
                            uplink: name.clone(),
                        })?)
                    }
                };
                if let Some(segment) = self.segments.iter_mut().find(|segment| segment.uplink == uplink) {
                    segment.members.push((guest, index));
                }
            }
        }
        for segment in &mut self.segments {
            let guests =
                segment.members.iter().map(|&(guest, index)| PortConfig::guest(vms[guest].vnics[index].mac));
            let ports: Vec<PortConfig> =
                segment.uplink.map(|_| PortConfig::uplink()).into_iter().chain(guests).collect();
            segment.path = Some(Box::new(Path::new(&ports, cpu::rdtsc())?));
        }
        Ok(())
    }

    /// A guest has frames to send, or room for frames.
    pub fn kick(&mut self) {
        self.kicked = true;
    }

    /// True when [`service`](Self::service) has something to do.
    pub fn wants_service(&mut self, now: Instant) -> bool {
        for uplink in &mut self.uplinks {
            self.kicked |= uplink.take_interrupt();
        }
        self.kicked || self.next_deadline(now).is_some_and(|due| due <= now)
    }

    /// When [`service`](Self::service) must run at the latest.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.kicked {
            return Some(now);
        }
        let held = self.segments.iter().filter_map(|segment| segment.path.as_ref()?.next_deadline());
        held.chain(self.uplinks.first().map(|_| self.next_check)).min()
    }

    /// Moves frames until nothing moves, or enough have.
    pub fn service<V: VirtualCpu>(&mut self, vms: &mut [Vm<V>], now: Instant) {
        if now >= self.next_check {
            self.next_check = now + uplink::CHECK_EVERY;
            self.uplinks.iter_mut().for_each(|uplink| uplink.check(now));
        }
        self.kicked = false;
        for segment in &mut self.segments {
            let Some(path) = &mut segment.path else { continue };
            let uplink = segment.uplink.and_then(|index| self.uplinks.get_mut(index));
            self.kicked |= step(path, uplink, &segment.members, vms, now);
        }
    }

    /// Says what every port has carried and dropped.
    pub fn log_statistics(&self) {
        for uplink in &self.uplinks {
            uplink.log_statistics();
        }
        for segment in &self.segments {
            let Some(path) = &segment.path else { continue };
            for port in 0..segment.members.len() + usize::from(segment.uplink.is_some()) {
                let Some(counters) = PortId::new(port).and_then(|id| path.counters(id)) else { continue };
                log::info!("switch {} port {port}:{}", self.segment_name(segment), counts(counters.named()));
            }
        }
    }

    fn segment_name(&self, segment: &Segment) -> &str {
        segment.uplink.map_or("local", |index| &self.uplinks[index].name)
    }
}

/// Moves batches through one switch; true when there is more than the bound allowed.
fn step<V: VirtualCpu>(
    path: &mut Path,
    uplink: Option<&mut Uplink>,
    members: &[(usize, usize)],
    vms: &mut [Vm<V>],
    now: Instant,
) -> bool {
    let mut guests: heapless::Vec<GuestPort, { path::MAX_PORTS }> = heapless::Vec::new();
    // Members are in the order of guests and their vNICs, so one pass over all hands out each once.
    let mut wanted = members.iter().copied().peekable();
    for (guest, vm) in vms.iter_mut().enumerate() {
        let running = vm.state().is_on();
        let masters: u32 = (0..vm.vnics.len()).filter(|&i| vm.bus_master(i)).fold(0, |set, i| set | 1 << i);
        let memory = &vm.memory;
        for (index, slot) in vm.vnics.iter_mut().enumerate() {
            if wanted.next_if_eq(&(guest, index)).is_some() {
                let on = running && masters >> index & 1 == 1;
                // No more members than ports: the switch was made from them.
                let _ = guests.push(GuestPort { port: slot.model.port(memory), on });
            }
        }
    }
    let mut ports: heapless::Vec<&mut dyn Port, { path::MAX_PORTS }> = heapless::Vec::new();
    if let Some(uplink) = uplink {
        let _ = ports.push(&mut uplink.nic);
    }
    for guest in &mut guests {
        let _ = ports.push(guest);
    }
    (0..STEPS).all(|_| !path.step(&mut ports, now).is_idle())
}

/// A guest's vNIC as a port. One that may not master the bus, or whose guest is off, has no link.
struct GuestPort<'a> {
    port: vnic::VnicPort<'a, crate::vm::memory::GuestRam>,
    on: bool,
}

impl Port for GuestPort<'_> {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.port.capabilities();
        Capabilities { link_up: capabilities.link_up && self.on, ..capabilities }
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        self.port.send(frames, now)
    }

    fn poll(&mut self, into: &mut base::Batch, budget: usize, now: Instant) -> usize {
        if self.on { self.port.poll(into, budget, now) } else { 0 }
    }
}
