//! The first serial port: 115200 baud, 8 data bits, no parity, 1 stop bit.

use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{IER, LSR};
use uart_16550::{BaudRate, Config, Uart16550};

/// I/O port of COM1 on every PC.
const COM1: u16 = 0x3f8;

/// Its interrupt on the ISA bus.
pub const ISA_IRQ: u8 = 4;

/// Times that typed bytes were lost: they came faster than they were fetched.
static OVERRUNS: AtomicU64 = AtomicU64::new(0);

static PORT: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// Sets the port up. A machine without one runs with a silent log.
pub fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, interrupts: IER::DATA_READY, ..Config::DEFAULT };
    // SAFETY: COM1's ports are the UART's or nobody's, and only this module uses them.
    if let Ok(mut port) = unsafe { Uart16550::new_port(COM1) }
        && port.init(config).is_ok()
    {
        *PORT.lock() = Some(port);
    }
}

/// True when there is a port.
pub fn present() -> bool {
    PORT.lock().is_some()
}

/// Hands bytes to the port's FIFO while it has room; returns how many it took. A missing port takes all.
pub fn send(bytes: &[u8]) -> usize {
    match &mut *PORT.lock() {
        // Not `send_bytes`: it honours modem control lines that a three-wire cable leaves open.
        Some(port) => {
            if status(port).contains(LSR::THR_EMPTY) {
                port.send_bytes(bytes)
            } else {
                0
            }
        }
        None => bytes.len(),
    }
}

/// True when a typed byte waits in the port.
pub fn waiting() -> bool {
    PORT.lock().as_mut().is_some_and(|port| status(port).contains(LSR::DATA_READY))
}

/// The next byte typed at the other end.
pub fn receive() -> Option<u8> {
    let mut port = PORT.lock();
    let port = port.as_mut()?;
    if status(port).contains(LSR::DATA_READY) { port.try_receive_byte().ok() } else { None }
}

/// Times that the port had no room for a typed byte.
pub fn overruns() -> u64 {
    OVERRUNS.load(Ordering::Relaxed)
}

/// The line status. Reading it clears the overrun flag, so it is looked at each time.
fn status(port: &mut Uart16550<PioBackend>) -> LSR {
    let status = port.lsr();
    if status.contains(LSR::OVERRUN_ERROR) {
        OVERRUNS.fetch_add(1, Ordering::Relaxed);
    }
    status
}

/// Waits until the last byte has left the wire, so that power-off does not cut it.
pub fn drain() {
    if let Some(port) = &mut *PORT.lock() {
        // 16 bytes at 115200 baud take 1.4 ms; a port that never empties must not hold us.
        for _ in 0..1_000_000 {
            if status(port).contains(LSR::TRANSMITTER_EMPTY) {
                return;
            }
        }
    }
}

/// Gives up the lock that a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_lock() {
    // SAFETY: the caller's contract.
    unsafe { PORT.force_unlock() }
}
