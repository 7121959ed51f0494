//! The two 8259A interrupt controllers and the 8254 timer [8259A ICW1 to ICW4], [8254 mode 2].

use crate::{ports, processor};

const MASTER: u16 = 0x20;
const SLAVE: u16 = 0xa0;
/// Vector of interrupt line 0; the sixteen lines have consecutive vectors.
pub const FIRST_VECTOR: u8 = 0x20;
/// Line of the timer.
pub const TIMER: u8 = 0;
const END_OF_INTERRUPT: u8 = 0x20;
const READ_IN_SERVICE: u8 = 0x0b;

/// Input clock of the 8254, in hertz.
pub const TIMER_HERTZ: u32 = 1_193_182;

/// Initialises both controllers with all lines masked but the cascade.
pub fn start() {
    for (port, first, wiring) in [(MASTER, FIRST_VECTOR, 4), (SLAVE, FIRST_VECTOR + 8, 2)] {
        ports::write_byte(port, 0x11);
        ports::write_byte(port + 1, first);
        ports::write_byte(port + 1, wiring);
        ports::write_byte(port + 1, 1);
    }
    ports::write_byte(MASTER + 1, 0xfb);
    ports::write_byte(SLAVE + 1, 0xff);
}

/// Unmasks a line.
pub fn unmask(line: u8) {
    let (port, bit) = if line < 8 { (MASTER, line) } else { (SLAVE, line - 8) };
    ports::write_byte(port + 1, ports::read_byte(port + 1) & !(1 << bit));
}

/// Masks a line.
pub fn mask(line: u8) {
    let (port, bit) = if line < 8 { (MASTER, line) } else { (SLAVE, line - 8) };
    ports::write_byte(port + 1, ports::read_byte(port + 1) | 1 << bit);
}

/// Makes a line level-triggered, as PCI interrupts are, in ELCR1 or ELCR2 of the chipset's south bridge.
pub fn make_level(line: u8) {
    let port = 0x4d0 + u16::from(line / 8);
    ports::write_byte(port, ports::read_byte(port) | 1 << (line % 8));
}

/// True for the vectors that [`start`] gave the controllers.
#[must_use]
pub fn is_mine(vector: u8) -> bool {
    (FIRST_VECTOR..FIRST_VECTOR + 16).contains(&vector)
}

/// Signals the end of the interrupt with this vector. A spurious interrupt on line 7 or 15 is not in service and
/// needs no end-of-interrupt.
pub fn end(vector: u8) {
    let line = vector - FIRST_VECTOR;
    if line == 7 && !in_service(MASTER) {
        return;
    }
    if line >= 8 && (line != 15 || in_service(SLAVE)) {
        ports::write_byte(SLAVE, END_OF_INTERRUPT);
    }
    ports::write_byte(MASTER, END_OF_INTERRUPT);
}

fn in_service(port: u16) -> bool {
    ports::write_byte(port, READ_IN_SERVICE);
    ports::read_byte(port) & 0x80 != 0
}

/// Starts the timer with `hertz` interrupts a second (19 to 1,193,182), periodically: channel 0, mode 2.
pub fn start_timer(hertz: u32) {
    let [low, high, ..] = (TIMER_HERTZ / hertz).to_le_bytes();
    ports::write_byte(0x43, 0x34);
    ports::write_byte(0x40, low);
    ports::write_byte(0x40, high);
    unmask(TIMER);
}

/// The number of timer interrupts so far.
#[must_use]
pub fn ticks() -> u32 {
    crate::trap::count(FIRST_VECTOR + TIMER)
}

/// Measures how many ticks the time-stamp counter makes in a second, by the timer, which it starts and masks again.
#[must_use]
pub fn ticks_per_second() -> u64 {
    const HERTZ: u32 = 100;
    /// Duration of the measurement, in timer ticks.
    const TICKS: u32 = 20;
    start();
    start_timer(HERTZ);
    let wait_for = |tick: u32| {
        while ticks() < tick {
            processor::sleep();
        }
        processor::time_stamp()
    };
    let start = wait_for(1);
    let measured = wait_for(1 + TICKS) - start;
    mask(TIMER);
    measured / u64::from(TICKS) * u64::from(HERTZ)
}
