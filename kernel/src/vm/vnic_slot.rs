//! A vNIC in its slot: the model with its place on the guest's bus.

use crate::log::counts;
use alloc::string::String;
use base::{Effects, Instant, MacAddress, Width};
use mmio::Narrow;
use mmio::registers32::{self, Registers32};
use vnic::Vnic;

/// One vNIC of a guest.
pub struct VnicSlot {
    /// Slot on the guest's PCI bus.
    pub slot: u8,
    /// The card.
    pub model: Vnic,
    /// Its address.
    pub mac: MacAddress,
    /// Name of the physical NIC that carries its frames.
    pub uplink: Option<String>,
}

/// A window onto the card's registers during one access.
pub struct Window<'a> {
    model: &'a mut Vnic,
    now: Instant,
    /// What the access has set in motion.
    pub effects: Effects,
}

impl Registers32 for Window<'_> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.model.read(offset as u32, self.now);
        self.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.effects |= self.model.write(offset as u32, value, self.now);
    }
}

/// The I/O window: IOADDR and IODATA [8254x 13.3].
struct IoWindow<'a>(Window<'a>);

impl Registers32 for IoWindow<'_> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.0.model.io_read(offset as u32, self.0.now);
        self.0.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.0.effects |= self.0.model.io_write(offset as u32, value, self.0.now);
    }
}

impl VnicSlot {
    /// The memory window, for one access.
    pub fn memory_window(&mut self, now: Instant) -> Window<'_> {
        Window { model: &mut self.model, now, effects: Effects::empty() }
    }

    /// IN at `offset` of the I/O window.
    pub fn port_read(&mut self, offset: u32, width: Width, now: Instant) -> (u32, Effects) {
        let mut window = IoWindow(self.memory_window(now));
        let value = registers32::read(&mut window, offset.into(), width);
        (value as u32, window.0.effects)
    }

    /// OUT at `offset` of the I/O window. A part of IOADDR can be written, of IODATA only the whole.
    pub fn port_write(&mut self, offset: u32, width: Width, value: u32, now: Instant) -> Effects {
        let mut window = IoWindow(self.memory_window(now));
        let narrow = if offset < 4 { Narrow::Merge } else { Narrow::Ignore };
        registers32::write(&mut window, offset.into(), width, value.into(), narrow);
        window.0.effects
    }

    /// Says what the guest did wrong with the card, once for each kind until it resets the card.
    pub fn report_faults(&mut self, guest: &str) {
        while let Some(fault) = self.model.faults() {
            log::warn!("{guest}: vnic {}: {fault}", self.mac);
        }
    }

    /// Says what the card has done.
    pub fn log_statistics(&self, guest: &str) {
        log::info!("{guest}: vnic {}:{}", self.mac, counts(self.model.counters().named()));
    }
}
