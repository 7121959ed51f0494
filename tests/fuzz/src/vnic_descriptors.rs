//! The vNIC's rings: memory of any content behind rings that are mostly where a driver would put them.

use crate::Input;
use crate::vnic_registers::poll;
use base::{Batch, Effects, Instant, Port};
use intel_regs::reg;
use testkit::FakeMemory;
use vnic::{Vnic, VnicConfig};

const MEMORY: usize = 64 << 10;
const TRANSMIT_RING: u32 = 0x1000;
const RECEIVE_RING: u32 = 0x2000;
/// Descriptors of each ring: 128 bytes is the least a ring can have [8254x 13.4.27].
const DESCRIPTORS: u32 = 32;
const BUFFERS: u64 = 0x4000;
/// Polls after which a guest that adds nothing has been served: each descriptor starts at most one packet,
/// which becomes at most 64 Ki segments, 64 to a poll.
const MAX_POLLS: usize = 32 * 1024 + 64;

/// Control registers, rings, descriptors, then rounds of frames and tail writes.
///
/// # Panics
/// When a port does more than it was asked to, or transmission never ends.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = FakeMemory::new(MEMORY);
    let mut card = Vnic::new(VnicConfig::new(testkit::frame::mac(1)));
    let mut batch = Batch::with_capacity(64 << 10);
    let mut now = Instant::ZERO;
    set_up(&mut card, &mut input, now);
    for ring in [TRANSMIT_RING, RECEIVE_RING] {
        for index in 0..u64::from(DESCRIPTORS) {
            memory.put(u64::from(ring) + 16 * index, &descriptor(&mut input, index));
        }
    }
    for round in 0..8 {
        let (transmit, receive) = (tail(&mut input), tail(&mut input));
        let _ = card.write(reg::TDT, transmit, now) | card.write(reg::RDT, receive, now);
        // What frames contain matters little, that lengths vary does.
        let frame = vec![round; usize::from(input.u16()) % 10_000];
        card.port(&memory).send(&[&frame, &frame[frame.len() / 2..]], now);
        drain(&mut card, &memory, &mut batch, now);
        now = Instant(now.0 + 1_000_000);
        let _ = card.advance(now);
        if input.is_empty() {
            break;
        }
    }
    while card.faults().is_some() {}
}

/// Enables both directions, with any of the other control bits.
fn set_up(card: &mut Vnic, input: &mut Input, now: Instant) {
    // EN of each; SLU of CTRL.
    let (rctl, tctl) = (input.u32() | 2, input.u32() | 2);
    let odd = input.u8();
    let length = if odd & 1 == 0 { 16 * DESCRIPTORS } else { input.u32() };
    let high = if odd & 6 == 6 { input.u32() } else { 0 };
    for (register, value) in [
        (reg::CTRL, 0x40),
        (reg::RXCSUM, input.u32()),
        (reg::RXDCTL, input.u32()),
        (reg::TXDCTL, input.u32()),
        (reg::TDBAL, TRANSMIT_RING),
        (reg::TDBAH, high),
        (reg::TDLEN, length),
        (reg::RDBAL, RECEIVE_RING),
        (reg::RDBAH, high),
        (reg::RDLEN, length),
        (reg::RDT, DESCRIPTORS - 1),
        (reg::RCTL, rctl),
        (reg::TCTL, tctl),
    ] {
        let _ = card.write(register, value, now);
    }
}

/// A descriptor whose buffer is mostly in memory and not very long, with any type, command and options.
fn descriptor(input: &mut Input, index: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    match input.u8() {
        0..0xe0 => {
            bytes[..8].copy_from_slice(&(BUFFERS + 1024 * index).to_le_bytes());
            bytes[8..10].copy_from_slice(&(input.u16() & 0x0fff).to_le_bytes());
            bytes[10..].copy_from_slice(&input.u64().to_le_bytes()[..6]);
        }
        _ => {
            bytes[..8].copy_from_slice(&input.u64().to_le_bytes());
            bytes[8..].copy_from_slice(&input.u64().to_le_bytes());
        }
    }
    bytes
}

/// A tail, now and then beyond the ring.
fn tail(input: &mut Input) -> u32 {
    match input.u8() {
        value @ 0..0xf0 => u32::from(value) % DESCRIPTORS,
        _ => input.u32(),
    }
}

/// Polls until the card has no more to send.
fn drain(card: &mut Vnic, memory: &FakeMemory, batch: &mut Batch, now: Instant) {
    for _ in 0..MAX_POLLS {
        if !poll(card, memory, batch, 64, now).contains(Effects::TX_KICK) {
            return;
        }
    }
    panic!("still something to send after {MAX_POLLS} polls");
}
