//! Power-off and reset of the machine itself.

use super::acpi::Machine;
use super::cpu;
use crate::log::output;
use spin::Once;
use x86_64::instructions::port::Port;

/// PM1 control: sleep type in bits 12:10, sleep enable in bit 13 [ACPI 6.5 4.8.3.2.1].
const SLP_EN: u16 = 1 << 13;

static POWER_OFF: Once<(u16, u16)> = Once::new();

/// Remembers how to switch this machine off.
pub fn init(machine: &Machine) {
    if let Some(how) = machine.power_off {
        POWER_OFF.call_once(|| how);
    } else {
        log::warn!("the firmware names no way to switch the machine off: it will only halt");
    }
}

/// Enters S5, soft off; halts where the firmware named no way.
pub fn off() -> ! {
    output::flush();
    if let Some(&(port, sleep_type)) = POWER_OFF.get() {
        // SAFETY: the FADT's PM1a control register, with the sleep type of S5 from the DSDT.
        unsafe { Port::<u16>::new(port).write(sleep_type << 10 | SLP_EN) }
    }
    cpu::halt_forever()
}
