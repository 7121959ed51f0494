//! A machine for the driver: fake memory, a virtual clock, and a NIC behind register access.
#![allow(dead_code, reason = "each test file uses its own part")]

use base::time::Duration;
use base::{Effects, GuestPhysical, GuestSpans, Instant, Span};
use nic::{Nic, NicError, NicHost, NicRegisters, NicState, PciId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use testkit::{FakeMemory, TestMemory, VirtualClock};

pub mod fake_nic;
mod fake_rings;
pub mod fake_transmit;
pub mod sender;

pub const ID_82540EM: PciId = PciId { vendor: 0x8086, device: 0x100e };
pub const ID_82574L: PciId = PciId { vendor: 0x8086, device: 0x10d3 };
pub const ID_82576: PciId = PciId { vendor: 0x8086, device: 0x10c9 };
pub const ID_I210: PciId = PciId { vendor: 0x8086, device: 0x1533 };

/// A NIC behind its registers.
pub trait FakeDevice {
    fn read(&mut self, memory: &FakeMemory, offset: u32, now: Instant) -> u32;
    fn write(&mut self, memory: &FakeMemory, offset: u32, value: u32, now: Instant) -> Effects;
    /// COMMAND.BME is set or cleared.
    fn allow_dma(&mut self, _allowed: bool) {}
    /// A write to the I/O window; false when there is none.
    fn write_io(&mut self, _at: u32, _value: u32, _now: Instant) -> bool {
        false
    }
}

/// The machine around a NIC; clones share it, so that a test keeps one while the driver owns another.
pub struct TestMachine<C> {
    pub memory: FakeMemory,
    pub clock: VirtualClock,
    pub nic: Rc<RefCell<C>>,
    /// Effects of the driver's accesses that nobody has taken.
    pub effects: Rc<Cell<Effects>>,
    allocated: Rc<Cell<u64>>,
}

impl<C> Clone for TestMachine<C> {
    fn clone(&self) -> Self {
        let (memory, clock) = (self.memory.clone(), self.clock.clone());
        let (effects, allocated) = (self.effects.clone(), self.allocated.clone());
        Self { memory, clock, nic: self.nic.clone(), effects, allocated }
    }
}

impl<C: FakeDevice> TestMachine<C> {
    pub fn new(nic: C) -> Self {
        Self::with_clock(nic, VirtualClock::new())
    }

    pub fn with_clock(nic: C, clock: VirtualClock) -> Self {
        // A base above 4 GiB, so that the high halves of addresses count.
        let memory = FakeMemory::at(0x1_2345_0000, 2 << 20);
        let nic = Rc::new(RefCell::new(nic));
        Self { memory, clock, nic, effects: Rc::default(), allocated: Rc::default() }
    }

    pub fn start(&self) -> Result<Nic<Self>, NicError> {
        self.start_as(ID_82540EM)
    }

    /// Starts the driver for a NIC with this identity, and lets time pass until it works or has failed.
    pub fn start_as(&self, id: PciId) -> Result<Nic<Self>, NicError> {
        let mut nic = self.begin(id)?;
        self.settle(&mut nic);
        match nic.state() {
            NicState::Failed(error) => Err(error),
            _ => Ok(nic),
        }
    }

    /// Constructs the driver for a NIC with this identity, which then has not even been reset.
    pub fn begin(&self, id: PciId) -> Result<Nic<Self>, NicError> {
        Nic::new(self.clone(), self.clone(), id, self.now())
    }

    /// Lets time pass until a reset has succeeded or failed.
    pub fn settle(&self, nic: &mut Nic<Self>) {
        let start = self.now();
        while nic.state() == NicState::Resetting {
            nic.check(self.clock.advance(Duration::from_micros(10)));
            assert!(self.now() - start < Duration::from_secs(3), "every step has a limit");
        }
    }

    /// Lets time pass, and checks the NIC whenever it wants to be.
    pub fn pass(&self, nic: &mut Nic<Self>, time: Duration) {
        let end = self.now() + time;
        while nic.next_check() <= end {
            let now = self.clock.advance(nic.next_check() - self.now());
            nic.check(now);
            assert_eq!(self.now(), now, "a check takes no time");
        }
        nic.check(self.clock.advance(end - self.now()));
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl FakeDevice for vnic::Vnic {
    fn read(&mut self, _memory: &FakeMemory, offset: u32, now: Instant) -> u32 {
        vnic::Vnic::read(self, offset, now).0
    }

    fn write(&mut self, _memory: &FakeMemory, offset: u32, value: u32, now: Instant) -> Effects {
        vnic::Vnic::write(self, offset, value, now)
    }

    fn write_io(&mut self, at: u32, value: u32, now: Instant) -> bool {
        let _ = self.io_write(at, value, now);
        true
    }
}

impl<C: FakeDevice> NicRegisters for TestMachine<C> {
    fn read(&mut self, offset: u32) -> u32 {
        self.nic.borrow_mut().read(&self.memory, offset, self.clock.now())
    }

    fn write(&mut self, offset: u32, value: u32) {
        let effects = self.nic.borrow_mut().write(&self.memory, offset, value, self.clock.now());
        self.effects.set(self.effects.get() | effects);
    }
}

impl<C: FakeDevice> NicHost for TestMachine<C> {
    type Registers = Self;
    type Memory = TestMemory;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Span> {
        let start = self.allocated.get().next_multiple_of(alignment as u64);
        self.allocated.set(start + bytes as u64);
        let memory = self.memory.span(GuestPhysical(self.memory.base() + start), bytes)?;
        (memory.len() == bytes).then_some(memory)
    }

    fn allow_dma(&mut self, allowed: bool) {
        self.nic.borrow_mut().allow_dma(allowed);
    }

    fn write_io(&mut self, at: u32, value: u32) -> bool {
        self.nic.borrow_mut().write_io(at, value, self.clock.now())
    }
}

/// Fetches at most 64 frames from a port.
pub fn poll(port: &mut impl base::Port, now: Instant) -> Vec<Vec<u8>> {
    testkit::frames_of(port, 64, now)
}

/// Offers frames to a port and returns how many it took.
pub fn send(port: &mut impl base::Port, frames: &[Vec<u8>], now: Instant) -> usize {
    testkit::put_all(port, frames.iter().map(Vec::as_slice), now)
}
