//! A vNIC in its slot: the data half of the model with its place on the guest's bus.

use crate::log::counts;
use crate::memory::guest::GuestRam;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use base::{Effects, Instant, MacAddress, Port, Span};
use config::UplinkLink;
use core::iter;
use core::ops::DerefMut;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use path::MAX_PORTS;
use platform::pci::FIRST_NIC_SLOT;
use spin::{Mutex, MutexGuard};
use vnic::{DataHalf, Vnic, VnicEngine, VnicFront, VnicModelConfig, VnicPort};

/// One vNIC of a guest, but for its register half, which is the guest's core's alone. The core that moves frames locks the data
/// half for one batch, and the guest's core for what its registers do not do alone.
pub struct VnicSlot {
    /// Number of its VM.
    pub guest: usize,
    /// Slot on the guest's PCI bus.
    pub slot: u8,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Name of the team, or of the physical NIC, that carries its frames.
    pub uplink: Option<String>,
    /// What becomes of its link when the physical NIC has none.
    uplink_link: UplinkLink,
    /// The guest's memory.
    memory: GuestRam,
    /// The VM is on, and its guest allows the vNIC to reach guest memory.
    on: AtomicBool,
    /// The switch that it is plugged into, and its port there.
    place: AtomicUsize,
    /// Frames of its guest's that physical NICs still read from its memory, and whether the guest waits for that to end.
    kept: AtomicUsize,
    awaited: AtomicBool,
    /// Work that its guest's core has to do: [`Effects::TX_KICK`], [`Effects::RX_SPACE`].
    work: AtomicU32,
    /// The data half.
    engine: Mutex<VnicEngine>,
}

impl DataHalf for &VnicSlot {
    fn lock(&mut self) -> impl DerefMut<Target = VnicEngine> {
        self.engine()
    }
}

/// Memory of Weir's for frames that a vNIC builds, as many as wait in passing at full length.
fn bounce_memory() -> Span {
    const BYTES: usize = 160 * 1024;
    Span::new(Box::leak(iter::repeat_with(AtomicU8::default).take(BYTES).collect()))
}

impl VnicSlot {
    /// A vNIC of the VM of this number, in this slot of its bus, off, and its register half.
    pub fn new(
        guest: usize,
        slot: u8,
        config: &config::VnicConfig,
        memory: GuestRam,
    ) -> (Arc<Self>, VnicFront) {
        let model = VnicModelConfig {
            compute_fcs: config.rx_fcs,
            always_insert_fcs: config.always_insert_fcs,
            protect_eeprom: config.protect_eeprom,
            ..VnicModelConfig::new(config.mac)
        };
        let (front, engine) = Vnic::new(model, bounce_memory()).halves();
        let slot = Self {
            guest,
            slot,
            mac: config.mac,
            uplink: config.uplink.clone(),
            uplink_link: config.uplink_link,
            memory,
            on: AtomicBool::new(false),
            place: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            work: AtomicU32::new(0),
            engine: Mutex::new(engine),
        };
        (Arc::new(slot), front)
    }

    /// Its number in the VM.
    pub fn number(&self) -> usize {
        usize::from(self.slot - FIRST_NIC_SLOT)
    }

    /// The data half, locked for one access.
    pub fn engine(&self) -> MutexGuard<'_, VnicEngine> {
        self.engine.lock()
    }

    /// The vNIC as a port, with its data half that is locked.
    pub fn port<'a>(&'a self, engine: &'a mut VnicEngine) -> VnicPort<'a, GuestRam> {
        engine.port(&self.memory)
    }

    /// True while the VM is on and its guest allows the vNIC to reach guest memory.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Notes how many frames of its guest's physical NICs still read from its memory.
    pub fn note_kept(&self, frames: usize) {
        self.kept.store(frames, Ordering::Release);
    }

    /// The guest waits from now on until there are none.
    pub fn await_kept(&self) {
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// True while the guest waits for that.
    pub fn is_awaited(&self) -> bool {
        let awaited = self.awaited.load(Ordering::Relaxed) && self.kept.load(Ordering::Acquire) > 0;
        self.awaited.store(awaited, Ordering::Relaxed);
        awaited
    }

    /// Notes work for the guest's core: what of these effects a switch has to do with.
    pub fn add_work(&self, effects: Effects) {
        let work = effects & (Effects::TX_KICK | Effects::RX_SPACE);
        if !work.is_empty() {
            self.work.fetch_or(work.bits(), Ordering::SeqCst);
        }
    }

    /// True while [`take_work`](Self::take_work) would return some.
    pub fn has_work(&self) -> bool {
        self.work.load(Ordering::Acquire) != 0
    }

    /// Takes the work that has been noted.
    pub fn take_work(&self) -> Effects {
        Effects::from_bits_truncate(self.work.swap(0, Ordering::SeqCst))
    }

    /// Allows or denies the vNIC access to guest memory; true if it is allowed now and was not before. Once this
    /// returns, no core is in the middle of an access that is denied.
    pub fn set_on(&self, on: bool) -> bool {
        let mut engine = self.engine();
        let changed = self.on.swap(on, Ordering::AcqRel) != on;
        if changed {
            match on {
                true => engine.resume(),
                false => engine.suspend(),
            }
        }
        changed && on
    }

    /// True when frames can go through it.
    pub fn has_link(&self) -> bool {
        self.is_on() && self.engine().link_up()
    }

    /// Passes on the link state of the physical NIC; false if the vNIC keeps its own.
    pub fn follow_link(&self, up: bool, now: Instant) -> bool {
        let follows = self.uplink_link == UplinkLink::Follow;
        if follows {
            self.port(&mut self.engine()).set_link(up, now);
        }
        follows
    }

    /// The switch that it is plugged into, and the port there.
    pub fn place(&self) -> (usize, usize) {
        let place = self.place.load(Ordering::Relaxed);
        (place / MAX_PORTS, place % MAX_PORTS)
    }

    /// Plugs it into this port of a switch.
    pub fn plug_into(&self, segment: usize, port: usize) {
        self.place.store(segment * MAX_PORTS + port, Ordering::Relaxed);
    }

    /// Completes a port operation or an access that had `effects`: adds the effects that the data half has noted, and
    /// logs the guest's errors, each kind once. Returns all effects.
    pub fn settle(&self, front: &mut VnicFront, mut effects: Effects, guest: &str, now: Instant) -> Effects {
        effects |= front.take_effects();
        if effects.contains(Effects::RX_SPACE) && self.is_on() {
            // Frames that waited in the vNIC's FIFO move on: the switch sends only when it has new ones.
            self.port(&mut self.engine()).flush(now);
            effects |= front.take_effects();
        }
        if front.take_faulty() {
            // Not in the loop's head, which would hold the lock while the line is logged.
            let next = || self.engine().faults();
            while let Some(fault) = next() {
                log::warn!("{guest}: vnic {}: {fault}", self.mac);
            }
        }
        effects | front.settle(now)
    }

    /// Logs the vNIC's counters.
    pub fn log_statistics(&self, guest: &str) {
        log::info!("{guest}: vnic {}:{}", self.mac, counts(self.engine().counters().named()));
    }
}
