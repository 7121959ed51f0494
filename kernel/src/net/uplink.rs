//! A physical NIC with its driver.

use super::interrupt::Interrupt;
use crate::hardware::acpi::Machine;
use crate::hardware::clock;
use crate::hardware::dma::DmaMemory;
use crate::hardware::interrupts;
use crate::hardware::io_apic;
use crate::hardware::pci::{Function, Place};
use crate::log::counts;
use crate::memory::window::{self, Window, WindowError};
use crate::memory::{FrameError, Frames};
use alloc::string::String;
use base::{Duration, HostPhysical, Instant, Port};
use config::NicMatch;
use nic::{Nic, NicError, PciId};

/// How often a card is looked after without an interrupt: link, hang, statistics.
pub const CHECK_EVERY: Duration = Duration::from_millis(10);
/// How long a line stays held that interrupted without a cause: lines let go late, and another device on it, for which
/// there is no driver, would otherwise leave no time for anything.
const STRAY_HOLD: Duration = Duration::from_micros(100);
/// Memory for rings and buffers of one card: 256 buffers of 2 KiB each way, and the rings.
const ARENA: usize = (1 << 20) + 64 * 1024;

/// Why a card cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// Its driver says so.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// It has no registers in memory.
    #[error("it has no memory window in BAR 0")]
    NoWindow,
    /// Its registers cannot be mapped.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// There is no memory for its rings.
    #[error(transparent)]
    Memory(#[from] FrameError),
}

/// The machine, as the driver sees it.
pub struct Host {
    /// Memory not handed out yet.
    arena: DmaMemory,
    used: usize,
}

/// A piece of the arena.
pub struct Piece(DmaMemory);

/// Registers of the card.
pub struct Registers(Window);

impl nic::NicRegisters for Registers {
    fn read(&mut self, offset: u32) -> u32 {
        self.0.read(offset as usize)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.0.write(offset as usize, value);
    }
}

impl nic::DmaRegion for Piece {
    fn device_address(&self) -> HostPhysical {
        self.0.device_address()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        self.0.read(offset, into);
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        self.0.write(offset, from);
    }

    fn read_u64(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        self.0.read(offset, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn write_u64(&mut self, offset: usize, value: u64) {
        self.0.write(offset, &value.to_le_bytes());
    }
}

impl nic::NicHost for Host {
    type Registers = Registers;
    type Dma = Piece;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Piece> {
        let start = self.used.next_multiple_of(alignment);
        let memory = self.arena.part(start, bytes)?;
        self.used = start + bytes;
        Some(Piece(memory))
    }

    fn now(&mut self) -> Instant {
        clock::now()
    }

    fn relax(&mut self) {
        core::hint::spin_loop();
    }
}

/// A physical NIC that carries guests' frames.
pub struct Uplink {
    /// Its name in the configuration.
    pub name: String,
    /// Its place on the bus.
    pub address: Place,
    /// The driver.
    pub nic: Nic<Host>,
    interrupt: Interrupt,
    /// When its line, which has interrupted, is let through again.
    release_at: Option<Instant>,
}

/// True when there is a driver for this card.
pub fn has_driver(function: &Function) -> bool {
    nic::identify(id(function)).is_some()
}

fn id(function: &Function) -> PciId {
    PciId { vendor: function.vendor, device: function.device }
}

/// True when a `[[nic]]` of the configuration means this card.
pub fn matches(nic: &config::Nic, function: &Function) -> bool {
    let at = function.address;
    match nic.matches {
        NicMatch::Any => has_driver(function),
        NicMatch::Address { bus, device, function } => {
            (at.segment(), at.bus(), at.device(), at.function()) == (0, bus, device, function)
        }
        NicMatch::Ids { vendor, device } => (function.vendor, function.device) == (vendor, device),
    }
}

impl Uplink {
    /// Brings a card up, with its interrupts routed to this processor; `others` are up already.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub fn new(
        frames: &mut Frames,
        machine: &Machine,
        function: &Function,
        name: &str,
        others: &[Self],
    ) -> Result<Self, UplinkError> {
        let (at, bytes) = function.memory_bar(0).ok_or(UplinkError::NoWindow)?;
        let registers = Registers(window::map(frames, at, bytes)?);
        function.enable();
        let host = Host { arena: DmaMemory::allocate(frames, ARENA, 4096)?, used: 0 };
        let mut nic = Nic::new(host, registers, id(function))?;
        let number = others.len() as u8;
        let interrupt =
            match Interrupt::by_messages(frames, function, nic.family(), interrupts::NIC_VECTOR + number)? {
                Some(interrupt) => interrupt,
                None => {
                    let others = others.iter().map(|other| other.interrupt);
                    Interrupt::by_line(machine, function, others, interrupts::LINE_VECTOR + number)
                }
            };
        if let Interrupt::Messages(mode, _) = interrupt {
            nic.set_interrupt_mode(mode);
        }
        if interrupt != Interrupt::Polled {
            nic.unmask();
        }
        let mut uplink =
            Self { name: name.into(), address: function.place(), nic, interrupt, release_at: None };
        let Self { nic, interrupt, .. } = &uplink;
        let (driver, mac, link) = (nic.driver(), nic.mac(), nic.link());
        log::info!("{name}: NIC {function} driver {driver} MAC {mac} link {link}; interrupts: {interrupt}");
        uplink.say_troubles();
        Ok(uplink)
    }

    /// The vector that the card raises at the boot core, if it does.
    pub fn vector(&self) -> Option<u8> {
        self.interrupt.vector()
    }

    /// Works on the card's interrupt: its causes are read, which lets the line go.
    pub fn interrupt(&mut self, now: Instant) {
        let stray = self.nic.interrupt().is_empty();
        if let Interrupt::Line { .. } = self.interrupt {
            self.release_at = Some(if stray { now + STRAY_HOLD } else { now });
        }
        self.say_events();
    }

    /// Lets the card's line through again, if it is time.
    pub fn release_line(&mut self, now: Instant) {
        if self.release_at.take_if(|due| *due <= now).is_some() {
            self.vector().into_iter().for_each(io_apic::release);
        }
    }

    /// When [`release_line`](Self::release_line) has something to do.
    pub fn release_due(&self) -> Option<Instant> {
        self.release_at
    }

    /// Looks after the card.
    pub fn check(&mut self, now: Instant) {
        self.nic.check(now);
        if self.interrupt == Interrupt::Polled {
            self.nic.interrupt();
        }
        self.say_events();
    }

    /// True while the card's link is up and the card works.
    pub fn link_up(&self) -> bool {
        self.nic.capabilities().link_up
    }

    /// Says what went wrong while the card was brought up; its link stands in the line about it.
    fn say_troubles(&mut self) {
        for event in self.nic.events().filter(|event| !matches!(event, nic::NicEvent::LinkUp(_))) {
            log::warn!("{}: {event}", self.name);
        }
    }

    fn say_events(&mut self) {
        for event in self.nic.events() {
            match event {
                nic::NicEvent::LinkUp(_) | nic::NicEvent::LinkDown | nic::NicEvent::Recovered { .. } => {
                    log::info!("{}: {event}", self.name);
                }
                nic::NicEvent::TransmitHang { .. }
                | nic::NicEvent::Failed(_)
                | nic::NicEvent::EepromSilent(_)
                | nic::NicEvent::PhySilent(_) => log::warn!("{}: {event}", self.name),
            }
        }
    }

    /// Says what the card has done.
    pub fn log_statistics(&self) {
        log::info!("{}: driver:{}", self.name, counts(self.nic.counters().named()));
        log::info!("{}: hardware:{}", self.name, counts(self.nic.statistics().named()));
    }
}
