//! Tests what wakes a guest that has masked all interrupts but ACPI's: the alarm of the clock, and the power button,
//! which the operator presses.
#![no_std]
#![no_main]

use micro::ports::{read_byte, write_byte};
use micro::processor::{self, cpuid, time_stamp};
use micro::{Boot, Verdict, ensure, line, pic};

micro::guest!("wake_events", main);

/// PM1 status and enable, high bytes: the power button is bit 8, the clock bit 10.
const PM1_STATUS_HIGH: u16 = 0x601;
const PM1_ENABLE_HIGH: u16 = 0x603;
const BUTTON: u8 = 1 << 0;
const CLOCK: u8 = 1 << 2;

const RTC_INDEX: u16 = 0x70;
const RTC_DATA: u16 = 0x71;

fn main(_: &Boot) -> Verdict {
    pic::start();
    let khz = u64::from(cpuid(0x4000_0010, 0).eax);
    ensure!(khz > 1000, "leaf 4000_0010h says {khz} kHz");
    write_byte(PM1_ENABLE_HIGH, BUTTON | CLOCK);
    // An alarm at every second, with its interrupt.
    for (index, value) in [(1, 0xff), (3, 0xff), (5, 0xff), (0xb, 0x22)] {
        write_byte(RTC_INDEX, index);
        write_byte(RTC_DATA, value);
    }
    wait(CLOCK, khz * 1000 * 10)?;
    write_byte(PM1_STATUS_HIGH, CLOCK);
    line!("READY");
    wait(BUTTON, khz * 1000 * 600)?;
    ensure!(read_byte(PM1_STATUS_HIGH) & BUTTON != 0, "the button's status is lost");
    write_byte(PM1_STATUS_HIGH, BUTTON);
    ensure!(read_byte(PM1_STATUS_HIGH) & BUTTON == 0, "the button's status stays");
    Ok(())
}

/// Waits until the status bit is set, for this many ticks at most.
fn wait(bit: u8, ticks: u64) -> Verdict {
    let start = time_stamp();
    while read_byte(PM1_STATUS_HIGH) & bit == 0 {
        ensure!(time_stamp() - start < ticks, "status bit {bit:#x} is never set");
        // In Bochs 2.7, interrupts of the machine do not cause exits while the guest has its own interrupts
        // disabled.
        processor::take_interrupts();
        (0..1000).for_each(|_| processor::relax());
    }
    Ok(())
}
