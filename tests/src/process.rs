//! The emulator as a process of the host: ends with the harness, and offers its serial line on a TCP port.

use crate::failure::Context;
use crate::{Failure, Outcome};
use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// COM1's TCP port; each run has its own network namespace.
pub const SERIAL_PORT: u16 = 8888;
/// What the emulator says for itself.
pub const ERRORS: &str = "emulator-errors.txt";
/// Until the emulator listens.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Pause between looks at something that gives no notice.
const PAUSE: Duration = Duration::from_millis(20);

/// A running emulator. Dropping it ends it, and so does the end of the thread that started it.
pub struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    /// Starts a program in a folder, which gets its output.
    ///
    /// # Errors
    /// A file cannot be written, or the program does not start.
    pub fn start(program: &Path, arguments: &[String], folder: &Path) -> Outcome<Self> {
        let output = |name: &str| File::create(folder.join(name)).context(name);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env("SDL_VIDEODRIVER", "dummy")
            .stdin(Stdio::null())
            .stdout(output("emulator-output.txt")?)
            .stderr(output(ERRORS)?)
            .spawn()
            .context(format!("starting {}", program.display()))?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// Connects to a port that the emulator offers. It waits for the serial line's client before it runs the first
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
                Err(error) if start.elapsed() > START_LIMIT => {
                    return Err(error).context(format!("connecting to the emulator's port {port}"));
                }
                Err(_) => {}
            }
            if let Some(status) = self.status()? {
                let context = format!("before it ran: {}", self.last_words());
                return Err(Failure::Ended { status: status.to_string(), context });
            }
            sleep(PAUSE);
        }
    }

    /// How the emulator ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn status(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the emulator")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                return Err(Failure::Missing { text: "end of the emulator".into(), limit });
            }
            sleep(PAUSE);
        }
    }

    /// What it said for itself, and where there is more.
    #[must_use]
    pub fn last_words(&self) -> String {
        let path = self.folder.join(ERRORS);
        let words = std::fs::read_to_string(&path).unwrap_or_default();
        let last = words.lines().last().unwrap_or("nothing said");
        format!("{last} (see {})", self.folder.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
