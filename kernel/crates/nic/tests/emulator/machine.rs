//! The machine emulated by QEMU, as a driver sees it.

use super::{EMULATOR_TIMEOUT, Emulator, pci};
use base::{GuestPhysical, GuestSpans, HostPhysical, Instant, Memory, Span};
use nic::{InterruptMode, Nic, NicHost, NicRegisters, NicState};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration as Wall, Instant as WallClock};
use testkit::frame::mac;
use testkit::{FakeMemory, TestMemory, frames_in};

/// Clones share the emulator, so that a test keeps one while the driver owns another.
#[derive(Clone)]
pub struct EmulatedMachine(pub Rc<RefCell<Emulator>>);

impl EmulatedMachine {
    /// QEMU with a NIC of this model, and its driver; without QEMU `None`, with a line in the output.
    pub fn start(model: &str, name: &str) -> Option<(Self, Nic<Self>)> {
        let emulator = Emulator::start(super::command()?, model, name, mac(9));
        let machine = Self(Rc::new(RefCell::new(emulator)));
        let id = machine.0.borrow_mut().id();
        let now = machine.now();
        let mut driver = Nic::new(machine.clone(), machine.clone(), id, now).expect("there is memory");
        machine.check_until(&mut driver, "the reset", |driver| driver.state() == NicState::Running);
        // The NIC may negotiate first.
        machine.check_until(&mut driver, "link", |driver| driver.link().up);
        Some((machine, driver))
    }

    pub fn now(&self) -> Instant {
        self.0.borrow().now()
    }

    /// Waits until `done`.
    pub fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = WallClock::now();
        while !done() {
            assert!(start.elapsed() < EMULATOR_TIMEOUT, "{what}");
            std::thread::sleep(Wall::from_millis(1));
        }
    }

    /// Lets the driver check the NIC until `done`.
    pub fn check_until(&self, driver: &mut Nic<Self>, what: &str, done: impl Fn(&Nic<Self>) -> bool) {
        self.wait(what, || {
            driver.check(self.now());
            done(driver)
        });
    }

    pub fn inject(&self, frame: &[u8]) {
        self.0.borrow().inject(frame);
    }

    /// The next frame on the wire.
    pub fn capture(&self) -> Vec<u8> {
        let mut frame = vec![0; 1 << 16];
        let length = loop {
            match self.0.borrow().wire.recv(&mut frame) {
                // The socket has a timeout, and does not wait on by itself (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.expect("a frame comes"),
            }
        };
        frame.truncate(length);
        frame
    }

    /// Polls until `count` frames have arrived.
    pub fn poll(&self, driver: &mut Nic<Self>, count: usize) -> Vec<Vec<u8>> {
        let start = WallClock::now();
        let mut frames = Vec::new();
        while frames.len() < count {
            assert!(start.elapsed() < EMULATOR_TIMEOUT, "{} of {count} frames", frames.len());
            frames.extend(frames_in::<EmulatedMemory>(driver, 64, self.now()));
        }
        frames
    }

    pub fn set_link(&self, up: bool) {
        self.0.borrow_mut().set_link(up);
    }

    /// Routes the NIC's interrupts to where [`take_interrupt`](Self::take_interrupt) finds them.
    pub fn route(&self, driver: &mut Nic<Self>, mode: InterruptMode) -> u64 {
        let place = self.0.borrow_mut().route(mode);
        driver.set_interrupt_mode(mode);
        place
    }

    /// True when there was an interrupt: by `entry` of the MSI-X table, by the message, or by the line. A
    /// message is consumed; the line stays asserted until the driver reads the causes.
    pub fn take_interrupt(&self, mode: InterruptMode, place: u64, entry: u64) -> bool {
        let mut emulator = self.0.borrow_mut();
        let expected = match mode {
            InterruptMode::Intx => return emulator.line(),
            InterruptMode::Msi => pci::message(0) & 0xffff,
            InterruptMode::Msix => pci::message(entry),
        };
        let at = place + 4 * entry;
        let arrived = emulator.number(&format!("readl {at:#x}")) as u32;
        if arrived == 0 {
            return false;
        }
        emulator.qtest(&format!("writel {at:#x} 0"));
        assert_eq!(arrived, expected);
        true
    }
}

impl NicRegisters for EmulatedMachine {
    fn read(&mut self, offset: u32) -> u32 {
        self.0.borrow_mut().number(&format!("readl {:#x}", pci::REGISTERS + u64::from(offset))) as u32
    }

    fn write(&mut self, offset: u32, value: u32) {
        let at = pci::REGISTERS + u64::from(offset);
        self.0.borrow_mut().qtest(&format!("writel {at:#x} {value:#x}"));
    }
}

impl NicHost for EmulatedMachine {
    type Registers = Self;
    type Memory = EmulatedMemory;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Span> {
        let start = self.0.borrow_mut().allocate(bytes as u64, alignment as u64);
        let memory = FakeMemory::at(start, bytes);
        let span = memory.span(GuestPhysical(start), bytes);
        EMULATED.with_borrow_mut(|emulated| {
            emulated.machine = Some(self.clone());
            emulated.regions.push(memory);
        });
        span
    }

    fn allow_dma(&mut self, allowed: bool) {
        self.0.borrow_mut().allow_dma(allowed);
    }

    fn write_io(&mut self, at: u32, value: u32) -> bool {
        self.0.borrow_mut().write_io(at, value);
        true
    }
}

#[derive(Default)]
struct Emulated {
    machine: Option<EmulatedMachine>,
    /// Memory of the test for each region of QEMU's: its addresses stand for those there, and its bytes for nothing.
    regions: Vec<FakeMemory>,
}

std::thread_local! {
    /// The machine that this test has started.
    static EMULATED: RefCell<Emulated> = RefCell::default();
}

/// How QEMU's memory is copied, and the test's where frames come from.
pub enum EmulatedMemory {}

impl EmulatedMemory {
    /// Does something with QEMU's memory if this is of it.
    fn in_qemu<R>(span: Span, act: impl FnOnce(&mut Emulator, u64) -> R) -> Option<R> {
        let (machine, at) = EMULATED.with_borrow(|emulated| {
            let of_region = |region: &&FakeMemory| {
                let whole = region.span(GuestPhysical(region.base()), region.length());
                whole.is_some_and(|whole| span.offset_in(whole).is_some())
            };
            let region = emulated.regions.iter().find(of_region)?;
            let whole = region.span(GuestPhysical(region.base()), region.length())?;
            Some((emulated.machine.clone()?, region.base() + span.offset_in(whole)? as u64))
        })?;
        let mut emulator = machine.0.borrow_mut();
        Some(act(&mut emulator, at))
    }
}

impl Memory for EmulatedMemory {
    fn load(from: Span, into: &mut [u8]) {
        let from = from.split(into.len()).0;
        let from_qemu = Self::in_qemu(from, |emulator, at| match <&mut [u8; 8]>::try_from(&mut *into) {
            Ok(word) => *word = emulator.number(&format!("readq {at:#x}")).to_le_bytes(),
            Err(_) => {
                let answer = emulator.qtest(&format!("read {at:#x} {:#x}", from.len()));
                let digits = answer.trim_start_matches("0x");
                for (index, byte) in into.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).unwrap();
                }
            }
        });
        if from_qemu.is_none() {
            TestMemory::load(from, into);
        }
    }

    fn store(into: Span, from: &[u8]) {
        let into = into.split(from.len()).0;
        let to_qemu = Self::in_qemu(into, |emulator, at| match <[u8; 8]>::try_from(from) {
            Ok(word) => drop(emulator.qtest(&format!("writeq {at:#x} {:#x}", u64::from_le_bytes(word)))),
            Err(_) => {
                let digits: String = from[..into.len()].iter().map(|byte| format!("{byte:02x}")).collect();
                emulator.qtest(&format!("write {at:#x} {:#x} 0x{digits}", into.len()));
            }
        });
        if to_qemu.is_none() {
            TestMemory::store(into, from);
        }
    }

    fn copy(from: Span, into: Span) {
        testkit::copy_as::<Self>(from, into);
    }

    fn device_address(of: Span) -> HostPhysical {
        TestMemory::device_address(of)
    }
}
