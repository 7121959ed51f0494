//! QEMU's control protocol (QMP), as far as the tests need it: commands without results, and the reason why the
//! machine stopped. It consists of lines of JSON [QEMU, docs/interop/qmp-spec.rst].

use crate::failure::ErrorContext;
use crate::{Failure, Outcome};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Its TCP port; each run has its own network namespace.
pub const PORT: u16 = 8889;
/// Timeout for an answer. Generous: the host may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A command without effect, whose answer is ignored.
const HEARTBEAT: &str = concat!(r#"{"execute":"query-status","id":"heartbeat"}"#, "\n");
/// Identifies its answer.
const HEARTBEAT_ID: &str = r#""id": "heartbeat""#;
/// Time between two heartbeats.
const HEARTBEAT_PERIOD: Duration = Duration::from_millis(200);

/// A connection to QEMU's monitor.
pub struct Monitor {
    /// Locked while a line is written.
    stream: Arc<Mutex<TcpStream>>,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    /// The thread that sends heartbeats until its channel is closed.
    heart: Option<(Sender<()>, JoinHandle<()>)>,
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
            for line in lines.filter(|line| !line.contains(HEARTBEAT_ID)) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stream = Arc::new(Mutex::new(stream));
        let mut monitor = Self { stream, lines, reader: Some(reader), heart: None, shutdown: None };
        monitor.execute("qmp_capabilities", "{}")?;
        Ok(monitor)
    }

    /// Wakes QEMU's event loop regularly from now on, even when nothing happens. Only a complete command wakes it:
    /// QEMU reads this connection in a thread of its own, and executes commands in its event loop.
    pub fn keep_awake(&mut self) {
        let (end, ended) = channel();
        let stream = Arc::clone(&self.stream);
        let beat = move || {
            while ended.recv_timeout(HEARTBEAT_PERIOD) == Err(RecvTimeoutError::Timeout)
                && send(&stream, HEARTBEAT).is_ok()
            {}
        };
        self.heart = Some((end, thread::spawn(beat)));
    }

    /// Executes a command, whose arguments are a JSON object.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &str) -> Outcome {
        let line = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
        send(&self.stream, &line).context(command)?;
        let start = Instant::now();
        loop {
            let left = ANSWER_TIMEOUT.saturating_sub(start.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let text = format!("QEMU's answer to {command}");
                return Err(Failure::Missing { text, limit: ANSWER_TIMEOUT });
            };
            self.note(&line);
            if line.starts_with("{\"return\"") {
                return Ok(());
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

fn send(stream: &Mutex<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some((end, heart)) = self.heart.take() {
            drop(end);
            let _ = heart.join();
        }
        let _ = self.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
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
    fn answers_to_heartbeats_are_skipped() {
        let (mut monitor, qemu) = monitor(b"");
        monitor.keep_awake();
        let mut source = BufReader::new(qemu.try_clone().unwrap());
        let mut line = String::new();
        source.read_line(&mut line).unwrap();
        assert!(line.contains("qmp_capabilities"), "{line}");
        line.clear();
        source.read_line(&mut line).unwrap();
        assert_eq!(line, HEARTBEAT);
        let answers =
            b"{\"return\": {\"status\": \"running\"}, \"id\": \"heartbeat\"}\r\n{\"error\": {}}\r\n";
        (&qemu).write_all(answers).unwrap();
        assert!(
            monitor.execute("set_link", "{}").is_err(),
            "the heartbeat's answer was mistaken for the command's"
        );
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
