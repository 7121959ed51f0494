//! A physical NIC with its driver.

use crate::hardware::acpi::Machine;
use crate::hardware::clock;
use crate::hardware::dma::DmaMemory;
use crate::hardware::interrupt_controllers::IoApics;
use crate::hardware::interrupts;
use crate::hardware::messages::Message;
use crate::hardware::pci::{Function, Place};
use crate::log::counts;
use crate::memory::window::{self, Window, WindowError};
use crate::memory::{FrameError, Frames};
use alloc::string::String;
use base::{Duration, HostPhysical, Instant, Port};
use config::NicMatch;
use core::fmt;
use nic::{InterruptMode, Nic, NicError, PciId};

/// How often a card is looked after without an interrupt: link, hang, statistics.
pub const CHECK_EVERY: Duration = Duration::from_millis(10);
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

impl nic::Registers for Registers {
    fn read(&mut self, offset: u32) -> u32 {
        self.0.read(offset as usize)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.0.write(offset as usize, value);
    }
}

impl nic::Dma for Piece {
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

impl nic::Host for Host {
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
}

/// How a card says that something has happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    /// It raises this vector by messages.
    Messages(InterruptMode, u8),
    /// Its line, which others may share, raises this vector.
    Line { line: u8, vector: u8 },
    /// It cannot: it is asked.
    Polled,
}

impl Interrupt {
    fn vector(self) -> Option<u8> {
        match self {
            Self::Messages(_, vector) | Self::Line { vector, .. } => Some(vector),
            Self::Polled => None,
        }
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(mode, _) => write!(f, "{mode}"),
            Self::Line { line, .. } => write!(f, "{} line {line}", InterruptMode::Intx),
            Self::Polled => write!(f, "none, polled every {} ms", CHECK_EVERY.as_millis()),
        }
    }
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
        io_apics: &mut IoApics,
        function: &Function,
        name: &str,
        others: &[Self],
    ) -> Result<Self, UplinkError> {
        let (at, bytes) = function.memory_bar(0).ok_or(UplinkError::NoWindow)?;
        let registers = Registers(window::map(frames, at, bytes)?);
        function.enable();
        let host = Host { arena: DmaMemory::allocate(frames, ARENA, 4096)?, used: 0 };
        let mut nic = Nic::new(host, registers, id(function))?;
        let vector = interrupts::NIC_VECTOR + others.len() as u8;
        let interrupt = match message_mode(frames, function, &nic, vector)? {
            Some(mode) => Interrupt::Messages(mode, vector),
            None => line(machine, io_apics, function, others, vector),
        };
        if let Interrupt::Messages(mode, _) = interrupt {
            nic.set_interrupt_mode(mode);
        }
        if interrupt != Interrupt::Polled {
            nic.unmask();
        }
        let mut uplink = Self { name: name.into(), address: function.place(), nic, interrupt };
        let Self { nic, interrupt, .. } = &uplink;
        let (driver, mac, link) = (nic.driver(), nic.mac(), nic.link());
        log::info!("{name}: NIC {function} driver {driver} MAC {mac} link {link}; interrupts: {interrupt}");
        uplink.say_troubles();
        Ok(uplink)
    }

    /// The vector that the card raises at the boot core; none when it is asked only.
    pub fn vector(&self) -> Option<u8> {
        self.interrupt.vector()
    }

    /// Reads the causes of an interrupt, which lets the line go.
    pub fn ask(&mut self) {
        self.nic.interrupt();
        self.say_events();
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
        for event in self.nic.events().filter(|event| !matches!(event, nic::Event::LinkUp(_))) {
            log::warn!("{}: {event}", self.name);
        }
    }

    fn say_events(&mut self) {
        for event in self.nic.events() {
            match event {
                nic::Event::LinkUp(_) | nic::Event::LinkDown | nic::Event::Recovered { .. } => {
                    log::info!("{}: {event}", self.name);
                }
                nic::Event::TransmitHang { .. }
                | nic::Event::Failed(_)
                | nic::Event::EepromSilent(_)
                | nic::Event::PhySilent(_) => log::warn!("{}: {event}", self.name),
            }
        }
    }

    /// Says what the card has done.
    pub fn log_statistics(&self) {
        log::info!("{}: driver:{}", self.name, counts(self.nic.counters().named()));
        log::info!("{}: card:{}", self.name, counts(self.nic.statistics().named()));
    }
}

/// Has the card interrupt by messages: MSI-X, else MSI. `None` when it has neither.
fn message_mode(
    frames: &mut Frames,
    function: &Function,
    nic: &Nic<Host>,
    vector: u8,
) -> Result<Option<InterruptMode>, WindowError> {
    function.send_none();
    let message = Message::to_this_processor(vector).filter(|_| nic.family().has_messages());
    let Some(message) = message else { return Ok(None) };
    if function.send_msix(frames, message, nic::MSIX_ENTRIES as u64)? {
        return Ok(Some(InterruptMode::Msix));
    }
    Ok(function.send_msi(message).then_some(InterruptMode::Msi))
}

/// Routes the card's interrupt line, with the vector that it has already if another card is on it.
fn line(
    machine: &Machine,
    io_apics: &mut IoApics,
    function: &Function,
    others: &[Uplink],
    vector: u8,
) -> Interrupt {
    let line = function.interrupt_line;
    let shared = others.iter().find_map(|other| match other.interrupt {
        Interrupt::Line { line: theirs, vector } if theirs == line => Some(vector),
        _ => None,
    });
    let vector = shared.unwrap_or(vector);
    if shared.is_some() || io_apics.route_pci(machine, line, vector) {
        Interrupt::Line { line, vector }
    } else {
        log::warn!("interrupt line {line} of NIC {function} leads to no IO-APIC");
        Interrupt::Polled
    }
}
