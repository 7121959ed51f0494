//! Interrupts: how they are delivered, what they mean, which causes are unmasked, and how often they may occur.

use crate::chip::NicChip;
use crate::{NicDriver, NicHost, NicRegisters};
use base::time::Duration;
use core::fmt;
use intel_regs::{Interrupt, reg};

/// The causes that are always unmasked.
const WANTED: Interrupt =
    Interrupt::LSC.union(Interrupt::RXT0).union(Interrupt::RXDMT0).union(Interrupt::RXO);

/// Minimum interval between two interrupts unless the kernel sets another: 20,000 per second.
const DEFAULT_INTERVAL: Duration = Duration::from_micros(50);

/// Entries of the MSI-X table that a driver may use, starting with the first. All must hold the same message.
pub const MSIX_ENTRIES: usize = 2;

/// How a NIC signals interrupts [PCI 3.0 2.2.6, 6.8].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InterruptMode {
    /// By its interrupt line, which other devices may share.
    #[default]
    Intx,
    /// By a message.
    Msi,
    /// By the messages of its MSI-X table.
    Msix,
}

impl fmt::Display for InterruptMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intx => "INTx",
            Self::Msi => "MSI",
            Self::Msix => "MSI-X",
        })
    }
}

/// Why the NIC interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Causes {
    /// The link status changed; [`NicDriver::link`] already returns the new one.
    pub link: bool,
    /// Frames were received, or free receive descriptors are running low or exhausted: poll.
    pub receive: bool,
    /// Frames were transmitted: there is room in the transmit ring again.
    pub transmit: bool,
}

impl Causes {
    /// True when the NIC had no cause for the interrupt: another device on the line did.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Masks all causes that exist in every family [8254x 13.4.21].
pub(crate) fn mask<R: NicRegisters>(registers: &mut R) {
    registers.write(reg::IMC, u32::MAX);
}

/// Unmasks the causes that are wanted [8254x 13.4.20].
pub(crate) fn unmask<R: NicRegisters>(registers: &mut R, transmit: bool) {
    let transmit = if transmit { Interrupt::TXDW } else { Interrupt::empty() };
    registers.write(reg::IMS, (WANTED | transmit).bits());
}

/// Masks the cause for completed transmissions.
pub(crate) fn mask_transmit<R: NicRegisters>(registers: &mut R) {
    registers.write(reg::IMC, Interrupt::TXDW.bits());
}

/// Reads the causes, which clears them and deasserts the interrupt line [8254x 13.4.17]. All ones mean that the
/// NIC does not answer.
pub(crate) fn causes<R: NicRegisters>(registers: &mut R) -> Option<Causes> {
    let icr = registers.read(reg::ICR);
    if icr == u32::MAX {
        return None;
    }
    let icr = Interrupt::from_bits_retain(icr);
    Some(Causes {
        link: icr.contains(Interrupt::LSC),
        receive: icr.intersects(Interrupt::RXT0 | Interrupt::RXDMT0 | Interrupt::RXO),
        transmit: icr.intersects(Interrupt::TXDW | Interrupt::TXQE),
    })
}

/// An interval in the units of ITR, up to 16 ms [8254x 13.4.18].
pub(crate) fn itr_units(interval: Duration) -> u32 {
    let units = interval.as_nanos() / u128::from(reg::ITR_UNIT_NS);
    u32::from(u16::try_from(units).unwrap_or(u16::MAX))
}

/// Settings that the driver gives the NIC when it works, and again after each reset.
pub(crate) struct InterruptSettings {
    mode: InterruptMode,
    interval: Duration,
    unmasked: bool,
    /// True when frames were refused since the last interrupt for completed transmissions: the next one is to come. Whose
    /// frames wait is not known here, so that no other frame that finds room ends it.
    wants_transmit: bool,
}

impl Default for InterruptSettings {
    fn default() -> Self {
        let mode = InterruptMode::default();
        Self { mode, interval: DEFAULT_INTERVAL, unmasked: false, wants_transmit: false }
    }
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Reads and clears the causes of an interrupt; a NIC that does not work has none. An interrupt by line or by MSI-X
    /// may come without one; no frame is lost if the caller polls after every call. After [`Causes::transmit`] it offers
    /// all frames that wait: those that are refused again ask for the next interrupt.
    pub fn interrupt(&mut self) -> Causes {
        if !self.is_running() {
            return Causes::default();
        }
        // A NIC that has been removed is detected by the next check.
        let causes = C::causes(&mut self.registers, self.interrupts.mode).unwrap_or_default();
        self.counters.interrupts += u64::from(!causes.is_empty());
        if causes.transmit && core::mem::take(&mut self.interrupts.wants_transmit) && self.interrupts.unmasked
        {
            C::mask_transmit(&mut self.registers, self.interrupts.mode);
        }
        if causes.link {
            self.refresh_link();
        }
        causes
    }

    /// Sets how the NIC interrupts: by its line, or by a mode that its PCI header offers if the family is
    /// trusted with messages ([`crate::Family::has_messages`]).
    pub fn set_interrupt_mode(&mut self, mode: InterruptMode) {
        self.interrupts.mode = mode;
        if self.is_running() {
            C::mask(&mut self.registers);
            self.apply_interrupt_settings();
        }
    }

    /// Masks the NIC's interrupts while the kernel polls. Causes are still recorded.
    pub fn mask(&mut self) {
        self.interrupts.unmasked = false;
        if self.is_running() {
            C::mask(&mut self.registers);
        }
    }

    /// Unmasks the NIC's interrupts. A cause recorded meanwhile interrupts at once.
    pub fn unmask(&mut self) {
        self.interrupts.unmasked = true;
        if self.is_running() {
            self.write_mask();
        }
    }

    /// Sets the minimum interval between two interrupts; every NIC supports up to 8 ms, and zero sets no limit.
    pub fn set_interrupt_interval(&mut self, interval: Duration) {
        self.interrupts.interval = interval;
        if self.is_running() {
            C::throttle(&mut self.registers, self.interrupts.mode, interval);
        }
    }

    /// Writes the settings to a NIC whose causes are all masked.
    pub(crate) fn apply_interrupt_settings(&mut self) {
        C::route(&mut self.registers, self.interrupts.mode);
        C::throttle(&mut self.registers, self.interrupts.mode, self.interrupts.interval);
        if self.interrupts.unmasked {
            self.write_mask();
        }
    }

    /// Lets the next completed transmission interrupt: a frame had no room. One that was completed meanwhile does so at
    /// once.
    pub(crate) fn want_transmit_interrupt(&mut self) {
        if !core::mem::replace(&mut self.interrupts.wants_transmit, true) && self.interrupts.unmasked {
            self.write_mask();
        }
    }

    /// The transmit ring is empty, and nobody waits for room.
    pub(crate) fn forget_waiting(&mut self) {
        self.interrupts.wants_transmit = false;
    }

    fn write_mask(&mut self) {
        C::unmask(&mut self.registers, self.interrupts.mode, self.interrupts.wants_transmit);
    }
}
