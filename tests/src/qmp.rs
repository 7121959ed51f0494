//! QEMU's control protocol (QMP), as far as the tests need it: commands, and the reason why the machine stopped. It consists of lines of JSON [QEMU, docs/interop/qmp-spec.rst].

use crate::failure::ErrorContext;
use crate::{Failure, Outcome};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Its TCP port; each run has its own network namespace.
pub const PORT: u16 = 8889;
/// Timeout for an answer. Generous: the host may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to QEMU's monitor.
pub struct Monitor {
    stream: TcpStream,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    /// `reason` of the event `SHUTDOWN`, once it has been received.
    shutdown: Option<String>,
}

impl Monitor {
    /// Receives the greeting and enters command mode.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn start(stream: TcpStream) -> Outcome<Self> {
        let source = BufReader::new(stream.try_clone().context("QEMU's monitor")?);
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            let lines = source.lines().map_while(Result::ok);
            for line in lines {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut monitor = Self { stream, lines, reader: Some(reader), shutdown: None };
        monitor.execute("qmp_capabilities", "{}")?;
        Ok(monitor)
    }

    /// Executes a command, whose arguments are a JSON object, and returns the line with its result.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &str) -> Outcome<String> {
        let line = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
        self.stream.write_all(line.as_bytes()).context(command)?;
        let start = Instant::now();
        loop {
            let left = ANSWER_TIMEOUT.saturating_sub(start.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let text = format!("QEMU's answer to {command}");
                return Err(Failure::Missing { text, limit: ANSWER_TIMEOUT });
            };
            self.note(&line);
            if line.starts_with("{\"return\"") {
                return Ok(line);
            }
            if line.starts_with("{\"error\"") {
                return Err(Failure::Program { program: format!("QEMU's {command}"), output: line });
            }
        }
    }

    /// Why the machine stopped, read to the end of the connection: `guest-shutdown`, `guest-reset`, ….
    pub fn shutdown_reason(&mut self) -> Option<String> {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(ANSWER_TIMEOUT.saturating_sub(start.elapsed())) {
                Ok(line) => self.note(&line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return self.shutdown.clone();
                }
            }
        }
    }

    fn note(&mut self, line: &str) {
        if line.contains("\"event\": \"SHUTDOWN\"") {
            let reason = line.split_once("\"reason\": \"").and_then(|(_, rest)| rest.split_once('"'));
            self.shutdown = reason.map(|(reason, _)| reason.to_owned());
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A monitor after its greeting, and QEMU's end of the connection.
    fn monitor(answers: &'static [u8]) -> (Monitor, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut qemu = listener.accept().unwrap().0;
        qemu.write_all(b"{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n").unwrap();
        qemu.write_all(answers).unwrap();
        (Monitor::start(stream).unwrap(), qemu)
    }

    #[test]
    fn events_between_a_command_and_its_answer_are_skipped() {
        let (mut monitor, qemu) = monitor(
            b"{\"timestamp\": {}, \"event\": \"NIC_RX_FILTER_CHANGED\"}\r\n{\"return\": {}}\r\n\
              {\"timestamp\": {}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n",
        );
        monitor.execute("set_link", "{}").unwrap();
        drop(qemu);
        assert_eq!(monitor.shutdown_reason().as_deref(), Some("guest-reset"));
    }

    #[test]
    fn a_refused_command_fails_with_the_error_of_qemu() {
        let (mut monitor, _qemu) = monitor(
            b"{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'nic7' not found\"}}\r\n",
        );
        let failure = monitor.execute("set_link", "{}").unwrap_err();
        assert!(failure.to_string().contains("nic7"), "{failure}");
    }
}
