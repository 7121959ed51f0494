//! The serial line of the emulated machine: its output, recorded and checked, and its input.

use crate::failure::ErrorContext;
use crate::line::LogLine;
use crate::{Failure, Outcome, debug};
use std::fs::File;
use std::io::{ErrorKind, Read, Write, stderr};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[derive(Default)]
struct SerialOutput {
    bytes: Vec<u8>,
    ended: bool,
}

#[derive(Default)]
struct SharedOutput {
    received: Mutex<SerialOutput>,
    changed: Condvar,
}

impl SharedOutput {
    fn lock(&self) -> MutexGuard<'_, SerialOutput> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recorded serial line. A line that the test did not declare fails the wait that sees it.
pub struct SerialConsole {
    stream: TcpStream,
    shared: Arc<SharedOutput>,
    reader: Option<JoinHandle<()>>,
    /// Lines up to this position have been checked.
    checked: usize,
    /// Waits have found their texts up to this position.
    found: usize,
    /// Weir has logged a line: the loader has finished.
    weir_runs: bool,
    allowed: Vec<String>,
}

impl SerialConsole {
    /// Records the line from now on, also in a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn follow(stream: TcpStream, log: &Path) -> Outcome<Self> {
        let shared = Arc::new(SharedOutput::default());
        let (source, file) =
            (stream.try_clone().context("serial line")?, File::create(log).context("serial log")?);
        let copy = Arc::clone(&shared);
        let reader = thread::spawn(move || read_all(source, file, &copy));
        Ok(Self {
            stream,
            shared,
            reader: Some(reader),
            checked: 0,
            found: 0,
            weir_runs: false,
            allowed: Vec::new(),
        })
    }

    /// Declares that lines which contain `text` are expected, whatever their severity.
    pub fn allow(&mut self, text: impl Into<String>) {
        self.allowed.push(text.into());
    }

    /// Declares that the machine boots again: until Weir logs a line, lines come from firmware and loader.
    pub fn machine_reboots(&mut self) {
        self.weir_runs = false;
    }

    /// Waits for `text`, and returns the line that contains it as far as it has been received. Later waits only
    /// search after it.
    ///
    /// # Errors
    /// An unexpected line was received, the text was not received in time, or the serial line was closed before.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Outcome<String> {
        let limit = debug::timeout(limit);
        let start = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut received = shared.lock();
        loop {
            let hit = find(&received.bytes[self.found..], text.as_bytes()).map(|at| self.found + at);
            self.check(&received.bytes)?;
            if let Some(at) = hit {
                self.found = at + text.len();
                return Ok(line_at(&received.bytes, at));
            }
            if received.ended {
                return Err(Failure::Ended {
                    status: "serial line closed".into(),
                    context: format!("before \"{text}\""),
                });
            }
            let Some(left) = limit.checked_sub(start.elapsed()) else {
                return Err(Failure::Missing { text: text.into(), limit });
            };
            received = shared.changed.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the serial line is closed, and checks the remaining output.
    ///
    /// # Errors
    /// An unexpected line was received, or the serial line was not closed in time.
    pub fn wait_for_end(&mut self, limit: Duration) -> Outcome {
        let limit = debug::timeout(limit);
        let start = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut received = shared.lock();
        loop {
            self.check(&received.bytes)?;
            if received.ended {
                return Ok(());
            }
            let Some(left) = limit.checked_sub(start.elapsed()) else {
                return Err(Failure::Missing { text: "end of the serial line".into(), limit });
            };
            received = shared.changed.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All output so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().bytes).replace('\r', "")
    }

    /// How often a text occurs in the output so far.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }

    /// Types text all at once, without pauses: only the serial line limits the speed.
    ///
    /// # Errors
    /// The serial line is closed.
    pub fn type_text(&mut self, text: &str) -> Outcome {
        self.stream.write_all(text.as_bytes()).context("typing")
    }

    fn check(&mut self, bytes: &[u8]) -> Outcome {
        while let Some(length) = bytes[self.checked..].iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&bytes[self.checked..self.checked + length]);
            self.checked += length + 1;
            self.check_line(line.trim_end_matches('\r'))?;
        }
        Ok(())
    }

    fn check_line(&mut self, text: &str) -> Outcome {
        let line = LogLine::parse(text);
        let stray = match line {
            LogLine::Weir { .. } => {
                self.weir_runs = true;
                false
            }
            LogLine::Guest { .. } | LogLine::Prompt(_) => false,
            // The loader's output is not checked; after it, every line must have a known form.
            LogLine::Other(text) => self.weir_runs && !text.trim().is_empty(),
        };
        if (stray || line.is_trouble()) && !self.allowed.iter().any(|allowed| text.contains(allowed)) {
            return Err(Failure::UnexpectedLine(text.into()));
        }
        Ok(())
    }
}

impl Drop for SerialConsole {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read_all(mut source: TcpStream, mut file: File, shared: &SharedOutput) {
    let shows_console = debug::shows_console();
    let mut buffer = [0; 4096];
    loop {
        let length = match source.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.unwrap_or(0),
        };
        let _ = file.write_all(&buffer[..length]);
        if shows_console {
            let _ = stderr().write_all(&buffer[..length]);
        }
        let mut received = shared.lock();
        received.bytes.extend_from_slice(&buffer[..length]);
        received.ended = length == 0;
        let ended = received.ended;
        drop(received);
        shared.changed.notify_all();
        if ended {
            return;
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len().max(1)).position(|window| window == text)
}

fn line_at(bytes: &[u8], at: usize) -> String {
    let start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let length = bytes[start..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - start);
    String::from_utf8_lossy(&bytes[start..start + length]).trim_end_matches('\r').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const SOON: Duration = Duration::from_secs(20);

    /// A console, and the machine's end of the line.
    fn console(name: &str) -> (SerialConsole, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let log = std::env::temp_dir().join(format!("weir-console-{}-{name}", std::process::id()));
        let console = SerialConsole::follow(stream, &log).unwrap();
        std::fs::remove_file(log).unwrap();
        (console, listener.accept().unwrap().0)
    }

    #[test]
    fn texts_are_found_in_order_and_in_unfinished_lines() {
        let (mut console, mut machine) = console("order");
        machine.write_all(b"loader\r\n[  0.1] INFO a: one\r\n[  0.2] INFO a: two\r\nvm| # ").unwrap();
        assert_eq!(console.wait_for("one", SOON).unwrap(), "[  0.1] INFO a: one");
        assert_eq!(console.wait_for("vm| # ", SOON).unwrap(), "vm| # ");
        assert!(matches!(console.wait_for("one", Duration::from_millis(50)), Err(Failure::Missing { .. })));
    }

    #[test]
    fn an_error_fails_the_wait_unless_it_was_declared() {
        let (mut console, mut machine) = console("trouble");
        console.allow("WARN vnic");
        machine
            .write_all(b"[  0.1] WARN vnic: odd\n[  0.2] INFO a: one\n[  0.3] ERROR vm: stopped\n")
            .unwrap();
        console.wait_for("ERROR vm", SOON).expect_err("the error was not declared");
    }

    #[test]
    fn a_line_of_unknown_form_fails_once_weir_runs() {
        let (mut console, mut machine) = console("form");
        machine.write_all(b"any loader's line\n[  0.2] INFO a: one\n").unwrap();
        console.wait_for("one", SOON).unwrap();
        machine.write_all(b"gibberish\n[  0.2] INFO a: two\n").unwrap();
        assert!(
            matches!(console.wait_for("two", SOON), Err(Failure::UnexpectedLine(line)) if line == "gibberish")
        );
    }

    #[test]
    fn closing_the_serial_line_ends_the_wait() {
        let (mut console, machine) = console("end");
        drop(machine);
        assert!(matches!(console.wait_for("text", SOON), Err(Failure::Ended { .. })));
    }
}
