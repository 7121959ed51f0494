//! The driver against QEMU's own e1000, an outside witness: the emulated processor stands still, and the
//! test makes every access itself over QEMU's qtest protocol.
//!
//! Needs `qemu-system-x86_64`; run with `cargo test -p nic -- --ignored`.

use base::{Batch, HostPhysical, Instant, Port};
use nic::{Dma, E1000, Event, Host, MAX_FRAME, PciId, Registers, State};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration as Wall, Instant as WallClock};
use testkit::frame::{mac, number_of, numbered, padded};

/// Where the test puts BAR 0 of the card.
const BAR: u64 = 0xe000_0000;
/// PCI configuration address of the card, which stands in slot 4 of bus 0.
const CONFIGURATION: u32 = 0x8000_0000 | 4 << 11;
/// Memory for DMA.
const DMA_START: u64 = 16 << 20;

/// How long the test waits for QEMU's other threads and sockets before it gives up.
const PATIENCE: Wall = Wall::from_secs(20);

/// A line protocol over a socket.
struct Lines(BufReader<UnixStream>);

impl Lines {
    fn connect(path: &Path) -> Self {
        let start = WallClock::now();
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Self(BufReader::new(stream)),
                Err(error) if start.elapsed() > PATIENCE => panic!("{}: {error}", path.display()),
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

/// QEMU with one card, and the far end of its wire.
struct Emulator {
    process: Child,
    folder: PathBuf,
    qtest: Lines,
    monitor: Lines,
    wire: UnixDatagram,
    start: WallClock,
    allocated: u64,
}

impl Emulator {
    fn start(model: &str, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("weir-nic-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |file: &str| folder.join(file);
        let wire = UnixDatagram::bind(at("peer")).unwrap();
        let netdev = format!(
            "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            at("card").display(),
            at("peer").display()
        );
        // Firmware of HLT instructions: the processor leaves the card to the test.
        std::fs::write(at("firmware"), [0xf4; 1 << 16]).unwrap();
        let process = Command::new("qemu-system-x86_64")
            .args(["-machine", "pc", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none"])
            .args(["-bios".as_ref(), at("firmware").as_os_str()])
            .args(["-qtest", &format!("unix:{},server=on,wait=off", at("qtest").display())])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", at("monitor").display())])
            .args(["-netdev", &netdev])
            .args(["-device", &format!("{model},id=card,netdev=n0,addr=04.0,mac={}", mac(9))])
            .stderr(Stdio::null())
            .spawn()
            .expect("qemu-system-x86_64 can be run");
        let qtest = Lines::connect(&at("qtest"));
        let mut monitor = Lines::connect(&at("monitor"));
        monitor.answer();
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#);
        wire.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut emulator =
            Self { process, folder, qtest, monitor, wire, start: WallClock::now(), allocated: DMA_START };
        emulator.configure();
        emulator
    }

    /// Sets BAR 0, and enables memory decode and bus mastering [PCI 3.0 6.2.2, 6.2.5].
    fn configure(&mut self) {
        for (register, value) in [(0x10, BAR as u32), (0x04, 0x0006)] {
            self.qtest(&format!("outl 0xcf8 {:#x}", CONFIGURATION | register));
            self.qtest(&format!("outl 0xcfc {value:#x}"));
        }
    }

    fn qtest(&mut self, line: &str) -> String {
        let answer = self.qtest.ask(line);
        answer.strip_prefix("OK").unwrap_or_else(|| panic!("{line}: {answer}")).trim().to_owned()
    }

    fn number(&mut self, line: &str) -> u64 {
        let answer = self.qtest(line);
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap()
    }

    fn now(&self) -> Instant {
        Instant(self.start.elapsed().as_nanos() as u64)
    }

    fn id(&mut self) -> PciId {
        self.qtest(&format!("outl 0xcf8 {CONFIGURATION:#x}"));
        let id = self.number("inl 0xcfc");
        PciId { vendor: id as u16, device: (id >> 16) as u16 }
    }

    fn set_link(&mut self, up: bool) {
        let command = format!(r#"{{"execute":"set_link","arguments":{{"name":"card","up":{up}}}}}"#);
        let answer = self.monitor.ask(&command);
        assert!(answer.contains("return"), "{answer}");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[derive(Clone)]
struct Machine(Rc<RefCell<Emulator>>);

impl Machine {
    fn start(model: &str, name: &str) -> (Self, E1000<Self>) {
        let machine = Self(Rc::new(RefCell::new(Emulator::start(model, name))));
        let id = machine.0.borrow_mut().id();
        let driver = E1000::new(machine.clone(), machine.clone(), id).expect("the card starts");
        (machine, driver)
    }

    fn now(&self) -> Instant {
        self.0.borrow().now()
    }

    /// Has the driver check the card until `done`.
    fn check_until(&self, driver: &mut E1000<Self>, done: impl Fn(&E1000<Self>) -> bool) {
        let start = WallClock::now();
        while !done(driver) {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Wall::from_millis(10));
            driver.check(self.now());
        }
    }

    fn inject(&self, frame: &[u8]) {
        let emulator = self.0.borrow();
        emulator.wire.send_to(frame, emulator.folder.join("card")).unwrap();
    }

    /// The next frame on the wire.
    fn capture(&self) -> Vec<u8> {
        let mut frame = vec![0; 1 << 16];
        let length = self.0.borrow().wire.recv(&mut frame).expect("a frame comes");
        frame.truncate(length);
        frame
    }

    /// Polls until `count` frames have come.
    fn poll(&self, driver: &mut E1000<Self>, count: usize) -> Vec<Vec<u8>> {
        let start = WallClock::now();
        let mut frames = Vec::new();
        let mut batch = Batch::with_capacity(1 << 17);
        while frames.len() < count {
            assert!(start.elapsed() < PATIENCE, "{} of {count} frames", frames.len());
            batch.clear();
            driver.poll(&mut batch, 64, self.now());
            frames.extend(batch.iter().map(<[u8]>::to_vec));
        }
        frames
    }
}

impl Registers for Machine {
    fn read(&mut self, offset: u32) -> u32 {
        self.0.borrow_mut().number(&format!("readl {:#x}", BAR + u64::from(offset))) as u32
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.0.borrow_mut().qtest(&format!("writel {:#x} {value:#x}", BAR + u64::from(offset)));
    }
}

impl Host for Machine {
    type Registers = Self;
    type Dma = Run;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Run> {
        let mut emulator = self.0.borrow_mut();
        let start = emulator.allocated.next_multiple_of(alignment as u64);
        emulator.allocated = start + bytes as u64;
        Some(Run { machine: self.clone(), start })
    }

    fn now(&mut self) -> Instant {
        self.0.borrow().now()
    }

    fn relax(&mut self) {
        std::thread::sleep(Wall::from_micros(100));
    }
}

/// A run of QEMU's memory.
struct Run {
    machine: Machine,
    start: u64,
}

impl Dma for Run {
    fn device_address(&self) -> HostPhysical {
        HostPhysical(self.start)
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        if into.is_empty() {
            return;
        }
        let line = format!("read {:#x} {:#x}", self.start + offset as u64, into.len());
        let answer = self.machine.0.borrow_mut().qtest(&line);
        let digits = answer.trim_start_matches("0x");
        for (index, byte) in into.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).unwrap();
        }
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        if from.is_empty() {
            return;
        }
        let digits: String = from.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("write {:#x} {:#x} 0x{digits}", self.start + offset as u64, from.len());
        self.machine.0.borrow_mut().qtest(&line);
    }

    fn read_u64(&self, offset: usize) -> u64 {
        self.machine.0.borrow_mut().number(&format!("readq {:#x}", self.start + offset as u64))
    }

    fn write_u64(&mut self, offset: usize, value: u64) {
        let line = format!("writeq {:#x} {value:#x}", self.start + offset as u64);
        self.machine.0.borrow_mut().qtest(&line);
    }
}

fn frame(number: u32, length: usize) -> Vec<u8> {
    numbered(mac(1), mac(2), number, length)
}

fn carries_frames_both_ways(model: &str, name: &str) {
    let (machine, mut driver) = Machine::start(model, name);
    assert_eq!(driver.mac(), mac(9));
    assert!(driver.link().up);
    assert_eq!(driver.events().filter(|event| !matches!(event, Event::LinkUp(_))).count(), 0);

    let lengths = [18, 59, 60, 61, 1514, 1518, 2048, 2049, 4096, 4097, 9000, MAX_FRAME];
    for (number, length) in (0..).zip(lengths) {
        assert_eq!(driver.send(&[&frame(number, length)], machine.now()), 1);
        assert_eq!(machine.capture(), padded(frame(number, length)));
        machine.inject(&frame(number, length));
        assert_eq!(machine.poll(&mut driver, 1), [padded(frame(number, length))], "{length} bytes");
    }
    // Several times round both rings, in batches.
    for batch in 0..40 {
        let frames: Vec<_> = (0..20).map(|index| frame(batch * 20 + index, 100)).collect();
        let offered: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(driver.send(&offered, machine.now()), 20);
        for expected in &frames {
            assert_eq!(number_of(&machine.capture()), number_of(expected));
            machine.inject(expected);
        }
        assert_eq!(machine.poll(&mut driver, 20), frames);
    }
    machine.check_until(&mut driver, |driver| driver.statistics().good_packets_received >= 812);
    let (counters, statistics) = (driver.counters(), driver.statistics());
    assert_eq!((counters.tx_queued, counters.tx_done, counters.tx_lost), (812, 812, 0));
    assert_eq!((statistics.good_packets_transmitted, statistics.good_packets_received), (812, 812));
    assert_eq!((counters.rx_frames, counters.transmit_hangs), (812, 0));
}

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn frames_pass_both_ways_through_qemus_82540em() {
    carries_frames_both_ways("e1000", "82540em");
}

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn frames_pass_both_ways_through_qemus_82545em() {
    carries_frames_both_ways("e1000-82545em", "82545em");
}

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn a_link_drop_in_qemu_is_seen_and_the_link_comes_back() {
    let (machine, mut driver) = Machine::start("e1000", "link");
    driver.unmask();
    driver.interrupt();
    driver.events().for_each(drop);
    for _ in 0..3 {
        machine.0.borrow_mut().set_link(false);
        assert!(driver.interrupt().link);
        assert!(!driver.capabilities().link_up);
        machine.0.borrow_mut().set_link(true);
        machine.check_until(&mut driver, |driver| driver.capabilities().link_up);
        let events: Vec<_> = driver.events().collect();
        assert!(matches!(events[..], [Event::LinkDown, Event::LinkUp(_)]), "{events:?}");
    }
    assert_eq!(driver.state(), State::Running);
    assert_eq!(driver.send(&[&frame(1, 60)], machine.now()), 1);
    assert_eq!(machine.capture(), frame(1, 60));
}
