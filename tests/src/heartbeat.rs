//! Keeps QEMU's event loop awake, even when nothing happens in the machine.
//!
//! The heartbeat is an empty line at a monitor for people, which the event loop itself reads. A command of QMP wakes it as
//! well, but is read by a thread of its own: one that came while QEMU 10.0 ended, after the event loop, killed it.

use crate::Outcome;
use crate::failure::ErrorContext;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The monitor's TCP port; each run has its own network namespace.
pub const PORT: u16 = 8890;
/// Time between two heartbeats.
const PERIOD: Duration = Duration::from_millis(200);

/// The thread that sends heartbeats until this value is dropped, or the connection ends.
pub struct Heartbeat {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Begins to send.
    ///
    /// # Errors
    /// The connection cannot be used.
    pub fn start(mut stream: TcpStream) -> Outcome<Self> {
        stream.set_nonblocking(true).context("QEMU's second monitor")?;
        let (end, ended) = channel();
        let beat = move || {
            let mut prompts = [0; 4096];
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout)
                && stream.write_all(b"\n").is_ok()
            {
                while stream.read(&mut prompts).is_ok_and(|count| count == prompts.len()) {}
            }
        };
        Ok(Self { end: Some(end), thread: Some(thread::spawn(beat)) })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lines_are_sent_and_prompts_read_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut qemu = listener.accept().unwrap().0;
        let heartbeat = Heartbeat::start(stream).unwrap();
        qemu.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        // More than both ends hold if nobody reads: 4 and 6 MiB [tcp(7)].
        qemu.write_all(&vec![b'('; 32 << 20]).unwrap();
        let mut line = [0];
        qemu.read_exact(&mut line).unwrap();
        assert_eq!(line, *b"\n");
        drop(heartbeat);
        let mut rest = Vec::new();
        // With an error if prompts were left unread.
        let _ = qemu.read_to_end(&mut rest);
        assert!(rest.iter().all(|byte| *byte == b'\n'));
    }
}
