//! The console: COM1, polled [PC16550D 8].

use crate::ports;
use core::fmt;

const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = DATA + 1;
const FIFO_CONTROL: u16 = DATA + 2;
const LINE_CONTROL: u16 = DATA + 3;
const MODEM_CONTROL: u16 = DATA + 4;
const LINE_STATUS: u16 = DATA + 5;

/// LSR bit 0, a byte was received.
const DR: u8 = 1 << 0;
/// LSR bit 5, transmitter holding register empty.
const THRE: u8 = 1 << 5;
/// LSR bit 6, transmitter empty: the last bit has been sent.
const TEMT: u8 = 1 << 6;

/// Sets 115200 baud, eight bits, no parity, no interrupts.
pub fn start() {
    ports::write_byte(INTERRUPT_ENABLE, 0);
    ports::write_byte(LINE_CONTROL, 0x83);
    ports::write_byte(DATA, 1);
    ports::write_byte(INTERRUPT_ENABLE, 0);
    ports::write_byte(LINE_CONTROL, 0x03);
    ports::write_byte(FIFO_CONTROL, 0x07);
    ports::write_byte(MODEM_CONTROL, 0x03);
}

/// Waits until everything written has been sent.
pub fn drain() {
    while ports::read_byte(LINE_STATUS) & TEMT == 0 {}
}

/// Reads the next typed byte, if there is one.
#[must_use]
pub fn key() -> Option<u8> {
    (ports::read_byte(LINE_STATUS) & DR != 0).then(|| ports::read_byte(DATA))
}

/// Waits for a typed byte: a guest with `start=key` on its command line starts only then.
pub fn wait_for_key() {
    while key().is_none() {}
}

/// COM1 as a sink for text.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while ports::read_byte(LINE_STATUS) & THRE == 0 {}
            ports::write_byte(DATA, byte);
        }
        Ok(())
    }
}

/// Prints one line on the console.
#[macro_export]
macro_rules! line {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($text)*);
    }};
}

/// Prints a `FAIL` line and returns an error if the condition does not hold.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            $crate::line!("FAIL {}", format_args!($($text)*));
            return Err($crate::Failed);
        }
    };
}
