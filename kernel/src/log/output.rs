//! One serial line for the log, the shell and all guest consoles, with lines never mixed. The log is on the screen
//! as well. The queue is the crate `shell`'s [`SerialOutput`]; here it meets the UART and the cores.

use super::{framebuffer, serial};
use crate::processor::clock;
use base::Duration;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use shell::{LineEnd, SerialOutput, SerialPort};
use spin::{Mutex, Once};

/// Bytes waiting for the UART.
const QUEUE: usize = 64 * 1024;
/// Polls of a UART that accepts nothing before flushing is abandoned: about a second.
const UART_TIMEOUT: u32 = 1_000_000;

struct FirstPort;

impl SerialPort for FirstPort {
    fn send(&mut self, bytes: &[u8]) -> usize {
        serial::send(bytes)
    }

    fn write_loss(lost: u64, out: &mut dyn Write) -> fmt::Result {
        super::line(out, "WARN ", "log", &format_args!("{lost} lines lost here: the serial line is too slow"))
    }
}

static OUTPUT: Mutex<SerialOutput<FirstPort, QUEUE>> = Mutex::new(SerialOutput::new(FirstPort));

/// Output waits for the UART.
static WAITING: AtomicBool = AtomicBool::new(false);
/// Tells whoever moves output on that some has begun to wait.
static WHEN_WAITING: Once<fn()> = Once::new();

/// Calls `tell` from now on, on any core, when output begins to wait.
pub fn when_waiting(tell: fn()) {
    WHEN_WAITING.call_once(|| tell);
}

/// Passes the queue to `act`.
fn with_queue<R>(act: impl FnOnce(&mut SerialOutput<FirstPort, QUEUE>) -> R) -> R {
    let mut queue = OUTPUT.lock();
    let result = act(&mut queue);
    let waits = queue.is_waiting();
    let waited = WAITING.swap(waits, Ordering::Relaxed);
    drop(queue);
    if let Some(tell) = WHEN_WAITING.get().filter(|_| waits && !waited) {
        tell();
    }
    result
}

/// Queues one log line.
pub fn log_line(write: impl Fn(&mut dyn Write) -> fmt::Result) {
    framebuffer::log_line(&write);
    with_queue(|queue| queue.line(write));
}

/// Queues one line of the shell.
pub fn shell_line(text: fmt::Arguments) {
    with_queue(|queue| queue.shell_line(text));
}

/// Lets the shell write on the line of its prompt: see [`SerialOutput::prompt`].
pub fn prompt<R>(write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
    with_queue(|queue| queue.prompt(write))
}

/// True when the cursor is on the line of the shell's prompt.
pub fn at_prompt() -> bool {
    OUTPUT.lock().at_prompt()
}

/// Queues console text of a guest: see [`SerialOutput::console`].
pub fn console(
    guest: usize,
    name: &str,
    text: impl Iterator<Item = u8>,
    length: usize,
    end: LineEnd,
) -> bool {
    with_queue(|queue| queue.console(guest, name, text, length, end))
}

/// True when the queue will soon have no room for a line.
pub fn is_half_full() -> bool {
    OUTPUT.lock().is_half_full()
}

/// Moves queued bytes into the UART as long as it accepts them at once, and paints: each for this long, and a piece.
/// Returns true if bytes are left.
pub fn pump(limit: Duration) -> bool {
    framebuffer::pump(limit);
    if !WAITING.load(Ordering::Relaxed) {
        return false;
    }
    let begin = clock::now();
    with_queue(|queue| queue.pump(|| clock::now() - begin < limit))
}

/// True while output is queued for the UART or the screen.
pub fn waiting() -> bool {
    WAITING.load(Ordering::Relaxed) || framebuffer::waiting()
}

/// Lines and bytes that found no room in the queue.
pub fn lost() -> u64 {
    OUTPUT.lock().lost()
}

/// Waits until all queued output is on the screen and sent, or the UART accepts nothing any more.
pub fn flush() {
    framebuffer::flush();
    flush_serial();
}

/// Like [`flush`], but without the screen, where every new line means painting all rows.
pub fn flush_serial() {
    with_queue(|queue| queue.flush(UART_TIMEOUT));
    serial::drain();
}

/// Releases the locks, which a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_locks() {
    // SAFETY: the caller's contract.
    unsafe {
        OUTPUT.force_unlock();
        serial::break_lock();
        framebuffer::break_lock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;

    #[test]
    fn who_moves_output_on_is_told_once_when_some_begins_to_wait() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        when_waiting(|| _ = TOLD.fetch_add(1, Ordering::Relaxed));
        for times in 1..4 {
            assert!(!pump(Duration::ZERO) && !waiting());
            shell_line(format_args!("one line"));
            shell_line(format_args!("another"));
            assert!(waiting());
            assert_eq!(TOLD.load(Ordering::Relaxed), times);
        }
    }
}
