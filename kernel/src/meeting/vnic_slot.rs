//! A vNIC in its slot: the model with its place on the guest's bus.

use crate::log::counts;
use crate::memory::guest::GuestRam;
use alloc::boxed::Box;
use alloc::string::String;
use base::bits::low_u32;
use base::{Effects, Instant, MacAddress, Port, Span, Width};
use config::UplinkLink;
use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use mmio::Narrow;
use mmio::registers32::{self, Registers32};
use path::MAX_PORTS;
use spin::{Mutex, MutexGuard};
use vnic::{Vnic, VnicModelConfig, VnicPort};

/// One vNIC of a guest. The guest's core locks the model for one register access, and the core that moves frames
/// locks it for one batch.
pub struct VnicSlot {
    /// Number of its VM.
    pub guest: usize,
    /// Slot on the guest's PCI bus.
    pub slot: u8,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Name of the physical NIC that carries its frames.
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
    /// The model.
    model: Mutex<Vnic>,
}

/// The vNIC's memory BAR during one access.
struct VnicBar<'a> {
    model: &'a mut Vnic,
    now: Instant,
    /// Effects of the access.
    effects: Effects,
}

impl Registers32 for VnicBar<'_> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.model.read(low_u32(offset), self.now);
        self.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.effects |= self.model.write(low_u32(offset), value, self.now);
    }
}

/// The vNIC's I/O BAR: IOADDR and IODATA [8254x 13.3].
struct IoBar<'a>(VnicBar<'a>);

impl Registers32 for IoBar<'_> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.0.model.io_read(low_u32(offset), self.0.now);
        self.0.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.0.effects |= self.0.model.io_write(low_u32(offset), value, self.0.now);
    }
}

/// Memory of Weir's for frames that a vNIC builds, as many as wait in passing at full length.
fn bounce_memory() -> Span {
    const BYTES: usize = 160 * 1024;
    Span::new(Box::leak(iter::repeat_with(AtomicU8::default).take(BYTES).collect()))
}

impl VnicSlot {
    /// A vNIC of the VM of this number, in this slot of its bus, off.
    pub fn new(guest: usize, slot: u8, config: &config::VnicConfig, memory: GuestRam) -> Self {
        let model = VnicModelConfig {
            compute_fcs: config.rx_fcs,
            always_insert_fcs: config.always_insert_fcs,
            protect_eeprom: config.protect_eeprom,
            ..VnicModelConfig::new(config.mac)
        };
        Self {
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
            model: Mutex::new(Vnic::new(model, bounce_memory())),
        }
    }

    /// The model, locked for one access.
    pub fn model(&self) -> MutexGuard<'_, Vnic> {
        self.model.lock()
    }

    /// The vNIC as a port, with its model that is locked.
    pub fn port<'a>(&'a self, model: &'a mut Vnic) -> VnicPort<'a, GuestRam> {
        model.port(&self.memory)
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
        let mut model = self.model.lock();
        let changed = self.on.swap(on, Ordering::AcqRel) != on;
        if changed {
            match on {
                true => model.resume(),
                false => model.suspend(),
            }
        }
        changed && on
    }

    /// True when frames can go through it.
    pub fn has_link(&self) -> bool {
        self.is_on() && self.model.lock().link_up()
    }

    /// Passes on the link state of the physical NIC; false if the vNIC keeps its own.
    pub fn follow_link(&self, up: bool, now: Instant) -> bool {
        let follows = self.uplink_link == UplinkLink::Follow;
        if follows {
            self.port(&mut self.model()).set_link(up, now);
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

    /// Reads at `offset` of the memory BAR.
    pub fn memory_read(&self, offset: u64, width: Width, now: Instant) -> (u64, Effects) {
        let mut model = self.model.lock();
        let mut window = VnicBar { model: &mut model, now, effects: Effects::empty() };
        let value = registers32::read(&mut window, offset, width);
        (value, window.effects)
    }

    /// Writes at `offset` of the memory BAR. Registers of the 8254x must be written whole [8254x 13.2]; partial
    /// writes are ignored.
    pub fn memory_write(&self, offset: u64, width: Width, value: u64, now: Instant) -> Effects {
        let mut model = self.model.lock();
        let mut window = VnicBar { model: &mut model, now, effects: Effects::empty() };
        registers32::write(&mut window, offset, width, value, Narrow::Ignore);
        window.effects
    }

    /// IN at `offset` of the I/O BAR.
    pub fn port_read(&self, offset: u32, width: Width, now: Instant) -> (u32, Effects) {
        let mut model = self.model.lock();
        let mut window = IoBar(VnicBar { model: &mut model, now, effects: Effects::empty() });
        let value = registers32::read(&mut window, offset.into(), width);
        (low_u32(value), window.0.effects)
    }

    /// OUT at `offset` of the I/O BAR. IOADDR can be written in parts, IODATA only as a whole.
    pub fn port_write(&self, offset: u32, width: Width, value: u32, now: Instant) -> Effects {
        let mut model = self.model.lock();
        let mut window = IoBar(VnicBar { model: &mut model, now, effects: Effects::empty() });
        let narrow = if offset < 4 { Narrow::Merge } else { Narrow::Ignore };
        registers32::write(&mut window, offset.into(), width, value.into(), narrow);
        window.0.effects
    }

    /// Completes a port operation or an access that had `effects`: adds the effects that the model has noted, and
    /// logs the guest's errors, each kind once until the guest resets the vNIC. Returns all effects, and the level
    /// of the interrupt line.
    pub fn settle(&self, effects: Effects, guest: &str, now: Instant) -> (Effects, bool) {
        let mut model = self.model.lock();
        let mut effects = effects | model.take_effects();
        if effects.contains(Effects::RX_SPACE) && self.is_on() {
            // Frames that waited in the vNIC's FIFO move on: the switch sends only when it has new ones.
            self.port(&mut model).flush(now);
            effects |= model.take_effects();
        }
        while let Some(fault) = model.faults() {
            log::warn!("{guest}: vnic {}: {fault}", self.mac);
        }
        (effects, model.interrupt_line())
    }

    /// Logs the vNIC's counters.
    pub fn log_statistics(&self, guest: &str) {
        log::info!("{guest}: vnic {}:{}", self.mac, counts(self.model.lock().counters().named()));
    }
}
