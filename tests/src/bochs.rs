//! The emulator Bochs 2.7, which has VT-x with EPT and the 82540EM.

use crate::failure::Context;
use crate::{Failure, Outcome};
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/vgabios/vgabios-stdvga.bin";
/// COM1's TCP port; each run has its own network namespace.
const SERIAL_PORT: u16 = 8888;
/// What Bochs says for itself.
const ERRORS: &str = "bochs-errors.txt";
/// Its last words when the machine has entered S5.
const POWERED_OFF: &str = "soft power off";
/// Until Bochs listens for the serial line's client.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Most cards that Bochs has.
const MAX_CARDS: usize = 4;

/// How emulated time relates to the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it goes; while all guests sleep, emulated time runs far ahead of the host's.
    Free,
    /// Never faster than the host's clock: for tests in which a guest waits for the host.
    RealTime,
}

/// What is on the far side of a physical card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A tap interface of the network namespace.
    Tap(String),
    /// Nothing.
    Null,
}

/// A physical card of the emulated machine: 82540EM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its address, as six hexadecimal numbers joined by colons.
    pub mac: String,
    /// Its far side.
    pub wire: Wire,
}

/// The emulated machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Memory in MiB.
    pub memory: u32,
    /// How time passes.
    pub pace: Pace,
    /// Its network cards.
    pub cards: Vec<Card>,
    /// Processor model of Bochs.
    pub cpu: &'static str,
}

impl Default for Machine {
    fn default() -> Self {
        let card = Card { mac: "52:54:00:00:00:01".into(), wire: Wire::Tap("tap0".into()) };
        Self { memory: 512, pace: Pace::RealTime, cards: vec![card], cpu: "corei7_skylake_x" }
    }
}

impl Machine {
    /// The text of `bochsrc` for a disk image.
    #[must_use]
    pub fn configuration(&self, image: &Path) -> String {
        // Delays of BIOS, disk and UART are in emulated time, so each costs instructions in proportion to
        // `ips`; paced by the host's clock, `ips` must not be below what Bochs reaches.
        let (ips, sync) = match self.pace {
            Pace::Free => (10_000_000, "none"),
            Pace::RealTime => (50_000_000, "slowdown"),
        };
        let memory = self.memory;
        let slots: String =
            (1..=self.cards.len().min(MAX_CARDS)).map(|slot| format!(", slot{slot}=e1000")).collect();
        let mut text = format!(
            "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, e1000=1\n\
             config_interface: textconfig\n\
             display_library: sdl2\n\
             memory: guest={memory}, host={memory}\n\
             romimage: file=\"{BIOS}\"\n\
             vgaromimage: file=\"{VGA_BIOS}\"\n\
             cpu: model={}, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
             clock: sync={sync}, time0=946681200\n\
             pci: enabled=1, chipset=i440fx{slots}\n\
             ata0-master: type=disk, path=\"{}\", mode=flat\n\
             boot: disk\n\
             com1: enabled=1, mode=socket-server, dev=127.0.0.1:{SERIAL_PORT}\n\
             log: bochs.log\n\
             panic: action=fatal\n\
             error: action=report\n\
             info: action=report\n\
             debug: action=ignore\n",
            self.cpu,
            image.display()
        );
        for (index, card) in self.cards.iter().take(MAX_CARDS).enumerate() {
            let module = match &card.wire {
                Wire::Tap(name) => format!("ethmod=tuntap, ethdev=/dev/net/tun:{name}, script=none"),
                Wire::Null => "ethmod=null, ethdev=null".into(),
            };
            text += &format!("e1000: card={index}, enabled=1, mac={}, {module}\n", card.mac);
        }
        text
    }
}

/// A running Bochs. Dropping it ends it.
pub struct Bochs {
    process: Child,
    folder: PathBuf,
}

impl Bochs {
    /// Starts the machine with a copy of the image, in a folder of its own that is kept afterwards, and
    /// returns it with its serial line. The calling thread must have its network already.
    ///
    /// # Errors
    /// A file cannot be written, or Bochs does not start.
    pub fn start(machine: &Machine, image: &Path, folder: &Path) -> Outcome<(Self, TcpStream)> {
        let disk = folder.join("disk.img");
        fs::copy(image, &disk).context(format!("copying {}", image.display()))?;
        // Left over from a run that was killed, it would keep Bochs from starting.
        let _ = fs::remove_file(folder.join("disk.img.lock"));
        write(folder, "bochsrc", &machine.configuration(Path::new("disk.img")))?;
        // Debian's Bochs starts in its debugger: let it run, and end when it comes back.
        write(folder, "rc.dbg", "c\nquit\n")?;
        let output = |name: &str| File::create(folder.join(name)).context(name);
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bochs", "-q", "-f", "bochsrc", "-rc", "rc.dbg"])
            .current_dir(folder)
            .env("SDL_VIDEODRIVER", "dummy")
            .stdin(Stdio::null())
            .stdout(output("bochs-output.txt")?)
            .stderr(output(ERRORS)?)
            .spawn()
            .context("starting bochs")?;
        let mut bochs = Self { process, folder: folder.to_owned() };
        let serial = bochs.connect()?;
        Ok((bochs, serial))
    }

    /// Bochs waits for the serial line's client before it runs the first instruction.
    fn connect(&mut self) -> Outcome<TcpStream> {
        let start = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", SERIAL_PORT)) {
                Ok(serial) => {
                    serial.set_nodelay(true).context("TCP_NODELAY")?;
                    return Ok(serial);
                }
                Err(error) if start.elapsed() > START_LIMIT => {
                    return Err(error).context("connecting to the serial line");
                }
                Err(_) => {}
            }
            if let Some(status) = self.status()? {
                let context =
                    format!("before it ran: see {}", self.folder.join("bochs-output.txt").display());
                return Err(Failure::Ended { status: status.to_string(), context });
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// How the emulator ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn status(&mut self) -> Outcome<Option<ExitStatus>> {
        self.process.try_wait().context("waiting for bochs")
    }

    /// Waits until the emulated machine has switched itself off.
    ///
    /// # Errors
    /// It still runs after `limit`, or Bochs ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return self.explain(status);
            }
            if start.elapsed() > limit {
                return Err(Failure::Missing { text: "end of the emulator".into(), limit });
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Bochs ends with status 1 whatever the reason, and tells it in its last words.
    fn explain(&self, status: ExitStatus) -> Outcome {
        let words = fs::read_to_string(self.folder.join(ERRORS)).context(ERRORS)?;
        if words.contains(POWERED_OFF) {
            return Ok(());
        }
        let reason =
            words.lines().skip_while(|line| !line.contains("exiting with the following message")).nth(1);
        let context = reason.map_or_else(|| format!("see {}", self.folder.display()), str::to_owned);
        Err(Failure::Ended { status: status.to_string(), context })
    }
}

impl Drop for Bochs {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(self.folder.join("disk.img.lock"));
        // The image can be built again; a hundred copies of it are no use.
        let _ = fs::remove_file(self.folder.join("disk.img"));
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    fs::write(folder.join(name), text).context(name)
}
