//! QEMU with one NIC, over the qtest protocol: the emulated processor is halted, and the test makes every access
//! itself.

mod machine;
pub mod pci;

pub use machine::{EmulatedMachine, EmulatedMemory};

use base::{Instant, MacAddress};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration as Wall, Instant as WallClock};

/// Memory for DMA.
const DMA_START: u64 = 16 << 20;

/// Timeout for QEMU's other threads and sockets.
pub const EMULATOR_TIMEOUT: Wall = Wall::from_secs(20);

/// The command for a QEMU with all three families: the one in `WEIR_QEMU`, the one that `make setup` installs,
/// or the system's.
pub fn command() -> Option<&'static str> {
    static COMMAND: OnceLock<Option<String>> = OnceLock::new();
    COMMAND.get_or_init(find).as_deref()
}

fn find() -> Option<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/qemu/run");
    let candidates = std::env::var("WEIR_QEMU")
        .ok()
        .into_iter()
        .chain([own.display().to_string(), "qemu-system-x86_64".to_owned()]);
    let knows_igb = |command: &String| {
        let output = Command::new(command).args(["-device", "help"]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("\"igb\""))
    };
    let found = candidates.into_iter().find(knows_igb);
    if found.is_none() {
        // Not eprintln!, which the test harness captures when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: the drivers against QEMU: neither WEIR_QEMU nor target/qemu/run nor PATH has a QEMU with igb"
        );
    }
    found
}

/// A line protocol over a socket.
struct Lines(BufReader<UnixStream>);

impl Lines {
    fn connect(path: &Path) -> Self {
        let start = WallClock::now();
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Self(BufReader::new(stream)),
                Err(error) if start.elapsed() > EMULATOR_TIMEOUT => panic!("{}: {error}", path.display()),
                Err(_) => std::thread::sleep(Wall::from_millis(10)),
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.0.get_mut(), "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

/// QEMU with one NIC, and the far end of its wire.
pub struct Emulator {
    process: Child,
    folder: PathBuf,
    qtest: Lines,
    monitor: Lines,
    pub wire: UnixDatagram,
    start: WallClock,
    allocated: u64,
}

impl Emulator {
    pub fn start(command: &str, model: &str, name: &str, mac: MacAddress) -> Self {
        let folder = std::env::temp_dir().join(format!("weir-nic-{}-{model}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |file: &str| folder.join(file);
        let wire = UnixDatagram::bind(at("peer")).unwrap();
        let netdev = format!(
            "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            at("nic").display(),
            at("peer").display()
        );
        // Firmware of HLT instructions: the processor does not touch the NIC.
        std::fs::write(at("firmware"), [0xf4; 1 << 16]).unwrap();
        let process = Command::new(command)
            .args(["-machine", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none"])
            .args(["-bios".as_ref(), at("firmware").as_os_str()])
            .args(["-qtest", &format!("unix:{},server=on,wait=off", at("qtest").display())])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", at("monitor").display())])
            .args(["-netdev", &netdev])
            .args(["-device", &format!("{model},id=nic,netdev=n0,addr=04.0,romfile=,mac={mac}")])
            .stderr(Stdio::null())
            .spawn()
            .expect("QEMU can be run");
        let qtest = Lines::connect(&at("qtest"));
        let mut monitor = Lines::connect(&at("monitor"));
        monitor.answer();
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#);
        wire.set_read_timeout(Some(EMULATOR_TIMEOUT)).unwrap();
        let start = WallClock::now();
        let mut emulator = Self { process, folder, qtest, monitor, wire, start, allocated: DMA_START };
        emulator.enable();
        emulator
    }

    pub fn qtest(&mut self, line: &str) -> String {
        let answer = self.qtest.ask(line);
        answer.strip_prefix("OK").unwrap_or_else(|| panic!("{line}: {answer}")).trim().to_owned()
    }

    pub fn number(&mut self, line: &str) -> u64 {
        let answer = self.qtest(line);
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap()
    }

    pub fn now(&self) -> Instant {
        Instant(self.start.elapsed().as_nanos() as u64)
    }

    /// Sends a frame to the NIC.
    pub fn inject(&self, frame: &[u8]) {
        self.wire.send_to(frame, self.folder.join("nic")).unwrap();
    }

    /// Plugs the cable in, or pulls it.
    pub fn set_link(&mut self, up: bool) {
        let command = format!(r#"{{"execute":"set_link","arguments":{{"name":"nic","up":{up}}}}}"#);
        let answer = self.monitor.ask(&command);
        assert!(answer.contains("return"), "{answer}");
    }

    /// Allocates unused memory for DMA and messages.
    pub fn allocate(&mut self, bytes: u64, alignment: u64) -> u64 {
        let start = self.allocated.next_multiple_of(alignment);
        self.allocated = start + bytes;
        start
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
