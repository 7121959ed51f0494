//! Power-off and reset of the machine itself.

use super::acpi::MachineInfo;
use crate::log::output;
use crate::processor::cpu;
use spin::Once;
use x86_64::instructions::port::Port;

/// PM1 control: sleep type in bits 12:10, sleep enable in bit 13 [ACPI 6.5 4.8.3.2.1].
const SLP_EN: u16 = 1 << 13;

/// The reset control register of Intel's and similar chipsets [82371AB 4.2.6.1]: bit 1 selects a hard reset, and
/// setting bit 2 starts it.
const RESET_CONTROL: u16 = 0xcf9;
const HARD_RESET: u8 = 1 << 1;
const RESET_CPU: u8 = 1 << 2;
/// The keyboard controller's command port, and the command that pulses the processor's reset line.
const KEYBOARD_COMMAND: u16 = 0x64;
const PULSE_RESET: u8 = 0xfe;

static POWER_OFF: Once<(u16, u16)> = Once::new();
static RESET: Once<(u16, u8)> = Once::new();

/// Saves how to switch this machine off, and how to reset it.
pub fn init(machine: &MachineInfo) {
    if let Some(how) = machine.reset {
        RESET.call_once(|| how);
    }
    if let Some(how) = machine.power_off {
        POWER_OFF.call_once(|| how);
    } else {
        log::warn!("the firmware describes no way to switch the machine off: it will only halt");
    }
}

/// Enters S5, soft off. Halts if the firmware describes no way to do so.
pub fn off() -> ! {
    output::flush();
    if let Some(&(port, sleep_type)) = POWER_OFF.get() {
        // SAFETY: the FADT's PM1a control register, with the sleep type of S5 from the DSDT.
        unsafe { Port::<u16>::new(port).write(sleep_type << 10 | SLP_EN) }
    }
    cpu::halt_forever()
}

/// Resets the machine: as the FADT describes, else through the chipset, else through the keyboard controller.
/// Halts if none of them works.
pub fn reset() -> ! {
    output::flush();
    if let Some(&(port, value)) = RESET.get() {
        // SAFETY: the FADT specifies this port and value for a reset.
        unsafe { Port::<u8>::new(port).write(value) }
    }
    // SAFETY: these ports do what their names say, or belong to no device.
    unsafe {
        let mut control = Port::<u8>::new(RESET_CONTROL);
        control.write(HARD_RESET);
        control.write(HARD_RESET | RESET_CPU);
        Port::<u8>::new(KEYBOARD_COMMAND).write(PULSE_RESET);
    }
    cpu::halt_forever()
}
