//! Interrupts: what they mean, which are let through, and how often.

use crate::{E1000, Host, Registers};
use base::time::Duration;
use intel_regs::{Interrupt, reg};

/// The causes that are always of interest.
const WANTED: Interrupt =
    Interrupt::LSC.union(Interrupt::RXT0).union(Interrupt::RXDMT0).union(Interrupt::RXO);

/// Least time between two interrupts unless the kernel sets another: 20,000 in a second.
const DEFAULT_INTERVAL: Duration = Duration::from_micros(50);

/// Why the card interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Causes {
    /// The link state changed; [`E1000::link`] is already the new one.
    pub link: bool,
    /// Frames were received, or the receive ring runs low or dry: poll.
    pub receive: bool,
    /// Frames were transmitted: there is room in the transmit ring again.
    pub transmit: bool,
}

impl Causes {
    /// True when the card had no reason to interrupt: another card on the line had.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What the driver sets up again after a reset.
pub(crate) struct Settings {
    interval: Duration,
    unmasked: bool,
    /// True while a frame was refused for want of room in the transmit ring: the next completion is worth
    /// an interrupt.
    pub(crate) wants_transmit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interval: DEFAULT_INTERVAL, unmasked: false, wants_transmit: false }
    }
}

impl<H: Host> E1000<H> {
    /// Takes the causes of an interrupt; reading them clears them and lets the interrupt line go
    /// [8254x 13.4.17].
    pub fn interrupt(&mut self) -> Causes {
        let icr = self.registers.read(reg::ICR);
        // All ones: nothing answers at the card's address. The next check finds out.
        if icr == u32::MAX {
            return Causes::default();
        }
        let icr = Interrupt::from_bits_retain(icr);
        let causes = Causes {
            link: icr.contains(Interrupt::LSC),
            receive: icr.intersects(Interrupt::RXT0 | Interrupt::RXDMT0 | Interrupt::RXO),
            transmit: icr.intersects(Interrupt::TXDW | Interrupt::TXQE),
        };
        self.counters.interrupts += u64::from(!causes.is_empty());
        if causes.link {
            self.refresh_link();
        }
        causes
    }

    /// Keeps the card from interrupting, while the kernel polls [8254x 13.4.21]. Causes still gather.
    pub fn mask(&mut self) {
        self.interrupts.unmasked = false;
        self.registers.write(reg::IMC, u32::MAX);
    }

    /// Lets the card interrupt [8254x 13.4.20]. A cause that gathered meanwhile interrupts at once.
    pub fn unmask(&mut self) {
        self.interrupts.unmasked = true;
        self.write_mask();
    }

    /// Sets the least time between two interrupts, in steps of 256 ns up to 16 ms; zero sets no limit
    /// [8254x 13.4.18].
    pub fn set_interrupt_interval(&mut self, interval: Duration) {
        self.interrupts.interval = interval;
        self.write_interval();
    }

    /// Writes the settings to a card that was reset.
    pub(crate) fn apply_interrupt_settings(&mut self) {
        self.write_interval();
        if self.interrupts.unmasked {
            self.write_mask();
        }
    }

    /// Says whether a completed transmission is worth an interrupt.
    pub(crate) fn want_transmit_interrupt(&mut self, wanted: bool) {
        if wanted == self.interrupts.wants_transmit {
            return;
        }
        self.interrupts.wants_transmit = wanted;
        match (wanted, self.interrupts.unmasked) {
            (true, true) => self.write_mask(),
            (false, true) => self.registers.write(reg::IMC, Interrupt::TXDW.bits()),
            (_, false) => {}
        }
    }

    fn write_mask(&mut self) {
        let transmit = if self.interrupts.wants_transmit { Interrupt::TXDW } else { Interrupt::empty() };
        self.registers.write(reg::IMS, (WANTED | transmit).bits());
    }

    fn write_interval(&mut self) {
        let units = self.interrupts.interval.as_nanos() / u128::from(reg::ITR_UNIT_NS);
        self.registers.write(reg::ITR, u32::from(u16::try_from(units).unwrap_or(u16::MAX)));
    }
}
