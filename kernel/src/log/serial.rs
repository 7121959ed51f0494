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

/// Number of times that typed bytes were lost because they arrived faster than they were read.
static OVERRUNS: AtomicU64 = AtomicU64::new(0);

static PORT: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// Initialises the port. Without one, the log is on the screen only.
pub fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, interrupts: IER::DATA_READY, ..Config::DEFAULT };
    // SAFETY: COM1's I/O ports belong to the UART or to no device, and only this module uses them.
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

/// Writes bytes to the port's FIFO while it has room. Returns how many; a missing port accepts all.
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

/// The next byte received, if any.
pub fn receive() -> Option<u8> {
    let mut port = PORT.lock();
    let port = port.as_mut()?;
    if status(port).contains(LSR::DATA_READY) { port.try_receive_byte().ok() } else { None }
}

/// Number of times that the port had no room for a typed byte.
pub fn overruns() -> u64 {
    OVERRUNS.load(Ordering::Relaxed)
}

/// The line status. Reading it clears the overrun flag, so every read must count it.
fn status(port: &mut Uart16550<PioBackend>) -> LSR {
    let status = port.lsr();
    if status.contains(LSR::OVERRUN_ERROR) {
        OVERRUNS.fetch_add(1, Ordering::Relaxed);
    }
    status
}

/// Waits until the last byte has been sent, so that power-off does not cut it off.
pub fn drain() {
    if let Some(port) = &mut *PORT.lock() {
        // 16 bytes at 115200 baud take 1.4 ms; a port that never empties must not block Weir.
        for _ in 0..1_000_000 {
            if status(port).contains(LSR::TRANSMITTER_EMPTY) {
                return;
            }
        }
    }
}

/// Releases the lock, which a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_lock() {
    // SAFETY: the caller's contract.
    unsafe { PORT.force_unlock() }
}
