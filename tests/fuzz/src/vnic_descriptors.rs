//! The vNIC's rings: memory of any content behind rings that are mostly where a driver would put them.

use crate::Input;
use crate::vnic_registers::{Destination, vnic};
use base::{Effects, Instant};
use intel_regs::{Ctrl, Rctl, Tctl, reg};
use testkit::{FakeMemory, put_all};
use vnic::Vnic;

const MEMORY: usize = 64 << 10;
const TRANSMIT_RING: u32 = 0x1000;
const RECEIVE_RING: u32 = 0x2000;
/// Descriptors of each ring: 128 bytes is the least a ring can have [8254x 13.4.27].
const DESCRIPTORS: u32 = 32;
const BUFFERS: u64 = 0x4000;
/// Polls after which a guest that adds nothing has been served: each descriptor starts at most one packet,
/// which becomes at most 64 Ki segments, 64 to a poll.
const MAX_POLLS: usize = 32 * 1024 + 64;

/// Control registers, descriptors, then rounds of frames and tail writes.
///
/// # Panics
/// When a port does more than it was asked to, or transmission never ends.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = FakeMemory::new(MEMORY);
    let mut vnic = vnic();
    let mut destination = Destination::new();
    let mut now = Instant::ZERO;
    set_up(&mut vnic, &mut input, now);
    for (ring, kind) in [(TRANSMIT_RING, Descriptor::Transmit), (RECEIVE_RING, Descriptor::Receive)] {
        for index in 0..u64::from(DESCRIPTORS) {
            memory.put(u64::from(ring) + 16 * index, &descriptor(&mut input, kind, BUFFERS + 512 * index));
        }
    }
    for round in 0..8 {
        let (transmit, receive) = (tail(&mut input), tail(&mut input));
        let _ = vnic.write(reg::TDT, transmit, now) | vnic.write(reg::RDT, receive, now);
        // What frames contain matters little, that lengths vary does.
        let length = 60 + usize::from(input.u16()) % 10_000;
        let frame = vec![round; if length % 32 == 0 { length / 32 } else { length }];
        put_all(&mut vnic.port(&memory), [&frame[..], &frame[frame.len() / 2..]], now);
        drain(&mut vnic, &memory, &mut destination, now);
        now = Instant(now.0 + 1_000_000);
        let _ = vnic.advance(now);
        if input.is_empty() {
            break;
        }
    }
    while vnic.faults().is_some() {}
}

/// Sets up rings at fixed places as a driver does, except for what `input` says otherwise.
pub(crate) fn set_up(vnic: &mut Vnic, input: &mut Input, now: Instant) {
    let odd = input.u8();
    let unusual = |bit: u8, value: u32| if odd & bit != 0 { value } else { 0 };
    let usual_receive = (Rctl::EN | Rctl::UPE | Rctl::MPE | Rctl::BAM | Rctl::LPE).bits();
    let usual_transmit = (Tctl::EN | Tctl::PSP).bits();
    for (register, value) in [
        (reg::CTRL, Ctrl::SLU.bits()),
        (reg::RXCSUM, unusual(1, input.u32())),
        (reg::RXDCTL, unusual(2, input.u32())),
        (reg::TXDCTL, unusual(4, input.u32())),
        (reg::TDBAL, TRANSMIT_RING),
        (reg::TDBAH, unusual(8, input.u8().into())),
        (reg::TDLEN, (16 * DESCRIPTORS).wrapping_add(unusual(16, input.u32()))),
        (reg::RDBAL, RECEIVE_RING),
        (reg::RDBAH, unusual(32, input.u8().into())),
        (reg::RDLEN, (16 * DESCRIPTORS).wrapping_add(unusual(16, input.u32()))),
        (reg::RDT, DESCRIPTORS - 1),
        (reg::RCTL, usual_receive ^ unusual(64, input.u32())),
        (reg::TCTL, usual_transmit ^ unusual(128, input.u32())),
    ] {
        let _ = vnic.write(register, value, now);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Descriptor {
    Transmit,
    Receive,
}

/// A descriptor with its buffer at `buffer`: one that a driver would write, or one with any type, command
/// and options, or any bytes.
fn descriptor(input: &mut Input, kind: Descriptor, buffer: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&buffer.to_le_bytes());
    match (input.u8(), kind) {
        (0..0x60, Descriptor::Receive) => {}
        (length @ 0..0x60, Descriptor::Transmit) => {
            // A legacy descriptor with EOP, IFCS and RS [8254x 3.3.3].
            bytes[8..12].copy_from_slice(&[length.max(14), length >> 5, 0, 0x0b]);
        }
        (0x60..0xa0, _) => {
            // An extended data descriptor with DEXT set [8254x 3.3.7].
            bytes[8..10].copy_from_slice(&(input.u16() & 0x1fff).to_le_bytes());
            bytes[10..12].copy_from_slice(&[0x10, input.u8() | 0x20]);
            bytes[12..].copy_from_slice(&input.u32().to_le_bytes());
        }
        (0xa0..0xd0, _) => {
            // A context descriptor, with small offsets, header length and MSS [8254x 3.3.6].
            bytes[..8].copy_from_slice(&(input.u64() & 0x00ff_3f3f_00ff_3f3f).to_le_bytes());
            bytes[8..12].copy_from_slice(&[input.u8(), input.u8(), 0, input.u8() | 0x20]);
            bytes[12..].copy_from_slice(&[0, input.u8() & 0x7f, input.u8(), input.u8() & 7]);
        }
        (0xd0.., _) => {
            bytes[..8].copy_from_slice(&(input.u64() & 0xffff).to_le_bytes());
            bytes[8..].copy_from_slice(&input.u64().to_le_bytes());
        }
    }
    bytes
}

/// A tail: the end of the ring, or anywhere in it, or now and then beyond it.
fn tail(input: &mut Input) -> u32 {
    match input.u8() {
        0..0x40 => DESCRIPTORS - 1,
        value @ 0x40..0xf8 => u32::from(value) % DESCRIPTORS,
        _ => input.u32(),
    }
}

/// Fetches until the vNIC has no more to send. Frames arrive when there is no room for more.
fn drain(vnic: &mut Vnic, memory: &FakeMemory, destination: &mut Destination, now: Instant) {
    for _ in 0..MAX_POLLS {
        let mut effects = destination.fetch(vnic, memory, 64, now);
        let waits = destination.is_full();
        if waits || !effects.contains(Effects::TX_KICK) {
            effects = destination.settle(vnic, memory, 0, now);
        }
        if !waits && !effects.contains(Effects::TX_KICK) {
            return;
        }
    }
    panic!("still something to send after {MAX_POLLS} polls");
}
