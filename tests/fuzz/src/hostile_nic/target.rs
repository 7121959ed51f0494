//! One driver, one hostile NIC, and calls in any order.

use super::machine::{Answers, Behaviour, HostileMachine, HostileMemory, Work};
use super::memory::{DESCRIPTORS, TRANSMITTED, received};
use crate::Input;
use base::time::Duration;
use base::{MacAddress, Memory, Outbox, Port, Put, RetiredFrames, SlotId, Ticket};
use intel_regs::{queue::ReceiveQueue, reg};
use nic::{InterruptMode, MAX_FRAME, Nic, NicState, PciId};
use std::collections::VecDeque;
use testkit::QueuePort;

/// One NIC of each family.
const IDS: [PciId; 3] = [intel(0x100e), intel(0x10d3), intel(0x10c9)];
/// Regions of DMA memory that a driver asks for: a ring and its buffers each way.
const REGIONS: usize = 4;
/// Most frames in one call of `send`.
const MAX_OFFERED: u64 = 64;
/// Most frames that the transmit ring holds.
const MAX_PENDING: u64 = DESCRIPTORS as u64 - 1;
/// Registers that the driver believes something of; arbitrary offsets reach the others.
const REGISTERS: [u32; 17] = [
    reg::CTRL,
    reg::STATUS,
    reg::EECD,
    reg::EERD,
    reg::CTRL_EXT,
    reg::MDIC,
    reg::ICR,
    reg::TCTL,
    reg::RAL,
    reg::RAL + 4,
    // EXTCNF_CTRL of the 82574; SWSM, SW_FW_SYNC, RXDCTL and TXDCTL of the 82576.
    0x0f00,
    0x5b50,
    0x5b5c,
    ReceiveQueue::at(0xc000).rxdctl(),
    0xe028,
    // GORCH: the upper half of a count of bytes.
    0x408c,
    // GPTC.
    0x4080,
];

const fn intel(device: u16) -> PciId {
    PciId { vendor: 0x8086, device }
}

/// What has been counted so far.
struct Totals {
    counts: Vec<(&'static str, u64)>,
}

impl Totals {
    fn of(nic: &Nic<HostileMachine>) -> Self {
        let lost = [("events_lost", nic.events_lost())];
        Self {
            counts: (nic.queue_counters().named().into_iter())
                .chain(nic.counters().named())
                .chain(nic.statistics().named())
                .chain(lost)
                .collect(),
        }
    }

    fn get(&self, name: &str) -> u64 {
        self.counts.iter().find(|(known, _)| *known == name).expect("a counter").1
    }

    fn assert_follows(&self, before: &Self) {
        for ((name, now), (_, before)) in self.counts.iter().zip(&before.counts) {
            assert!(now >= before, "{name} went from {before} to {now}");
        }
        let pending = self.get("tx_queued") - self.get("tx_done") - self.get("tx_returned");
        assert!(pending <= MAX_PENDING, "{pending} frames in the transmit ring");
    }

    /// Frames that `send` has accepted.
    fn accepted(&self) -> u64 {
        ["tx_queued", "tx_runt", "tx_too_long"].map(|name| self.get(name)).iter().sum()
    }
}

/// The family, how the NIC behaves at first, then calls of the driver and acts of the NIC.
///
/// # Panics
/// When a call of the driver does more than its bound in accesses or copies; a reset is without end; when one leaves its DMA memory or
/// the register window; gives the NIC a descriptor with another buffer than its own; asks for more memory than the kernel has,
/// or for any once it runs; does not return the ticket of each frame that it keeps once, in their order; hands up a frame of a length that Ethernet has not, or more than was asked for;
/// when a counter goes back, or one call's result, such as that of a NIC that is retired, contradicts the counters.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let id = input.choose(&IDS);
    let machine = HostileMachine::new(behaviour(&mut input), REGIONS - usize::from(input.u8() / 64));
    let now = machine.begin(Work::BRING_UP);
    let started = Nic::new(machine.clone(), machine.clone(), id, now);
    machine.seal();
    let Ok(mut nic) = started else { return };
    settle(&mut nic, &machine);
    let known = nic.mac() != MacAddress::default() && !nic.mac().is_multicast();
    assert!(known || nic.state() != NicState::Running);
    let mut lent = Lent { outbox: Outbox::new(0), held: Vec::new() };
    let mut sender = Sender { lender: QueuePort::new(), outbox: Outbox::new(0), kept: VecDeque::new() };
    let mut before = Totals::of(&nic);
    while !input.is_empty() {
        let action = input.u8();
        match action & 15 {
            0 | 1 => sender.send(&mut nic, &machine, &mut input),
            2 | 3 => poll(&mut nic, &machine, &mut lent, action >> 4, &before),
            4..9 => control(&mut nic, &machine, action, &mut input),
            _ => act(&machine, action, &mut input),
        }
        assert_eq!(nic.capabilities().max_frame, MAX_FRAME);
        sender.reap(&mut nic, &machine);
        assert!(nic.events().map(|event| event.to_string().len()).all(|length| length > 0));
        let totals = Totals::of(&nic);
        totals.assert_follows(&before);
        before = totals;
    }
}

/// Checks the NIC as often as it wants to be, until a reset has succeeded or failed: all its limits together are less
/// than two seconds.
fn settle(nic: &mut Nic<HostileMachine>, machine: &HostileMachine) {
    let mut left = 2500;
    while nic.state() == NicState::Resetting {
        machine.pass(Duration::from_millis(1));
        let now = machine.begin(Work::BRING_UP);
        nic.check(now);
        assert!(nic.next_check() > now, "due again at {now}");
        left -= 1;
        assert!(left > 0, "a reset without end");
    }
}

fn behaviour(input: &mut Input) -> Behaviour {
    let (shape, seed) = (input.u8(), input.u16());
    let answers =
        [Answers::True, Answers::Doubtful, Answers::True, Answers::Random, Answers::Ones, Answers::Zero];
    let advanced = seed & 1 != 0;
    Behaviour {
        answers: answers[usize::from(shape & 7) % answers.len()],
        interference: [0, 64, 5, 1][usize::from(shape >> 3 & 3)],
        refill: match shape >> 5 {
            4 => Some(received(advanced, 2048, false, 0)),
            5 => Some(received(advanced, 100, true, 0x80)),
            6 => Some(received(advanced, 13, true, 0)),
            7 => Some(received(advanced, 1514, true, 0)),
            _ => None,
        },
        seed: seed.into(),
    }
}

/// Who sends, the frames that it has lent out, and those of them that the driver has kept, oldest first.
struct Sender {
    lender: QueuePort,
    outbox: Outbox,
    kept: VecDeque<SlotId>,
}

impl Sender {
    /// Offers frames until one is refused.
    fn send(&mut self, nic: &mut Nic<HostileMachine>, machine: &HostileMachine, input: &mut Input) {
        static BYTES: [u8; MAX_FRAME + 8] = [0xa5; MAX_FRAME + 8];
        let lengths = [input.u16(), input.u16()].map(|length| usize::from(length) % BYTES.len());
        let count = 1 + input.below(MAX_OFFERED) as usize;
        let before = Totals::of(nic).accepted();
        let now = machine.begin(Work::BATCH);
        let mut accepted = 0;
        for index in 0..count.min(self.outbox.room()) {
            self.lender.arrive(&BYTES[..lengths[index & 1]]);
            self.lender.fetch(&mut self.outbox, 1, now);
            let slot = self.outbox.fetched().expect("there was room");
            self.outbox.share(slot, 1);
            match nic.put(self.outbox.frame(slot), self.outbox.lend(slot), now) {
                Put::Kept => self.kept.push_back(slot),
                Put::Done(ticket) => self.outbox.give_back(ticket),
                Put::Refused(ticket) => {
                    self.outbox.give_back(ticket);
                    break;
                }
            }
            accepted += 1;
        }
        nic.flush(now);
        assert_eq!(Totals::of(nic).accepted(), before + accepted);
    }

    /// Gets back what was sent, and what will not be.
    fn reap(&mut self, nic: &mut Nic<HostileMachine>, machine: &HostileMachine) {
        let now = machine.begin(Work::BATCH);
        let mut back = |ticket: Ticket| {
            assert_eq!(Some(ticket.slot()), self.kept.pop_front(), "not the oldest one");
            self.outbox.give_back(ticket);
        };
        nic.reap(&mut back, now);
        nic.take_back(&mut back);
        self.lender.settle(&mut self.outbox, now);
        let totals = Totals::of(nic);
        let kept = totals.get("tx_queued") - totals.get("tx_done") - totals.get("tx_returned");
        assert_eq!((self.kept.len(), self.lender.lent()), (kept as usize, kept as usize));
    }
}

/// The frames that the driver has lent out, and those of them that are not back.
struct Lent {
    outbox: Outbox,
    held: Vec<SlotId>,
}

fn poll(
    nic: &mut Nic<HostileMachine>,
    machine: &HostileMachine,
    Lent { outbox, held }: &mut Lent,
    choice: u8,
    before: &Totals,
) {
    let budget = 1 + usize::from(choice) * 5;
    // Sometimes frames have to wait, and others come back before them.
    if choice & 1 == 0 {
        let keep = if choice & 2 == 0 { 0 } else { held.len() / 2 };
        held.drain(keep..).rev().for_each(|slot| outbox.drop_copy(slot));
        let now = machine.begin(Work::BATCH);
        nic.settle(outbox, now);
        assert!(!outbox.has_finished() && outbox.is_empty() == held.is_empty());
    }
    let now = machine.begin(Work::BATCH);
    let given = nic.fetch(outbox, budget, now);
    assert!(given <= budget);
    let (mut frames, mut bytes) = (0, 0);
    while let Some(slot) = outbox.fetched() {
        let frame = outbox.frame(slot);
        assert!((14..=MAX_FRAME).contains(&frame.length));
        (frames, bytes) = (frames + 1, bytes + frame.length);
        outbox.share(slot, 1);
        held.push(slot);
    }
    assert_eq!(frames, given);
    for piece in held.iter().flat_map(|slot| outbox.frame(*slot).pieces) {
        let buffer = HostileMemory::device_address(*piece).0 & !2047;
        machine
            .with_arena(|arena| assert!(!arena.is_armed(buffer), "{buffer:#x} is lent out, and the NIC's"));
    }
    let counters = nic.queue_counters();
    assert_eq!(counters.rx_frames, before.get("rx_frames") + given as u64);
    assert_eq!(counters.rx_bytes, before.get("rx_bytes") + bytes as u64);
}

/// Calls of the driver that carry no frame.
fn control(nic: &mut Nic<HostileMachine>, machine: &HostileMachine, action: u8, input: &mut Input) {
    match action & 15 {
        4 if action & 0x80 != 0 => settle(nic, machine),
        4 => {
            machine.pass(Duration::from_nanos(input.number(2) << 20));
            let now = machine.begin(Work::BRING_UP);
            nic.check(now);
            assert!(nic.next_check() > now, "due again at {now}");
        }
        5 => {
            machine.begin(Work::BATCH);
            nic.interrupt();
        }
        6 => {
            machine.begin(Work::BATCH);
            if action & 0x10 == 0 { nic.unmask() } else { nic.mask() }
        }
        7 => {
            machine.begin(Work::BATCH);
            let modes = [InterruptMode::Intx, InterruptMode::Msi, InterruptMode::Msix, InterruptMode::Msix];
            nic.set_interrupt_mode(modes[usize::from(action >> 6)]);
        }
        _ if action >> 6 == 1 => nic.hold_back(action & 0x10 == 0),
        _ if action >> 6 == 2 => retire(nic, machine),
        _ => {
            machine.begin(Work::BATCH);
            nic.set_interrupt_interval(Duration::from_nanos(input.number(5)));
        }
    }
}

/// Stops the NIC for good. What the call says of the frames is what the counters say, now or when a reset before gave frames back of
/// which nobody has heard.
fn retire(nic: &mut Nic<HostileMachine>, machine: &HostileMachine) {
    let before = Totals::of(nic);
    let now = machine.begin(Work::BRING_UP);
    let retired = nic.retire(now);
    let after = Totals::of(nic);
    let more = |name| after.get(name) - before.get(name);
    let (returned, in_doubt) = (retired.returned as u64, retired.in_doubt as u64);
    assert!((more("tx_returned")..=after.get("tx_returned")).contains(&returned));
    assert!((more("tx_in_doubt")..=after.get("tx_in_doubt") + returned).contains(&in_doubt));
    assert!(retired == RetiredFrames::default() || nic.state() != NicState::Running);
}

/// What the NIC does between two calls.
fn act(machine: &HostileMachine, action: u8, input: &mut Input) {
    match action & 15 {
        9 => machine.behave(behaviour(input)),
        10 => {
            let choice = input.u8();
            let offset = REGISTERS[usize::from(choice) % REGISTERS.len()];
            machine.force((choice < 0xf0).then(|| (offset, input.u32())));
        }
        11 | 12 => {
            let (index, count, length) = (input.u8().into(), 1 + usize::from(input.u8()), input.u16());
            let errors = if action & 0x40 != 0 { input.u8() } else { 0 };
            let half = received(action & 0x10 != 0, length, action & 0x20 == 0, errors);
            machine.with_arena(|arena| arena.write_back(0, index, count, half));
        }
        13 => {
            let (index, count) = (input.u8().into(), 1 + usize::from(input.u8()));
            machine.with_arena(|arena| arena.write_back(1, index, count, TRANSMITTED));
        }
        14 => {
            let (at, bytes) = (input.u32() as usize, input.bytes(usize::from(action >> 4)));
            machine.with_arena(|arena| arena.scribble(at, bytes));
        }
        _ => {
            machine.raise(input.u32());
            machine.pass(Duration::from_nanos(input.number(5)));
        }
    }
}
