//! The machine around the NIC, which counts what the driver does in one call.

use super::memory::{Arena, BASE};
use base::time::Duration;
use base::{GuestPhysical, GuestSpans, HostPhysical, Instant, Memory, Span};
use intel_regs::{Status, reg};
use nic::{NicHost, NicRegisters};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use testkit::{FakeMemory, TestMemory};

/// Bytes of the register window [8254x 4.1].
const WINDOW: u32 = 128 << 10;
/// CTRL.RST, and the bit of CTRL and of STATUS for bus transactions of NICs on PCI Express.
const RST: u32 = 1 << 26;
const MASTER_DISABLE: u32 = 1 << 2;
const MASTER_ENABLE: u32 = 1 << 19;
/// RAL0 and RAH0 as the NIC loads them at power-up: an address, and that it is valid.
const RECEIVE_ADDRESS: (u32, u32) = (0x0000_5452, 0x8000_0100);
/// EERD with its data and `DONE` of both layouts; EEC.AUTO_RD; MDIC with `R` and a PHY that has negotiated.
const EERD: u32 = 0x5452_0012;
const AUTO_READ: u32 = 1 << 9;
const MDIC: u32 = 0x1000_1164;
/// Tail registers: they hold an index of the ring.
const TAILS: [u32; 4] = [reg::RDT, reg::TDT, 0xc018, 0xe018];

/// What a call of the driver has done, or may do at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Accesses to registers.
    pub accesses: usize,
    /// Copies into and out of DMA memory.
    pub copies: usize,
}

impl Work {
    /// For a call that may bring the NIC up: the tables of filters are some 300 registers, and both rings are set
    /// up.
    pub const BRING_UP: Self = Self { accesses: 600, copies: 20_000 };
    /// For all others, which go round each ring once. A received frame takes up to 8 descriptors, each of which is
    /// read, copied and written twice.
    pub const BATCH: Self = Self { accesses: 16, copies: 256 * 8 * 4 + 256 };
}

/// How registers answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// As those of a NIC that works.
    True,
    /// Now and then with another value.
    Doubtful,
    /// With any value.
    Random,
    /// As if there were no NIC.
    Ones,
    /// With zero.
    Zero,
}

/// How the NIC behaves.
pub struct Behaviour {
    pub answers: Answers,
    /// Memory and time change on their own at one access of the driver in this many; 0 for never.
    pub interference: u64,
    /// What the NIC writes at once to each receive descriptor that it is given.
    pub refill: Option<[u8; 8]>,
    pub seed: u64,
}

struct MachineState {
    arena: Arena,
    /// Memory whose addresses stand for those of each region of the arena; its bytes mean nothing.
    regions: Vec<(FakeMemory, Range<usize>)>,
    now: Instant,
    behaviour: Behaviour,
    written: BTreeMap<u32, u32>,
    forced: BTreeMap<u32, u32>,
    causes: u32,
    done: Work,
    limit: Work,
}

/// The machine; clones share it.
#[derive(Clone)]
pub struct HostileMachine(Rc<RefCell<MachineState>>);

impl HostileMachine {
    /// A machine that gives the driver at most `regions` pieces of memory.
    pub fn new(behaviour: Behaviour, regions: usize) -> Self {
        let written = BTreeMap::from([(reg::ral(0), RECEIVE_ADDRESS.0), (reg::rah(0), RECEIVE_ADDRESS.1)]);
        let machine = Self(Rc::new(RefCell::new(MachineState {
            arena: Arena::new(regions),
            regions: Vec::new(),
            now: Instant::ZERO,
            behaviour,
            written,
            forced: BTreeMap::new(),
            causes: 0,
            done: Work::default(),
            limit: Work::default(),
        })));
        CURRENT.set(Some(machine.clone()));
        machine
    }

    /// Begins a call that may do as much as `limit`, and returns the time.
    pub fn begin(&self, limit: Work) -> Instant {
        let mut inner = self.0.borrow_mut();
        (inner.done, inner.limit) = (Work::default(), limit);
        inner.now
    }

    /// Refuses memory from now on.
    pub fn seal(&self) {
        self.0.borrow_mut().arena.left = 0;
    }

    pub fn pass(&self, time: Duration) {
        let mut inner = self.0.borrow_mut();
        inner.now = inner.now + time;
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.0.borrow_mut().behaviour = behaviour;
    }

    /// Makes a register read as `value` for good, or all as they are without it.
    pub fn force(&self, register: Option<(u32, u32)>) {
        let forced = &mut self.0.borrow_mut().forced;
        match register {
            Some((offset, value)) => _ = forced.insert(offset, value),
            None => forced.clear(),
        }
    }

    pub fn raise(&self, causes: u32) {
        self.0.borrow_mut().causes |= causes;
    }

    /// Lets the NIC write to memory.
    pub fn with_arena(&self, act: impl FnOnce(&mut Arena)) {
        act(&mut self.0.borrow_mut().arena);
    }
}

impl MachineState {
    /// The next of a sequence without short cycles (SplitMix64).
    fn random(&mut self) -> u64 {
        self.behaviour.seed = self.behaviour.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.behaviour.seed;
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Called at every access, before it: the NIC may act at any moment.
    fn moment(&mut self) {
        let Work { accesses, copies } = self.done;
        let within = accesses <= self.limit.accesses && copies <= self.limit.copies;
        assert!(within, "one call of the driver does {:?}, more than {:?}", self.done, self.limit);
        if self.behaviour.interference == 0 || !self.random().is_multiple_of(self.behaviour.interference) {
            return;
        }
        let random = self.random();
        self.arena.interfere(random);
        if random >> 56 == 0 {
            // The processor was elsewhere for up to 17 seconds.
            self.now = self.now + Duration::from_nanos(random & 0x3_ffff_ffff);
        }
    }

    fn answer(&mut self, offset: u32) -> u32 {
        let answer = self.forced.get(&offset).copied().unwrap_or_else(|| self.true_answer(offset));
        let random = self.random();
        match self.behaviour.answers {
            Answers::True => return answer,
            Answers::Ones => return u32::MAX,
            Answers::Zero => return 0,
            Answers::Doubtful if random & 7 != 0 => return answer,
            Answers::Doubtful | Answers::Random => {}
        }
        match random >> 61 {
            0 => u32::MAX,
            1 => 0,
            2 | 3 => answer ^ 1 << (random >> 8 & 31),
            _ => (random >> 16) as u32,
        }
    }

    /// What a NIC that works would say.
    fn true_answer(&mut self, offset: u32) -> u32 {
        let written = |offset| self.written.get(&offset).copied().unwrap_or(0);
        match offset {
            reg::CTRL => written(offset) & !RST,
            reg::STATUS => {
                let busy = written(reg::CTRL) & MASTER_DISABLE == 0;
                (Status::LU | Status::FD | Status::SPEED_1000).bits() | if busy { MASTER_ENABLE } else { 0 }
            }
            reg::EECD => AUTO_READ,
            reg::EERD => EERD,
            reg::MDIC => MDIC,
            reg::ICR => std::mem::take(&mut self.causes),
            _ => written(offset),
        }
    }
}

impl NicRegisters for HostileMachine {
    fn read(&mut self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < WINDOW, "no register at {offset:#x}");
        let mut inner = self.0.borrow_mut();
        inner.done.accesses += 1;
        inner.moment();
        inner.answer(offset)
    }

    fn write(&mut self, offset: u32, value: u32) {
        assert!(offset.is_multiple_of(4) && offset < WINDOW, "no register at {offset:#x}");
        assert!(!TAILS.contains(&offset) || value < 256, "tail {value} in a ring of 256 descriptors");
        let mut inner = self.0.borrow_mut();
        inner.done.accesses += 1;
        inner.moment();
        inner.written.insert(offset, value);
    }
}

impl NicHost for HostileMachine {
    type Registers = Self;
    type Memory = HostileMemory;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Span> {
        let mut inner = self.0.borrow_mut();
        let place = inner.arena.allocate(bytes, alignment)?;
        let at = BASE + place.start as u64;
        let memory = FakeMemory::at(at, bytes);
        let span = memory.span(GuestPhysical(at), bytes);
        inner.regions.push((memory, place));
        span
    }

    fn allow_dma(&mut self, _allowed: bool) {
        self.0.borrow_mut().moment();
    }

    fn write_io(&mut self, at: u32, value: u32) -> bool {
        let mut inner = self.0.borrow_mut();
        inner.done.accesses += 1;
        inner.moment();
        let ignores = inner.random() & 1 != 0;
        match at {
            0 => assert_eq!(value, reg::CTRL),
            _ if ignores => {}
            _ => _ = inner.written.insert(reg::CTRL, value),
        }
        true
    }
}

std::thread_local! {
    /// The machine of this thread.
    static CURRENT: RefCell<Option<HostileMachine>> = const { RefCell::new(None) };
}

/// How the memory of the machine of this thread is copied, and that which frames to send come from.
pub enum HostileMemory {}

impl HostileMemory {
    /// Does something with the NIC's memory, if this is of it, by its region and the offset there.
    fn access<R>(span: Span, act: impl FnOnce(&mut MachineState, &Range<usize>, usize) -> R) -> Option<R> {
        let machine = CURRENT.with_borrow(Clone::clone)?;
        let mut inner = machine.0.borrow_mut();
        let (place, offset) = inner.regions.iter().find_map(|(memory, place)| {
            let whole = memory.span(GuestPhysical(memory.base()), memory.length())?;
            Some((place.clone(), span.offset_in(whole)?))
        })?;
        inner.done.copies += 1;
        inner.moment();
        Some(act(&mut inner, &place, offset))
    }
}

impl Memory for HostileMemory {
    fn load(from: Span, into: &mut [u8]) {
        let from = from.split(into.len()).0;
        let copied = Self::access(from, |machine, place, offset| {
            into[..from.len()].copy_from_slice(machine.arena.slice(place, offset, from.len()));
        });
        if copied.is_none() {
            TestMemory::load(from, into);
        }
    }

    fn store(into: Span, from: &[u8]) {
        let into = into.split(from.len()).0;
        let copied = Self::access(into, |machine, place, offset| {
            let arena = &mut machine.arena;
            arena.slice(place, offset, into.len()).copy_from_slice(&from[..into.len()]);
            arena.check_descriptor(place, offset);
            // The driver clears the second half last: now the descriptor is the NIC's.
            let half = machine.behaviour.refill.filter(|_| into.len() == 8 && offset % 16 == 8);
            half.into_iter().for_each(|half| arena.slice(place, offset, 8).copy_from_slice(&half));
        });
        if copied.is_none() {
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
