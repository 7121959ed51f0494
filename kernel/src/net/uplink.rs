//! A physical NIC with its driver.

use super::discover::id;
use super::nic_host::{NicArena, NicWindow};
use super::nic_interrupt::{InterruptRoute, POLL_INTERVAL};
use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::{io_apic, vectors};
use crate::hardware::pci::PciFunction;
use crate::log::counts;
use crate::memory::window::{self, WindowError};
use crate::memory::{PageFrameError, PageFrames};
use crate::processor::clock;
use alloc::string::String;
use base::{Duration, Instant, MacAddress, NicInfo, RetiredFrames};
use nic::{InterruptWatch, Nic, NicError, NicEvent, NicState, RETRY_INTERVAL};
use nic_manager::TeamMember;
use pci::PciPlace;

/// How long a line stays masked after an interrupt that no NIC on it has a cause for. Lines are deasserted late,
/// and another device on the line, for which there is no driver, would otherwise leave no time for anything else.
const STRAY_MASK: Duration = Duration::from_micros(100);

/// The time that a function takes from D3hot to D0 [PCIe 5.0 5.9.2].
const WAKE_TIME: Duration = Duration::from_millis(10);

/// The part of a NIC's window that holds its registers, in bytes [I210 8]; flash may follow.
const MOST_REGISTERS: u64 = 128 * 1024;

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
    function: PciFunction,
    interrupt: InterruptRoute,
    /// ASPM was on, and is off now.
    aspm_stopped: bool,
    /// The log has a line that says what it is.
    introduced: bool,
    watch: InterruptWatch,
    /// When its interrupt line is to be unmasked.
    unmask_at: Option<Instant>,
}

impl Uplink {
    /// Begins to start a NIC, with its interrupts routed to this processor; `others` have been started already, and
    /// `functions` are those of the machine.
    ///
    /// # Errors
    /// [`UplinkError`]. A NIC that only does not work is used when it does.
    pub(super) fn new(
        frames: &mut PageFrames,
        machine: &MachineInfo,
        (function, functions): (&PciFunction, &[PciFunction]),
        name: &str,
        others: &[Self],
    ) -> Result<Self, UplinkError> {
        if let Some(asleep) = pci::wake(function) {
            let awake = clock::now() + WAKE_TIME;
            while clock::now() < awake {
                core::hint::spin_loop();
            }
            asleep.restore(function);
        }
        pci::prepare_bus(function, nic::gives_up_early(id(function)));
        let (at, bytes) = function.memory_bar(0).ok_or(UplinkError::NoWindow)?;
        let registers = NicWindow::new(window::map(frames, at, bytes.min(MOST_REGISTERS))?);
        let ports = function.io_bar().filter(|_| nic::uses_ports(id(function)));
        function.enable(ports.is_some());
        let arena = NicArena::new(frames, function, ports)?;
        let mut nic = Nic::new(arena, registers, id(function), clock::now())?;
        let aspm_stopped = nic.family().forbids_aspm() && stop_aspm(function, functions);
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
                InterruptRoute::by_line(machine, (function, functions), others, vectors::LINE_VECTOR + number)
            }
        };
        if let InterruptRoute::Messages(mode, _) = interrupt {
            nic.set_interrupt_mode(mode);
        }
        if interrupt != InterruptRoute::Polled {
            nic.unmask();
        }
        let (name, address) = (name.into(), function.place());
        let (function, introduced, unmask_at) = (*function, false, None);
        let watch = InterruptWatch::default();
        Ok(Self { name, address, nic, function, interrupt, aspm_stopped, introduced, watch, unmask_at })
    }

    /// Says what the NIC is, once it works or has failed.
    fn introduce(&mut self) {
        self.introduced = true;
        let Self { name, function, nic, interrupt, .. } = &*self;
        if let NicState::Failed(error) = nic.state() {
            let seconds = RETRY_INTERVAL.as_secs();
            log::error!("{name}: NIC {function}: {error}; Weir tries again, at least every {seconds} s");
        } else {
            let (driver, mac, link) = (nic.driver(), nic.mac(), nic.link());
            let aspm = if self.aspm_stopped { "; ASPM off" } else { "" };
            log::info!(
                "{name}: NIC {function} driver {driver} MAC {mac} link {link}; interrupts: {interrupt}{aspm}"
            );
        }
        // Its link, and its first failure, are in the line above.
        for event in self.nic.events() {
            if !matches!(event, NicEvent::LinkUp(_) | NicEvent::Failed(_)) {
                log::warn!("{}: {event}", self.name);
            }
        }
    }

    /// The vector that the NIC raises at the boot core, if any.
    pub(super) fn vector(&self) -> Option<u8> {
        self.interrupt.vector()
    }

    /// Handles the NIC's interrupt: reads its causes, which deasserts the line.
    pub(super) fn interrupt(&mut self, now: Instant) {
        let stray = self.nic.interrupt().is_empty();
        if !stray {
            self.watch.note();
        }
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

    /// Stops the NIC, at the end of Weir.
    pub(super) fn stop(&mut self) {
        self.nic.stop();
    }

    fn log_events(&mut self) {
        for event in self.nic.events() {
            if event.is_fault() {
                log::warn!("{}: {event}", self.name);
            } else {
                log::info!("{}: {event}", self.name);
            }
        }
    }

    /// Logs what the NIC has done.
    pub(super) fn log_statistics(&self) {
        let driver = self.nic.queue_counters().named().into_iter().chain(self.nic.counters().named());
        log::info!("{}: driver:{}", self.name, counts(driver));
        log::info!("{}: hardware:{}", self.name, counts(self.nic.statistics().named()));
    }
}

impl TeamMember for Uplink {
    type Nic = Nic<NicArena>;

    fn nic(&mut self) -> &mut Self::Nic {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        self.nic.info()
    }

    fn mac(&self) -> MacAddress {
        self.nic.mac()
    }

    fn kept(&self) -> usize {
        self.nic.kept()
    }

    fn retire(&mut self, now: Instant) -> RetiredFrames {
        self.nic.retire(now)
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.nic.check(now);
        let received = self.nic.queue_counters().rx_frames;
        if self.interrupt != InterruptRoute::Polled && self.watch.is_silent(now, received) {
            log::warn!("{}: no interrupt within 1 s of traffic ({}): now polled", self.name, self.interrupt);
            self.interrupt = InterruptRoute::Polled;
            // Its line may be another's, which its causes would hold until they are polled.
            self.nic.mask();
        }
        if self.interrupt == InterruptRoute::Polled {
            self.nic.interrupt();
        }
        if self.introduced {
            self.log_events();
        } else if !self.is_starting() {
            self.introduce();
        }
        self.nic.next_check().min(now + POLL_INTERVAL)
    }
}

/// Switches ASPM off on a NIC's link, at both ends; true if it was on. The bridge above the NIC is the one whose bus it
/// is on.
fn stop_aspm(function: &PciFunction, functions: &[PciFunction]) -> bool {
    let below = pci::stop_aspm(function);
    let bridge = functions.iter().find(|f| f.is_bridge() && pci::bus_below(*f) == function.address.bus());
    let above = bridge.is_some_and(pci::stop_aspm);
    below || above
}
