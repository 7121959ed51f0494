//! One guest's board: every device but its vNICs, behind I/O ports and memory addresses.
//!
//! The kernel calls [`Pc::port_read`] and its siblings on VM exits, [`Pc::advance`] when
//! [`Pc::next_deadline`] has come, and acts on the [`Effects`] that they return: after `IRQ_CHANGED` it
//! checks [`InterruptControllers::pending`], after `TIMER_CHANGED` [`Pc::next_deadline`], after `CONSOLE`
//! [`Pc::take_console`], after `POWER` [`Pc::power_event`], and after `MAP_CHANGED` it refreshes its own
//! copies of [`Pc::find_bar`].

mod bus;

use crate::interrupts::{FIRST_PCI_GSI, InterruptControllers};
use crate::layout;
use crate::pci::{BarHit, PciBus};
use crate::pit::Pit;
use crate::power::{Power, PowerEvent};
use crate::rtc::Rtc;
use crate::uart::Uart;
use base::bits::low_u8;
use base::{Effects, GuestPhysical, Instant};

/// ISA interrupt of the PIT.
const PIT_IRQ: u8 = 0;

/// The properties in which boards differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcConfig {
    /// Memory of the guest in bytes.
    pub memory_bytes: u64,
    /// Processors, from 1 on.
    pub vcpus: u8,
    /// Frequency of the guest's time stamp counter in Hz.
    pub tsc_hz: u64,
    /// Seconds since 1 January 1970, UTC, at [`Instant::ZERO`].
    pub wall_clock_unix_seconds: u64,
    /// vNICs, at [`crate::pci::FIRST_NIC_SLOT`] and the slots after it.
    pub nics: u8,
}

/// The board.
///
/// A guest writes to its serial port, and Weir takes the bytes:
///
/// ```
/// use base::{Effects, Instant, Width};
/// use platform::pc::{Pc, PcConfig};
///
/// let config = PcConfig {
///     memory_bytes: 64 << 20,
///     vcpus: 1,
///     tsc_hz: 2_000_000_000,
///     wall_clock_unix_seconds: 0,
///     nics: 1,
/// };
/// let mut pc = Pc::new(&config);
/// let effects = pc.port_write(0x3f8, Width::Byte, u32::from(b'!'), Instant::ZERO);
/// assert!(effects.contains(Effects::CONSOLE));
///
/// let mut console = [0; 16];
/// let (taken, _) = pc.take_console(&mut console);
/// assert_eq!(&console[..taken], b"!");
/// ```
#[derive(Debug)]
pub struct Pc {
    interrupts: InterruptControllers,
    pit: Pit,
    uart: Uart,
    rtc: Rtc,
    pci: PciBus,
    power: Power,
    /// The levels last passed to the interrupt controllers: line 0 in bit 0.
    lines: u32,
    /// When a device other than the interrupt controllers must be advanced, or before that: asked at every turn, and
    /// changed by few accesses.
    due: Option<Instant>,
}

impl Pc {
    /// A board after power-on. To reset a guest, make a new one.
    #[must_use]
    pub fn new(config: &PcConfig) -> Self {
        let mut pc = Self {
            interrupts: InterruptControllers::new(config.vcpus, config.tsc_hz),
            pit: Pit::new(),
            uart: Uart::default(),
            rtc: Rtc::new(config.wall_clock_unix_seconds, config.memory_bytes),
            pci: PciBus::new(config.nics),
            power: Power::default(),
            lines: 0,
            due: None,
        };
        // The PIT's line is high from the start, so the guest sees no rise later.
        let _ = pc.wire(Effects::IRQ_CHANGED);
        pc
    }

    /// Acknowledges the most urgent interrupt of processor `vcpu` and returns its vector.
    pub fn acknowledge(&mut self, vcpu: u8) -> Option<u8> {
        self.interrupts.acknowledge(vcpu)
    }

    /// The interrupt controllers, for the kernel's other requests: local APIC registers where [`crate::msr`]
    /// refers to them, task priority, INIT and start-up of further processors.
    pub fn interrupts(&mut self) -> &mut InterruptControllers {
        &mut self.interrupts
    }

    /// The vNIC register at `address`, if a base address register decodes it now.
    #[must_use]
    pub fn find_bar(&self, address: GuestPhysical) -> Option<BarHit> {
        self.pci.find_memory(address)
    }

    /// The vNIC register at I/O port `port`, if a base address register decodes it now.
    #[must_use]
    pub fn find_port(&self, port: u16) -> Option<BarHit> {
        self.pci.find_io(port)
    }

    /// True when the guest lets the vNIC at `slot` access memory; otherwise the vNIC must neither fetch nor
    /// write descriptors.
    #[must_use]
    pub fn bus_master(&self, slot: u8) -> bool {
        self.pci.bus_master(slot)
    }

    /// Asserts or releases the interrupt line of the vNIC at `slot`.
    pub fn set_function_interrupt(&mut self, slot: u8, asserted: bool) -> Effects {
        self.pci.set_interrupt(slot, asserted);
        self.wire(Effects::IRQ_CHANGED)
    }

    /// Moves console output into `into` and returns how many bytes, in the order the guest sent them.
    pub fn take_console(&mut self, into: &mut [u8]) -> (usize, Effects) {
        let (taken, effects) = self.uart.take(into);
        (taken, self.follow(effects))
    }

    /// Offers a byte of console input; false when the guest has not yet read enough of the earlier input.
    pub fn give_console(&mut self, byte: u8, now: Instant) -> (bool, Effects) {
        let (taken, effects) = self.uart.give(byte, now);
        (taken, self.follow(effects))
    }

    /// The power event that the guest has requested since the last call.
    pub fn power_event(&mut self) -> Option<PowerEvent> {
        self.power.take_event()
    }

    /// Presses the power button; a guest with ACPI then shuts down cleanly.
    pub fn press_power_button(&mut self) -> Effects {
        let effects = self.power.press_button();
        self.follow(effects)
    }

    /// When [`Pc::advance`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        Instant::earliest([self.interrupts.next_deadline(), self.due])
    }

    /// Advances all devices to `now`.
    pub fn advance(&mut self, now: Instant) -> Effects {
        let effects = self.interrupts.advance(now)
            | self.pit.advance(now)
            | self.uart.advance(now)
            | self.rtc.advance(now)
            | self.power.advance(now);
        let effects = self.wire(effects);
        // Even without effects: a cause that has been noted is not due again.
        self.due = self.devices_due();
        effects
    }

    /// Completes an access to a device with `effects`.
    fn follow(&mut self, effects: Effects) -> Effects {
        let effects = self.wire(effects);
        if !effects.is_empty() {
            self.due = self.devices_due();
        }
        effects
    }

    fn devices_due(&self) -> Option<Instant> {
        Instant::earliest([
            self.pit.next_deadline(),
            self.uart.next_deadline(),
            self.rtc.next_deadline(),
            self.power.next_deadline(),
        ])
    }

    /// Passes the levels of changed interrupt lines to the controllers, after an access to a device with
    /// `effects`.
    fn wire(&mut self, effects: Effects) -> Effects {
        if !effects.contains(Effects::IRQ_CHANGED) {
            return effects;
        }
        let mut effects = effects;
        if self.rtc.take_alarm() {
            self.power.note_alarm();
        }
        if self.pit.take_irq0_edge() {
            effects |= self.interrupts.set_line(PIT_IRQ, false) | self.interrupts.set_line(PIT_IRQ, true);
            self.lines |= 1 << PIT_IRQ;
        }
        let levels = self.levels();
        let mut changed = levels ^ self.lines;
        self.lines = levels;
        while changed != 0 {
            let line = low_u8(changed.trailing_zeros().into());
            changed &= changed - 1;
            effects |= self.interrupts.set_line(line, levels & 1 << line != 0);
        }
        effects
    }

    /// The levels of all interrupt lines: line 0 in bit 0.
    fn levels(&self) -> u32 {
        u32::from(self.pit.irq0()) << PIT_IRQ
            | u32::from(self.uart.interrupt()) << layout::COM1_IRQ
            | u32::from(self.rtc.interrupt()) << layout::RTC_IRQ
            | u32::from(self.power.interrupt()) << layout::SCI_GSI
            | u32::from(self.pci.interrupts()) << FIRST_PCI_GSI
    }
}

#[cfg(test)]
mod tests;
