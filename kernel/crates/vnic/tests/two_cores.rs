//! Both halves at once: one thread is the guest and its core, the other moves frames to the vNIC. The guest looks at its rings when its
//! vNIC interrupts, and frames move when an effect says so: whatever is told to nobody ends the test.

use base::{
    Effects, GuestMemory, GuestPhysical, GuestSpans, Instant, MacAddress, MemoryError, Port, Span, Width,
};
use intel_regs::desc::{RxDescriptor, TxCommand, TxLegacy};
use intel_regs::{Ctrl, Interrupt, Rctl, Tctl, reg};
use std::ops::DerefMut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::thread;
use std::time::Duration;
use testkit::frame::{number_of, numbered};
use testkit::{TestMemory, bounce_memory, frames_in, put};
use vnic::{DataHalf, Vnic, VnicEngine, VnicFront, VnicModelConfig};

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
const PEER: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 2]);
const NOW: Instant = Instant(1_000_000);
/// Frames each way.
const FRAMES: u32 = 200_000;
/// Descriptors of each ring: few, so that the FIFO is full most of the time.
const RING: u32 = 16;
const RX_RING: u64 = 0x1000;
const TX_RING: u64 = 0x2000;
const RX_BUFFERS: u64 = 0x1_0000;
const TX_BUFFERS: u64 = 0x2_0000;
const BUFFER: u64 = 2048;
/// Length of every third frame. Short frames are all head, these are lent.
const LONG: usize = 300;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Guest memory that two threads use.
#[derive(Clone, Copy)]
struct Ram(Span);

impl Ram {
    fn new() -> Self {
        Self(Span::new(Box::leak((0..0x4_0000).map(|_| AtomicU8::new(0)).collect())))
    }

    fn get<const N: usize>(self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(GuestPhysical(at), &mut bytes).unwrap();
        bytes
    }

    fn put(self, at: u64, bytes: &[u8]) {
        self.write(GuestPhysical(at), bytes).unwrap();
    }
}

impl GuestMemory for Ram {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        <TestMemory as base::Memory>::load(self.0.part(at.0 as usize, into.len()), into);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        <TestMemory as base::Memory>::store(self.0.part(at.0 as usize, from.len()), from);
        Ok(())
    }
}

impl GuestSpans for Ram {
    type Memory = TestMemory;

    fn span(&self, at: GuestPhysical, length: usize) -> Option<Span> {
        Some(self.0.part(at.0 as usize, length))
    }
}

/// What both threads use, as the kernel's slot of a vNIC.
struct Slot {
    ram: Ram,
    engine: Mutex<VnicEngine>,
    /// The guest's core is to look at the vNIC.
    attention: AtomicBool,
    /// Frames that were refused may be offered again.
    room: AtomicBool,
}

impl DataHalf for &Slot {
    fn lock(&mut self) -> impl DerefMut<Target = VnicEngine> {
        self.engine.lock().unwrap()
    }
}

/// The guest, and what its core does for it.
struct GuestCore<'a> {
    slot: &'a Slot,
    front: VnicFront,
    /// The next frame to be sent, the oldest whose descriptor is not done, and the next that leaves.
    sent: u32,
    done: u32,
    left: u32,
    received: u32,
}

impl GuestCore<'_> {
    fn write(&mut self, register: u32, value: u32) {
        let effects = self.front.memory_write(register, Width::Dword, value.into(), NOW, self.slot);
        self.settle(effects);
    }

    /// Does what effects ask for, as the kernel does after an access and when it is called.
    fn settle(&mut self, mut effects: Effects) {
        loop {
            effects |= self.front.take_effects() | self.front.settle(NOW);
            let work = effects & (Effects::RX_SPACE | Effects::TX_KICK);
            if work.is_empty() {
                return;
            }
            let mut engine = self.slot.engine.lock().unwrap();
            if work.contains(Effects::RX_SPACE) {
                engine.port(&self.slot.ram).flush(NOW);
                self.slot.room.store(true, Ordering::SeqCst);
            }
            if work.contains(Effects::TX_KICK) {
                for frame in frames_in::<TestMemory>(&mut engine.port(&self.slot.ram), 7, NOW) {
                    assert_eq!(number_of(&frame), Some(self.left));
                    self.left += 1;
                }
            }
            effects = Effects::empty();
        }
    }

    fn set_up(&mut self) {
        for index in 0..RING {
            self.post(index);
        }
        for (register, value) in [
            (reg::CTRL, Ctrl::SLU.bits()),
            (reg::TDBAL, TX_RING as u32),
            (reg::TDLEN, RING * 16),
            (reg::TCTL, Tctl::EN.bits()),
            (reg::RDBAL, RX_RING as u32),
            (reg::RDLEN, RING * 16),
            (reg::RDT, RING - 1),
            (reg::IMS, (Interrupt::RXT0 | Interrupt::TXDW).bits()),
            (reg::RCTL, (Rctl::EN | Rctl::SECRC).bits()),
        ] {
            self.write(register, value);
        }
    }

    fn post(&self, index: u32) {
        let address = RX_BUFFERS + u64::from(index) * BUFFER;
        let descriptor = RxDescriptor { address: address.into(), ..Default::default() };
        self.slot.ram.put(RX_RING + u64::from(index) * 16, &descriptor.to_bytes());
    }

    /// Queues as many frames as there are free descriptors.
    fn send(&mut self) {
        let before = self.sent;
        while self.sent < FRAMES && self.sent - self.done < RING - 1 {
            let slot = self.sent % RING;
            let (address, frame) =
                (TX_BUFFERS + u64::from(slot) * BUFFER, numbered(PEER, MAC, self.sent, length(self.sent)));
            self.slot.ram.put(address, &frame);
            let command = TxCommand::EOP | TxCommand::IFCS | TxCommand::RS;
            let length = (frame.len() as u16).into();
            let descriptor =
                TxLegacy { address: address.into(), length, command: command.bits(), ..Default::default() };
            self.slot.ram.put(TX_RING + u64::from(slot) * 16, &descriptor.to_bytes());
            self.sent += 1;
        }
        if self.sent != before {
            self.write(reg::TDT, self.sent % RING);
        }
    }

    /// The guest's interrupt handler; false if there was no interrupt.
    fn interrupt(&mut self) -> bool {
        if !self.front.interrupt_line() {
            return false;
        }
        let (_, effects) = self.front.memory_read(reg::ICR, Width::Dword, NOW, self.slot);
        self.settle(effects);
        while self.done < self.sent && self.is_done(TX_RING, self.done) {
            self.done += 1;
        }
        let before = self.received;
        while self.received < FRAMES && self.is_done(RX_RING, self.received) {
            let index = self.received % RING;
            let frame = self.slot.ram.get::<LONG>(RX_BUFFERS + u64::from(index) * BUFFER);
            assert_eq!(number_of(&frame[..length(self.received)]), Some(self.received));
            self.post(index);
            self.received += 1;
        }
        if self.received != before {
            // Once: if the vNIC misses it, there is no other.
            self.write(reg::RDT, (self.received + RING - 1) % RING);
        }
        true
    }

    fn is_done(&self, ring: u64, number: u32) -> bool {
        let status = self.slot.ram.get::<1>(ring + u64::from(number % RING) * 16 + 12)[0];
        // What the vNIC wrote before it is read after it.
        fence(Ordering::Acquire);
        status & 1 != 0
    }
}

fn length(number: u32) -> usize {
    if number.is_multiple_of(3) { LONG } else { 60 }
}

/// Repeats `step` until it is true, unless nothing happens for too long.
fn until(what: &str, mut step: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !step() {
        assert!(begin.elapsed() < PATIENCE, "nobody has told {what}");
        thread::yield_now();
    }
}

#[test]
fn nothing_is_told_to_nobody() {
    let (front, engine) = Vnic::new(VnicModelConfig::new(MAC), bounce_memory()).halves();
    let slot = &Slot {
        ram: Ram::new(),
        engine: Mutex::new(engine),
        attention: AtomicBool::new(false),
        room: AtomicBool::new(false),
    };
    let mut guest = GuestCore { slot, front, sent: 0, done: 0, left: 0, received: 0 };
    guest.set_up();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FRAMES {
                let frame = numbered(MAC, PEER, number, length(number));
                loop {
                    let accepted = {
                        let mut engine = slot.engine.lock().unwrap();
                        let mut port = engine.port(&slot.ram);
                        let accepted = put(&mut port, &frame, NOW);
                        slot.attention.fetch_or(port.take_touched(), Ordering::SeqCst);
                        accepted
                    };
                    if accepted {
                        break;
                    }
                    until("the wire of room", || slot.room.swap(false, Ordering::SeqCst));
                }
            }
        });
        while (guest.done, guest.received) != (FRAMES, FRAMES) {
            guest.send();
            until("the guest of its frames", || {
                if slot.attention.swap(false, Ordering::SeqCst) {
                    guest.settle(Effects::empty());
                }
                guest.interrupt()
            });
        }
    });
    assert_eq!((guest.sent, guest.left, guest.received), (FRAMES, FRAMES, FRAMES));
}
