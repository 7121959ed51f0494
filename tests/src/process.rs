//! The emulator as a process of the host: it dies with the harness, and offers its serial line on a TCP port.

use crate::failure::ErrorContext;
use crate::{Failure, Outcome, debug};
use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// COM1's TCP port; each run has its own network namespace.
pub const SERIAL_PORT: u16 = 8888;
/// The file with the emulator's standard output.
pub const OUTPUT: &str = "emulator-output.txt";
/// The file with the emulator's standard error.
pub const ERRORS: &str = "emulator-errors.txt";
/// Timeout until the emulator listens.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running emulator. It is killed when this value is dropped, or when the thread that started it ends.
pub struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    /// Starts a program in a folder, in which its output is kept.
    ///
    /// # Errors
    /// A file cannot be written, or the program does not start.
    pub fn start(program: &Path, arguments: &[String], folder: &Path) -> Outcome<Self> {
        let output = File::create(folder.join(OUTPUT)).context(OUTPUT)?;
        Self::spawn(program, arguments, folder, (Stdio::null(), output.into()))
    }

    /// The same with input and output at the terminal of the harness.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at_terminal(program: &Path, arguments: &[String], folder: &Path) -> Outcome<Self> {
        Self::spawn(program, arguments, folder, (Stdio::inherit(), Stdio::inherit()))
    }

    fn spawn(
        program: &Path,
        arguments: &[String],
        folder: &Path,
        (input, output): (Stdio, Stdio),
    ) -> Outcome<Self> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env("SDL_VIDEODRIVER", "dummy")
            .stdin(input)
            .stdout(output)
            .stderr(File::create(folder.join(ERRORS)).context(ERRORS)?)
            .spawn()
            .context(format!("starting {}", program.display()))?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// Connects to a port of the emulator. It waits for a connection to the serial line before it runs the first
    /// instruction.
    ///
    /// # Errors
    /// The emulator has ended, or does not listen in time.
    pub fn connect(&mut self, port: u16) -> Outcome<TcpStream> {
        let start = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_nodelay(true).context("TCP_NODELAY")?;
                    return Ok(stream);
                }
                Err(error) if start.elapsed() > START_TIMEOUT => {
                    return Err(error).context(format!("connecting to the emulator's port {port}"));
                }
                Err(_) => {}
            }
            if let Some(status) = self.status()? {
                let context = format!("before it ran: {}", self.last_words());
                return Err(Failure::Ended { status: status.to_string(), context });
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// The emulator's exit status, once it has ended.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn status(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the emulator")
    }

    /// Waits until the emulator has ended.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let limit = debug::timeout(limit);
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                return Err(Failure::Missing { text: "end of the emulator".into(), limit });
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// The last line of its standard error, and where to find the rest.
    #[must_use]
    pub fn last_words(&self) -> String {
        let path = self.folder.join(ERRORS);
        let words = std::fs::read_to_string(&path).unwrap_or_default();
        let last = words.lines().last().unwrap_or("no message");
        format!("{last} (see {})", self.folder.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
