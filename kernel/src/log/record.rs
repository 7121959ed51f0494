//! Log records: their form, and their way to the serial line, the screen and the tail.

use super::{output, serial, tail};
use crate::processor::{clock, cores};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};
use log::{Level, LevelFilter, Log, Metadata, Record};

struct WeirLog;

static LOG: WeirLog = WeirLog;

/// Each line is sent before the next step begins, so that the last line shows where boot stopped.
const WAIT: u8 = 0;
/// What the UART takes at once is sent, at 87 us for each byte. Warnings are waited for, and so is room.
const SEND: u8 = 1;
/// The main loop sends what is in the queue.
const LEAVE: u8 = 2;
/// Bytes of a line that is formatted once.
const LINE: usize = 256;
/// What is done with the queue when a line has been added.
static PACE: AtomicU8 = AtomicU8::new(WAIT);

/// Starts the log on the serial port.
pub fn init() {
    serial::init();
    // Only a second call could fail, and there is none.
    let _ = log::set_logger(&LOG);
    log::set_max_level(LevelFilter::Info);
}

/// Boot does not wait for each line from now on.
pub fn hurry() {
    PACE.store(SEND, Ordering::Relaxed);
}

/// Leaves output to the main loop from now on.
pub fn leave_to_main_loop() {
    PACE.store(LEAVE, Ordering::Relaxed);
}

impl Log for WeirLog {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let level = match record.level() {
            Level::Error => "ERROR",
            Level::Warn => "WARN ",
            Level::Info => "INFO ",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        };
        // `weir::virt::vmx::vcpu` appears as `vmx`: the part that a reader of the log knows.
        let subsystem = subsystem(record.target());
        let write = |out: &mut dyn Write| line(out, level, subsystem, record.args());
        // It goes three ways, and is formatted once unless it is long.
        let mut text: heapless::String<LINE> = heapless::String::new();
        if write(&mut text).is_ok() {
            keep(|out| out.write_str(&text));
        } else {
            keep(write);
        }
        // Only the boot core sends and paints. Others log while it waits for them.
        match PACE.load(Ordering::Relaxed) {
            _ if cores::current() != cores::BOOT_CORE => {}
            WAIT => output::flush(),
            SEND if record.level() <= Level::Warn || output::is_half_full() => output::flush_serial(),
            SEND => _ = output::pump(base::Duration::ZERO),
            _ => {}
        }
    }

    fn flush(&self) {
        output::flush();
    }
}

/// Takes a line into the tail, the screen's text and the queue of the serial line.
fn keep(write: impl Fn(&mut dyn Write) -> fmt::Result) {
    tail::remember(&write);
    output::log_line(write);
}

/// Writes one log line as it appears on the serial port.
pub fn line(out: &mut dyn Write, level: &str, subsystem: &str, text: &fmt::Arguments) -> fmt::Result {
    let now = clock::now().as_nanos();
    write!(out, "[{:5}.{:06}] {level} {subsystem}: {text}", now / 1_000_000_000, now % 1_000_000_000 / 1000)
}

fn subsystem(target: &str) -> &str {
    let mut parts = target.split("::");
    match (parts.next(), parts.next(), parts.next()) {
        (Some("weir"), Some("virt" | "hardware"), Some(part)) => part,
        // What these do belongs to a part that a reader of the log knows better.
        (Some("weir"), Some("meeting"), _) => "vm",
        (Some("weir"), Some("boot_core"), _) => "boot",
        (Some("weir"), Some(part), _) => part,
        (Some(other), ..) => other,
        (None, ..) => "weir",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsystem_is_the_folder_a_reader_knows() {
        assert_eq!(subsystem("weir"), "weir");
        assert_eq!(subsystem("weir::virt::vmx::vcpu"), "vmx");
        assert_eq!(subsystem("weir::hardware::pci"), "pci");
        assert_eq!(subsystem("weir::net::uplink"), "net");
        assert_eq!(subsystem("weir::meeting::vnic_slot"), "vm");
        assert_eq!(subsystem("weir::boot_core"), "boot");
        assert_eq!(subsystem("nic::e1000"), "nic");
    }
}
