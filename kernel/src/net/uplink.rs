//! A physical NIC with its driver.

use super::discover::id;
use super::nic_host::{NicArena, NicWindow};
use super::nic_interrupt::InterruptRoute;
use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::{io_apic, vectors};
use crate::hardware::pci::{PciFunction, PciPlace};
use crate::log::counts;
use crate::memory::window::{self, WindowError};
use crate::memory::{PageFrameError, PageFrames};
use alloc::string::String;
use base::{Duration, Instant, Port};
use nic::{Nic, NicError, NicEvent};

/// How long a line stays masked after an interrupt that no NIC on it has a cause for. Lines are deasserted late,
/// and another device on the line, for which there is no driver, would otherwise leave no time for anything else.
const STRAY_MASK: Duration = Duration::from_micros(100);

/// Why a NIC cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum UplinkError {
    /// Its driver could not start it.
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
    Memory(#[from] PageFrameError),
}

/// A physical NIC that carries guests' frames.
pub struct Uplink {
    /// Its name in the configuration.
    pub(super) name: String,
    /// Its place on the bus.
    pub(super) address: PciPlace,
    /// The driver.
    pub(super) nic: Nic<NicArena>,
    interrupt: InterruptRoute,
    /// When its interrupt line is to be unmasked.
    unmask_at: Option<Instant>,
}

impl Uplink {
    /// Starts a NIC, with its interrupts routed to this processor; `others` have been started already.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub(super) fn new(
        frames: &mut PageFrames,
        machine: &MachineInfo,
        function: &PciFunction,
        name: &str,
        others: &[Self],
    ) -> Result<Self, UplinkError> {
        let (at, bytes) = function.memory_bar(0).ok_or(UplinkError::NoWindow)?;
        let registers = NicWindow::new(window::map(frames, at, bytes)?);
        function.enable();
        let host = NicArena::new(frames)?;
        let mut nic = Nic::new(host, registers, id(function))?;
        #[expect(clippy::cast_possible_truncation, reason = "the configuration names at most MAX_NICS")]
        let number = others.len() as u8;
        let interrupt = match InterruptRoute::by_messages(
            frames,
            function,
            nic.family(),
            vectors::NIC_VECTOR + number,
        )? {
            Some(interrupt) => interrupt,
            None => {
                let others = others.iter().map(|other| other.interrupt);
                InterruptRoute::by_line(machine, function, others, vectors::LINE_VECTOR + number)
            }
        };
        if let InterruptRoute::Messages(mode, _) = interrupt {
            nic.set_interrupt_mode(mode);
        }
        if interrupt != InterruptRoute::Polled {
            nic.unmask();
        }
        let mut uplink =
            Self { name: name.into(), address: function.place(), nic, interrupt, unmask_at: None };
        let Self { nic, interrupt, .. } = &uplink;
        let (driver, mac, link) = (nic.driver(), nic.mac(), nic.link());
        log::info!("{name}: NIC {function} driver {driver} MAC {mac} link {link}; interrupts: {interrupt}");
        uplink.log_start_errors();
        Ok(uplink)
    }

    /// The vector that the NIC raises at the boot core, if any.
    pub(super) fn vector(&self) -> Option<u8> {
        self.interrupt.vector()
    }

    /// Handles the NIC's interrupt: reads its causes, which deasserts the line.
    pub(super) fn interrupt(&mut self, now: Instant) {
        let stray = self.nic.interrupt().is_empty();
        if let InterruptRoute::Line { .. } = self.interrupt {
            self.unmask_at = Some(if stray { now + STRAY_MASK } else { now });
        }
        self.log_events();
    }

    /// Unmasks the NIC's line when it is time.
    pub(super) fn unmask_line(&mut self, now: Instant) {
        if self.unmask_at.take_if(|due| *due <= now).is_some() {
            self.vector().into_iter().for_each(io_apic::unmask);
        }
    }

    /// When [`unmask_line`](Self::unmask_line) must run.
    pub(super) fn unmask_due(&self) -> Option<Instant> {
        self.unmask_at
    }

    /// Polls the NIC: link, transmit hang, statistics.
    pub(super) fn check(&mut self, now: Instant) {
        self.nic.check(now);
        if self.interrupt == InterruptRoute::Polled {
            self.nic.interrupt();
        }
        self.log_events();
    }

    /// True while the NIC works and its link is up.
    pub(super) fn link_up(&self) -> bool {
        self.nic.capabilities().link_up
    }

    /// Logs what went wrong while the NIC was started. Its link is in the line that names it.
    fn log_start_errors(&mut self) {
        for event in self.nic.events().filter(|event| !matches!(event, NicEvent::LinkUp(_))) {
            log::warn!("{}: {event}", self.name);
        }
    }

    fn log_events(&mut self) {
        for event in self.nic.events() {
            match event {
                NicEvent::LinkUp(_) | NicEvent::LinkDown | NicEvent::Recovered { .. } => {
                    log::info!("{}: {event}", self.name);
                }
                NicEvent::TransmitHang { .. }
                | NicEvent::Failed(_)
                | NicEvent::EepromSilent(_)
                | NicEvent::PhySilent(_) => log::warn!("{}: {event}", self.name),
            }
        }
    }

    /// Logs what the NIC has done.
    pub(super) fn log_statistics(&self) {
        log::info!("{}: driver:{}", self.name, counts(self.nic.counters().named()));
        log::info!("{}: hardware:{}", self.name, counts(self.nic.statistics().named()));
    }
}
