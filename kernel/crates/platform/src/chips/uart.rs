//! A 16550A UART with FIFOs [PC16550D 8.0]: the guest's serial console.
//!
//! Bytes that the guest sends wait in an output ring until Weir takes them. For the guest, sending takes no
//! time while the ring has room for a whole FIFO; with less room LSR.THRE and LSR.TEMT stay clear, so a guest
//! that obeys them loses nothing. Bytes written to a full ring are lost, as on the real part.

use base::{Duration, Effects, Instant};
use bitflags::bitflags;
use heapless::Deque;

/// Size of the output ring in bytes.
pub const OUTPUT_RING: usize = 4096;
/// Depth of the receive and transmit FIFOs in bytes [PC16550D 8.4].
pub const FIFO: usize = 16;
/// Nanoseconds per bit and unit of the divisor: sixteen periods of the 1.8432 MHz clock [PC16550D 8.3].
const NANOS_PER_DIVISOR: u64 = 16_000_000_000 / 1_843_200;

bitflags! {
    /// Interrupt enable register [PC16550D 8.6].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct UartIer: u8 {
        const RECEIVED = 1 << 0;
        const THR_EMPTY = 1 << 1;
        const LINE_STATUS = 1 << 2;
        const MODEM_STATUS = 1 << 3;
    }

    /// Line status register [PC16550D 8.6.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct UartLsr: u8 {
        const DATA_READY = 1 << 0;
        const OVERRUN = 1 << 1;
        const THR_EMPTY = 1 << 5;
        const TRANSMITTER_EMPTY = 1 << 6;
    }

    /// Modem control register [PC16550D 8.6.7].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct UartMcr: u8 {
        const DTR = 1 << 0;
        const RTS = 1 << 1;
        const OUT1 = 1 << 2;
        const OUT2 = 1 << 3;
        const LOOP = 1 << 4;
    }

    /// Modem status register [PC16550D 8.6.8].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct UartMsr: u8 {
        const DCTS = 1 << 0;
        const DDSR = 1 << 1;
        const TERI = 1 << 2;
        const DDCD = 1 << 3;
        const CTS = 1 << 4;
        const DSR = 1 << 5;
        const RI = 1 << 6;
        const DCD = 1 << 7;
    }
}

/// LCR.DLAB: the divisor latch takes the place of the first two registers [PC16550D 8.1].
const LCR_DLAB: u8 = 1 << 7;
/// IIR: no interrupt pending; causes in order of priority [PC16550D table III].
const IIR_NONE: u8 = 0x01;
const IIR_LINE_STATUS: u8 = 0x06;
const IIR_RECEIVED: u8 = 0x04;
const IIR_TIMEOUT: u8 = 0x0c;
const IIR_THR_EMPTY: u8 = 0x02;
const IIR_MODEM_STATUS: u8 = 0x00;
const IIR_FIFOS_ENABLED: u8 = 0xc0;
/// FCR [PC16550D 8.4].
const FCR_ENABLE: u8 = 1 << 0;
const FCR_CLEAR_RECEIVE: u8 = 1 << 1;

/// The UART. Its interrupt line is a level: look at [`Uart::interrupt`] after each access.
///
/// ```
/// use base::Instant;
/// use platform::uart::Uart;
///
/// let mut uart = Uart::default();
/// assert!(uart.give(b'x', Instant::ZERO).0);
/// assert_eq!(uart.read(0, Instant::ZERO).0, b'x');
/// ```
#[derive(Debug)]
pub struct Uart {
    ier: UartIer,
    lcr: u8,
    mcr: UartMcr,
    scratch: u8,
    divisor: u16,
    fifos: bool,
    trigger: usize,
    received: Deque<u8, FIFO>,
    overrun: bool,
    /// When a byte last entered or left the receive FIFO; None before the first.
    last_activity: Option<Instant>,
    timed_out: bool,
    /// The cause "THR empty" is pending: it became empty, or its enable was set, since IIR last showed it.
    thr_empty_pending: bool,
    msr_deltas: UartMsr,
    output: Deque<u8, OUTPUT_RING>,
}

impl Default for Uart {
    fn default() -> Self {
        Self {
            ier: UartIer::empty(),
            lcr: 0,
            mcr: UartMcr::empty(),
            scratch: 0,
            divisor: 1,
            fifos: false,
            trigger: 1,
            received: Deque::new(),
            overrun: false,
            last_activity: None,
            timed_out: false,
            thr_empty_pending: false,
            msr_deltas: UartMsr::empty(),
            output: Deque::new(),
        }
    }
}

impl Uart {
    /// Reads `register` 0 to 7 [PC16550D table II].
    pub fn read(&mut self, register: u8, now: Instant) -> (u8, Effects) {
        let dlab = self.lcr & LCR_DLAB != 0;
        let value = match register & 7 {
            0 if dlab => self.divisor.to_le_bytes()[0],
            1 if dlab => self.divisor.to_le_bytes()[1],
            0 => return self.read_received(now),
            1 => self.ier.bits(),
            2 => return self.read_iir(),
            3 => self.lcr,
            4 => self.mcr.bits(),
            5 => return self.read_lsr(),
            6 => {
                let value = self.modem_lines() | self.msr_deltas;
                self.msr_deltas = UartMsr::empty();
                return (value.bits(), Effects::IRQ_CHANGED);
            }
            _ => self.scratch,
        };
        (value, Effects::empty())
    }

    /// Writes `register` 0 to 7. LSR and MSR are read-only here: writes to them are for factory test.
    pub fn write(&mut self, register: u8, value: u8, now: Instant) -> Effects {
        let dlab = self.lcr & LCR_DLAB != 0;
        let [low, high] = self.divisor.to_le_bytes();
        match register & 7 {
            0 if dlab => return self.set_divisor([value, high]),
            1 if dlab => return self.set_divisor([low, value]),
            0 => return self.transmit(value, now),
            1 => {
                let enabled = UartIer::from_bits_truncate(value);
                if enabled.contains(UartIer::THR_EMPTY) && !self.ier.contains(UartIer::THR_EMPTY) {
                    self.thr_empty_pending = self.thr_is_empty();
                }
                self.ier = enabled;
                return Effects::IRQ_CHANGED | Effects::TIMER_CHANGED;
            }
            2 => return self.write_fcr(value),
            3 => self.lcr = value,
            4 => {
                let before = self.modem_lines();
                self.mcr = UartMcr::from_bits_truncate(value);
                self.note_modem_change(before);
                return Effects::IRQ_CHANGED;
            }
            7 => self.scratch = value,
            _ => {}
        }
        Effects::empty()
    }

    /// The level of the interrupt line. OUT2 gates it, as on PC boards; in loopback OUT2's pin is inactive,
    /// and so is the line.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.mcr.contains(UartMcr::OUT2) && !self.mcr.contains(UartMcr::LOOP) && self.cause() != IIR_NONE
    }

    /// Moves output into `into` and returns how many bytes.
    pub fn take(&mut self, into: &mut [u8]) -> (usize, Effects) {
        let was_empty = self.thr_is_empty();
        let mut taken = 0;
        for (slot, byte) in into.iter_mut().zip(core::iter::from_fn(|| self.output.pop_front())) {
            *slot = byte;
            taken += 1;
        }
        if !was_empty && self.thr_is_empty() {
            self.thr_empty_pending = true;
        }
        (taken, Effects::IRQ_CHANGED)
    }

    /// Offers a byte from the wire; false when the receiver has no room and the caller keeps the byte.
    pub fn give(&mut self, byte: u8, now: Instant) -> (bool, Effects) {
        let room = self.received.len() < if self.fifos { FIFO } else { 1 };
        if !room || self.mcr.contains(UartMcr::LOOP) {
            return (false, Effects::empty());
        }
        self.receive(byte, now);
        (true, Effects::IRQ_CHANGED | Effects::TIMER_CHANGED)
    }

    /// When [`Uart::advance`] must be called next: the character timeout, four character times after a byte
    /// last arrived or was read [PC16550D 8.4 FIFO interrupt mode operation].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.fifos && self.ier.contains(UartIer::RECEIVED) && !self.received.is_empty();
        let below_trigger = self.received.len() < self.trigger;
        let since = self.last_activity.filter(|_| waiting && below_trigger && !self.timed_out)?;
        let bit = NANOS_PER_DIVISOR * u64::from(self.divisor.max(1));
        Some(since + Duration::from_nanos(4 * 10 * bit))
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Instant) -> Effects {
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.timed_out = true;
            return Effects::IRQ_CHANGED | Effects::TIMER_CHANGED;
        }
        Effects::empty()
    }

    /// The character time changes, and with it the end of a character timeout that has begun.
    fn set_divisor(&mut self, bytes: [u8; 2]) -> Effects {
        self.divisor = u16::from_le_bytes(bytes);
        Effects::TIMER_CHANGED
    }

    fn thr_is_empty(&self) -> bool {
        OUTPUT_RING - self.output.len() >= FIFO
    }

    fn line_status(&self) -> UartLsr {
        let mut status = UartLsr::empty();
        status.set(UartLsr::DATA_READY, !self.received.is_empty());
        status.set(UartLsr::OVERRUN, self.overrun);
        status.set(UartLsr::THR_EMPTY | UartLsr::TRANSMITTER_EMPTY, self.thr_is_empty());
        status
    }

    /// The pending cause of highest priority [PC16550D table III].
    fn cause(&self) -> u8 {
        if self.ier.contains(UartIer::LINE_STATUS) && self.overrun {
            IIR_LINE_STATUS
        } else if self.ier.contains(UartIer::RECEIVED) && self.received.len() >= self.trigger {
            IIR_RECEIVED
        } else if self.ier.contains(UartIer::RECEIVED) && self.timed_out {
            IIR_TIMEOUT
        } else if self.ier.contains(UartIer::THR_EMPTY) && self.thr_empty_pending {
            IIR_THR_EMPTY
        } else if self.ier.contains(UartIer::MODEM_STATUS) && !self.msr_deltas.is_empty() {
            IIR_MODEM_STATUS
        } else {
            IIR_NONE
        }
    }

    fn read_iir(&mut self) -> (u8, Effects) {
        let cause = self.cause();
        if cause == IIR_THR_EMPTY {
            self.thr_empty_pending = false;
        }
        let fifos = if self.fifos { IIR_FIFOS_ENABLED } else { 0 };
        (cause | fifos, Effects::IRQ_CHANGED)
    }

    fn read_lsr(&mut self) -> (u8, Effects) {
        let value = self.line_status().bits();
        self.overrun = false;
        (value, Effects::IRQ_CHANGED)
    }

    fn read_received(&mut self, now: Instant) -> (u8, Effects) {
        let byte = self.received.pop_front().unwrap_or(0);
        self.timed_out = false;
        self.last_activity = Some(now);
        (byte, Effects::IRQ_CHANGED | Effects::TIMER_CHANGED)
    }

    fn receive(&mut self, byte: u8, now: Instant) {
        let depth = if self.fifos { FIFO } else { 1 };
        if self.received.len() >= depth || self.received.push_back(byte).is_err() {
            self.overrun = true;
        }
        self.timed_out = false;
        self.last_activity = Some(now);
    }

    fn transmit(&mut self, byte: u8, now: Instant) -> Effects {
        if self.mcr.contains(UartMcr::LOOP) {
            self.receive(byte, now);
            self.thr_empty_pending = self.thr_is_empty();
            return Effects::IRQ_CHANGED | Effects::TIMER_CHANGED;
        }
        // A byte that finds the ring full is lost: LSR.THRE was clear.
        let _ = self.output.push_back(byte);
        self.thr_empty_pending = self.thr_is_empty();
        Effects::IRQ_CHANGED | Effects::CONSOLE
    }

    fn write_fcr(&mut self, value: u8) -> Effects {
        let enable = value & FCR_ENABLE != 0;
        // A change of FIFO enable clears both FIFOs [PC16550D 8.4].
        if enable != self.fifos || value & FCR_CLEAR_RECEIVE != 0 {
            self.received.clear();
            self.timed_out = false;
        }
        self.fifos = enable;
        self.trigger = match (enable, value >> 6) {
            (false, _) | (true, 0) => 1,
            (true, 1) => 4,
            (true, 2) => 8,
            _ => 14,
        };
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    /// Modem inputs: those of a peer that is always ready or, in loopback, the outputs themselves [PC16550D
    /// 8.6.7].
    fn modem_lines(&self) -> UartMsr {
        if !self.mcr.contains(UartMcr::LOOP) {
            return UartMsr::CTS | UartMsr::DSR | UartMsr::DCD;
        }
        let mut lines = UartMsr::empty();
        lines.set(UartMsr::CTS, self.mcr.contains(UartMcr::RTS));
        lines.set(UartMsr::DSR, self.mcr.contains(UartMcr::DTR));
        lines.set(UartMsr::RI, self.mcr.contains(UartMcr::OUT1));
        lines.set(UartMsr::DCD, self.mcr.contains(UartMcr::OUT2));
        lines
    }

    fn note_modem_change(&mut self, before: UartMsr) {
        let now = self.modem_lines();
        let changed = before ^ now;
        self.msr_deltas |= UartMsr::from_bits_truncate((changed & !UartMsr::RI).bits() >> 4);
        // TERI is the trailing edge of RI only.
        self.msr_deltas.set(
            UartMsr::TERI,
            self.msr_deltas.contains(UartMsr::TERI) || (before - now).contains(UartMsr::RI),
        );
    }
}

#[cfg(test)]
mod tests;
