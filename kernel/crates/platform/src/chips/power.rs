//! ACPI fixed hardware: PM1a event and control blocks and the power management timer [ACPI 6.5 4.8.3],
//! plus the older ways to reset a PC.
//!
//! The machine is in ACPI mode from the start: SMI_CMD in the FADT is zero and SCI_EN reads as one
//! [ACPI 6.5 4.8.2.5].

use super::ticks;
use base::bits::low_u32;
use base::{Effects, Instant};
use bitflags::bitflags;

/// Frequency of the power management timer [ACPI 6.5 4.8.3.3].
pub const PM_TIMER_HZ: u32 = 3_579_545;
/// SLP_TYP value of soft-off; the `\_S5` package in the DSDT names the same.
pub const SLP_TYP_S5: u8 = 5;
/// The value that a guest writes to [`RESET_PORT`] to reset the machine: RST_CPU with SYS_RST.
pub const RESET_VALUE: u8 = 0x06;
/// The reset control register.
pub const RESET_PORT: u16 = 0xcf9;
/// RST_CPU in the reset control register.
const RST_CPU: u8 = 1 << 2;
/// The keyboard controller's command that pulses its outputs, and the output that resets the processor, in which
/// zero is the active level; the command that writes them with the next byte of data.
const PULSE_OUTPUTS: u8 = 0xf0;
const WRITE_OUTPUTS: u8 = 0xd1;
const RESET_OUTPUT: u8 = 1 << 0;
/// System control port A: bit 0 resets the processor, bit 1 enables address line 20, as it always is here.
pub const PORT_92: u16 = 0x92;
/// See [`PORT_92`].
pub const A20_ENABLED: u8 = 1 << 1;

/// Offsets in the register block.
pub const PM1_STATUS: u8 = 0;
/// PM1 enable register.
pub const PM1_ENABLE: u8 = 2;
/// PM1 control register.
pub const PM1_CONTROL: u8 = 4;
/// PM timer.
pub const PM_TIMER: u8 = 8;

bitflags! {
    /// PM1 status and enable bits [ACPI 6.5 tables 4.12 and 4.13]: those that this hardware has.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Pm1: u16 {
        const TIMER = 1 << 0;
        const GLOBAL = 1 << 5;
        const POWER_BUTTON = 1 << 8;
        /// The clock's alarm as a wake event: a guest that waits in suspend-to-idle has masked the clock's own
        /// interrupt, and is woken by this one.
        const RTC = 1 << 10;
    }
}

/// PM1 control bits [ACPI 6.5 table 4.14].
const SCI_EN: u16 = 1 << 0;
const BM_RLD: u16 = 1 << 1;
const SLP_TYP_SHIFT: u16 = 10;
const SLP_EN: u16 = 1 << 13;

/// A request of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerEvent {
    /// Power off: soft-off was entered.
    Off,
    /// Start over from reset.
    Reset,
}

/// The power registers of one guest.
#[derive(Debug)]
pub struct Power {
    status: Pm1,
    enable: Pm1,
    control: u16,
    /// Changes of the timer's top bit up to here are in `status`.
    settled: Instant,
    /// The next byte of data is for the keyboard controller's outputs.
    outputs_next: bool,
    event: Option<PowerEvent>,
}

impl Default for Power {
    fn default() -> Self {
        Self {
            status: Pm1::empty(),
            enable: Pm1::empty(),
            control: SCI_EN,
            settled: Instant::ZERO,
            outputs_next: false,
            event: None,
        }
    }
}

impl Power {
    /// Reads the byte at `offset` of the register block.
    pub fn read(&mut self, offset: u8, now: Instant) -> (u8, Effects) {
        let settled = self.settle(now);
        let byte = |value: u32, at: u8| value.to_le_bytes().get(usize::from(offset - at)).copied();
        let value = match offset {
            0..2 => byte(self.status.bits().into(), PM1_STATUS),
            2..4 => byte(self.enable.bits().into(), PM1_ENABLE),
            4..6 => byte(self.control.into(), PM1_CONTROL),
            8..12 => byte(low_u32(timer(now)), PM_TIMER),
            _ => None,
        };
        (value.unwrap_or(0), settled)
    }

    /// Writes the byte at `offset` of the register block. Status bits clear where ones are written.
    pub fn write(&mut self, offset: u8, value: u8, now: Instant) -> Effects {
        let settled = self.settle(now);
        let high = offset & 1 != 0;
        let wide = if high { u16::from(value) << 8 } else { u16::from(value) };
        let kept = if high { 0x00ff } else { 0xff00 };
        match offset & !1 {
            PM1_STATUS => self.status -= Pm1::from_bits_truncate(wide),
            PM1_ENABLE => self.enable = Pm1::from_bits_truncate(self.enable.bits() & kept | wide),
            PM1_CONTROL => return settled | self.write_control(self.control & kept | wide),
            _ => return settled,
        }
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    /// The level of the system control interrupt.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.status.intersects(self.enable)
    }

    /// Presses the power button: a guest with ACPI shuts down cleanly.
    pub fn press_button(&mut self) -> Effects {
        self.status |= Pm1::POWER_BUTTON;
        Effects::IRQ_CHANGED
    }

    /// The clock's alarm has gone off [ACPI 6.5 4.8.2.4].
    pub fn note_alarm(&mut self) {
        self.status |= Pm1::RTC;
    }

    /// A write to the reset control register at [`RESET_PORT`].
    pub fn write_reset(&mut self, value: u8) -> Effects {
        if value & RST_CPU == 0 {
            return Effects::empty();
        }
        self.raise(PowerEvent::Reset)
    }

    /// A command to the keyboard controller, of which this board has only the reset line.
    pub fn write_keyboard_command(&mut self, value: u8) -> Effects {
        self.outputs_next = value == WRITE_OUTPUTS;
        if value & PULSE_OUTPUTS != PULSE_OUTPUTS {
            return Effects::empty();
        }
        self.set_outputs(value)
    }

    /// Data for the keyboard controller.
    pub fn write_keyboard_data(&mut self, value: u8) -> Effects {
        if core::mem::take(&mut self.outputs_next) { self.set_outputs(value) } else { Effects::empty() }
    }

    /// A write to [`PORT_92`].
    pub fn write_port_92(&mut self, value: u8) -> Effects {
        if value & 1 == 0 { Effects::empty() } else { self.raise(PowerEvent::Reset) }
    }

    fn set_outputs(&mut self, value: u8) -> Effects {
        if value & RESET_OUTPUT == 0 { self.raise(PowerEvent::Reset) } else { Effects::empty() }
    }

    /// The guest's request since the last call.
    pub fn take_event(&mut self) -> Option<PowerEvent> {
        self.event.take()
    }

    /// When the timer's top bit next changes, if the guest has enabled an interrupt for it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.enable.contains(Pm1::TIMER) || self.status.contains(Pm1::TIMER) {
            return None;
        }
        let next_half = (timer(self.settled) >> 31) + 1;
        // Fewer than 2^57 ticks in 2^64 ns.
        Some(ticks::reached(next_half << 31, PM_TIMER_HZ))
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Instant) -> Effects {
        self.settle(now)
    }

    /// TMR_STS is set whenever bit 31 of the timer has changed [ACPI 6.5 4.8.3.1.1].
    fn settle(&mut self, now: Instant) -> Effects {
        let (line, now) = (self.interrupt(), now.max(self.settled));
        if timer(now) >> 31 != timer(self.settled) >> 31 {
            self.status |= Pm1::TIMER;
        }
        self.settled = now;
        if line == self.interrupt() {
            Effects::empty()
        } else {
            Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
        }
    }

    fn write_control(&mut self, value: u16) -> Effects {
        self.control = value & (BM_RLD | 7 << SLP_TYP_SHIFT) | SCI_EN;
        // Only soft-off exists: the DSDT names no other sleeping state.
        if value & SLP_EN != 0 && (value >> SLP_TYP_SHIFT) & 7 == u16::from(SLP_TYP_S5) {
            return self.raise(PowerEvent::Off);
        }
        Effects::empty()
    }

    fn raise(&mut self, event: PowerEvent) -> Effects {
        self.event = Some(event);
        Effects::POWER
    }
}

/// Ticks of the power management timer; the guest sees the lower 32 bits.
fn timer(now: Instant) -> u64 {
    ticks::passed(now, PM_TIMER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn read_timer(power: &mut Power, now: Instant) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|i| power.read(PM_TIMER + i as u8, now).0))
    }

    #[test]
    fn the_timer_counts_at_its_frequency() {
        let mut power = Power::default();
        assert_eq!(read_timer(&mut power, Instant(SECOND)), 3_579_545);
        assert_eq!(read_timer(&mut power, Instant(2000 * SECOND)), (3_579_545u64 * 2000) as u32);
    }

    #[test]
    fn the_machine_is_in_acpi_mode_and_stays_there() {
        let mut power = Power::default();
        assert_eq!(power.read(PM1_CONTROL, Instant::ZERO).0 & 1, 1);
        let _ = power.write(PM1_CONTROL, 0, Instant::ZERO);
        assert_eq!(power.read(PM1_CONTROL, Instant::ZERO).0 & 1, 1);
    }

    #[test]
    fn soft_off_needs_its_type_and_the_enable_bit() {
        let mut power = Power::default();
        let _ = power.write(PM1_CONTROL + 1, SLP_TYP_S5 << 2, Instant::ZERO);
        assert_eq!(power.take_event(), None);
        let _ = power.write(PM1_CONTROL + 1, 1 << 5 | 3 << 2, Instant::ZERO);
        assert_eq!(power.take_event(), None);
        assert_eq!(power.write(PM1_CONTROL + 1, 1 << 5 | SLP_TYP_S5 << 2, Instant::ZERO), Effects::POWER);
        assert_eq!(power.take_event(), Some(PowerEvent::Off));
        assert_eq!(power.take_event(), None);
    }

    #[test]
    fn the_older_resets_work_and_their_neighbours_do_not() {
        let mut power = Power::default();
        assert!(power.write_reset(0x02).is_empty() && power.write_keyboard_command(0xd1).is_empty());
        assert_eq!(power.take_event(), None);
        let _ = power.write_reset(RESET_VALUE);
        assert_eq!(power.take_event(), Some(PowerEvent::Reset));
        let _ = power.write_keyboard_command(0xfe);
        assert_eq!(power.take_event(), Some(PowerEvent::Reset));
        // Other pulses, data without the command, address line 20.
        let quiet =
            [power.write_keyboard_command(0xff), power.write_keyboard_data(0), power.write_port_92(2)];
        assert!(quiet.iter().all(|effects| effects.is_empty()) && power.take_event().is_none());
        let _ = power.write_keyboard_command(0xd1);
        let _ = power.write_keyboard_data(0xfe);
        assert_eq!(power.take_event(), Some(PowerEvent::Reset));
        let _ = power.write_port_92(1);
        assert_eq!(power.take_event(), Some(PowerEvent::Reset));
    }

    #[test]
    fn the_power_button_raises_the_sci_when_enabled_and_clears_by_writing_one() {
        let mut power = Power::default();
        let _ = power.press_button();
        assert!(!power.interrupt());
        let _ = power.write(PM1_ENABLE + 1, 1, Instant::ZERO);
        assert!(power.interrupt());
        let _ = power.write(PM1_STATUS + 1, 1, Instant::ZERO);
        assert!(!power.interrupt());
    }

    #[test]
    fn timer_status_follows_the_top_bit_and_its_deadline_is_exact() {
        let mut power = Power::default();
        assert_eq!(power.next_deadline(), None);
        let _ = power.write(PM1_ENABLE, 1, Instant::ZERO);
        let deadline = power.next_deadline().expect("the timer interrupt is enabled");
        let _ = power.advance(Instant(deadline.0 - 1));
        assert!(!power.interrupt());
        assert!(power.advance(deadline).contains(Effects::IRQ_CHANGED));
        assert!(power.interrupt());
        assert_eq!(read_timer(&mut power, deadline) >> 31, 1);
        let _ = power.write(PM1_STATUS, 1, deadline);
        assert!(power.next_deadline().is_some_and(|next| next > deadline));
    }
}
