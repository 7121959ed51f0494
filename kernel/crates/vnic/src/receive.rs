//! The receive side: from a frame on the wire to descriptors written back [8254x 3.2].

use crate::arrival::{Arrival, WriteBack};
use crate::card::Card;
use crate::crc::FrameCheck;
use crate::fault::{GuestFault, RingKind};
use crate::fifo::Fifo;
use crate::filter::{self, Match};
use crate::inspect::{self, word};
use crate::ring::{Ring, Window};
use base::{GuestMemory, GuestPhysical, Instant, MacAddress};
use intel_regs::desc::{self, RxDescriptor, RxStatus};
use intel_regs::{Ctrl, Interrupt, Rctl, Rxcsum, receive, reg, stats};

/// Bytes of the frame check sequence.
pub(crate) const FCS: usize = 4;
/// Bytes of destination and source address.
const ADDRESSES: usize = 12;
/// Bytes of an Ethernet header.
pub(crate) const HEADER: usize = 14;
/// Bytes of an 802.1Q tag.
pub(crate) const TAG: usize = 4;
/// Shortest frame on the wire, without frame check sequence.
pub(crate) const MIN_LENGTH: usize = receive::MIN_FRAME - FCS;
/// EtherType of MAC control frames [IEEE 802.3-2018 31.4.1.3].
const MAC_CONTROL: u16 = 0x8808;
/// Opcode of PAUSE [IEEE 802.3-2018 31B.1].
const PAUSE: u16 = 1;

/// Where a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From outside.
    Wire,
    /// From the card's own transmitter.
    Loopback,
}

/// Why an arriving frame goes no further.
enum Refusal {
    Disabled,
    LinkDown,
    InLoopback,
    Stopped,
    Runt,
    Filtered,
    FlowControl,
    Oversized,
}

/// Longest frame, without frame check sequence, that the guest's settings allow [8254x 13.4.22].
pub(crate) fn longest(control: Rctl) -> usize {
    let with_fcs = if control.contains(Rctl::LPE) { receive::MAX_LONG_FRAME } else { receive::MAX_FRAME };
    with_fcs - FCS
}

/// Offers one frame. Returns false when there is no room for it, and then nothing has changed.
pub(crate) fn offer<M: GuestMemory>(
    card: &mut Card,
    fifo: &mut Fifo,
    memory: &M,
    window: &mut Window,
    frame: &[u8],
    origin: Origin,
    now: Instant,
) -> bool {
    let matched = match admit(card, frame, origin) {
        Ok(matched) => matched,
        Err(refusal) => {
            refuse(card, frame, refusal);
            return true;
        }
    };
    if !fifo.is_empty() && !fifo.fits(frame.len().max(MIN_LENGTH) + FCS) {
        return false;
    }
    let mut trailer = [0; MIN_LENGTH + FCS];
    let arrival = prepare(card, frame, matched, &mut trailer);
    card.registers.count_received(frame, frame.len().max(MIN_LENGTH) + FCS);
    card.counters.received += 1;
    card.counters.received_bytes += frame.len() as u64;
    if card.ring(RingKind::Receive).available() == 0 {
        card.registers.count(stats::RNBC, 1);
    }
    let delivered = if fifo.is_empty() { deliver(card, memory, window, &arrival, 0, now) } else { 0 };
    if card.receive_stopped {
        card.counters.receive_ring_stopped += 1;
    } else if delivered < arrival.length() {
        let first = fifo.is_empty();
        fifo.push(&arrival);
        if first {
            fifo.set_delivered(delivered);
        }
    }
    true
}

/// Moves frames from the FIFO into descriptors that have become free.
pub(crate) fn drain<M: GuestMemory>(
    card: &mut Card,
    fifo: &mut Fifo,
    memory: &M,
    window: &mut Window,
    now: Instant,
) {
    while card.enabled(RingKind::Receive) && !card.receive_stopped {
        let Some((arrival, before)) = fifo.front() else { return };
        let delivered = deliver(card, memory, window, &arrival, before, now);
        let whole = delivered >= arrival.length();
        fifo.set_delivered(delivered);
        if !whole {
            break;
        }
    }
    if card.receive_stopped {
        card.counters.receive_ring_stopped += fifo.frames() as u64;
        fifo.clear();
    }
}

/// Decides whether the card takes a frame at all.
fn admit(card: &Card, frame: &[u8], origin: Origin) -> Result<Match, Refusal> {
    let control = card.receive_control();
    if origin == Origin::Wire && card.loopback() {
        return Err(Refusal::InLoopback);
    }
    if !control.contains(Rctl::EN) {
        return Err(Refusal::Disabled);
    }
    if origin == Origin::Wire && !card.link_up() {
        return Err(Refusal::LinkDown);
    }
    if card.receive_stopped {
        return Err(Refusal::Stopped);
    }
    let (Some(destination), Some(source), Some(ethertype)) =
        (MacAddress::destination_of(frame), MacAddress::source_of(frame), word(frame, ADDRESSES))
    else {
        return Err(Refusal::Runt);
    };
    let matched = filter::address(&card.registers, control, destination, source);
    if matched == Match::None {
        return Err(Refusal::Filtered);
    }
    if tag_of(card, frame).is_some_and(|tag| !filter::vlan(&card.registers, control, tag)) {
        return Err(Refusal::Filtered);
    }
    if ethertype == MAC_CONTROL {
        let pause = word(frame, HEADER) == Some(PAUSE);
        if pause && control.contains(Rctl::DPF) || !pause && !control.contains(Rctl::PMCF) {
            return Err(Refusal::FlowControl);
        }
    }
    if frame.len() > longest(control) {
        return Err(Refusal::Oversized);
    }
    Ok(matched)
}

fn refuse(card: &mut Card, frame: &[u8], refusal: Refusal) {
    let counters = &mut card.counters;
    match refusal {
        Refusal::Disabled => counters.receive_disabled += 1,
        Refusal::LinkDown => counters.receive_link_down += 1,
        Refusal::InLoopback => counters.receive_in_loopback += 1,
        Refusal::Stopped => counters.receive_ring_stopped += 1,
        Refusal::Filtered => counters.receive_filtered += 1,
        Refusal::Runt => {
            counters.receive_runt += 1;
            card.registers.count(stats::RUC, 1);
        }
        Refusal::FlowControl => {
            counters.receive_flow_control += 1;
            card.registers.count(stats::FCRUC, 1);
        }
        Refusal::Oversized => {
            counters.receive_oversized += 1;
            card.registers.count_oversized(frame.len() + FCS);
        }
    }
}

/// Strips the tag, pads, adds the frame check sequence and checks checksums, as the guest asked.
///
/// A frame shorter than the minimum is padded like a bridge would before it sent it on: on a virtual wire
/// nobody else does.
fn prepare<'a>(
    card: &Card,
    frame: &'a [u8],
    matched: Match,
    trailer: &'a mut [u8; MIN_LENGTH + FCS],
) -> Arrival<'a> {
    let tag = tag_of(card, frame);
    let stripped = tag.filter(|_| card.control().contains(Ctrl::VME));
    let padding = MIN_LENGTH.saturating_sub(frame.len());
    let mut length = padding;
    if !card.receive_control().contains(Rctl::SECRC) {
        if card.compute_fcs {
            let mut check = FrameCheck::new();
            check.update(frame);
            check.update(&trailer[..padding]);
            trailer[padding..padding + FCS].copy_from_slice(&check.finish());
        }
        length += FCS;
    }
    let (head, rest) = match stripped {
        Some(_) => (&frame[..ADDRESSES], &frame[ADDRESSES + TAG..]),
        None => (frame, &[][..]),
    };
    let mut arrival = Arrival::new([head, rest, &trailer[..length]]);

    let control = card.registers.get(reg::RXCSUM);
    let type_offset = if tag.is_some() { ADDRESSES + TAG } else { ADDRESSES };
    let (status, errors) = inspect::checksums(frame, type_offset, Rxcsum::from_bits_retain(control));
    let checksum = arrival.packet_checksum((control & Rxcsum::PCSS_MASK) as usize);
    let write_back = &mut arrival.write_back;
    *write_back = WriteBack { checksum, status, errors, special: stripped.unwrap_or(0), ..*write_back };
    write_back.status.set(RxStatus::VP, stripped.is_some());
    write_back.status.set(RxStatus::PIF, matched == Match::Inexact);
    arrival
}

/// The tag control information of a frame whose type is `VET`.
fn tag_of(card: &Card, frame: &[u8]) -> Option<u16> {
    let tagged = word(frame, ADDRESSES).map(u32::from) == Some(card.registers.get(reg::VET));
    // A tag without a type behind it is no tag.
    if tagged && frame.len() >= HEADER + TAG { word(frame, HEADER) } else { None }
}

/// Writes a frame from byte `offset` on into as many descriptors as are free, and returns how many of its
/// bytes have now been delivered. Payload goes first, then the write-back, then the head moves.
fn deliver<M: GuestMemory>(
    card: &mut Card,
    memory: &M,
    window: &mut Window,
    arrival: &Arrival,
    mut offset: usize,
    now: Instant,
) -> usize {
    // The reserved buffer size is taken for the default.
    let buffer = card.receive_control().buffer_size().unwrap_or(2048) as usize;
    let mut ring = card.ring(RingKind::Receive);
    for _ in 0..ring.available() {
        let Some(bytes) = window.descriptor(memory, &ring, 0) else {
            stop_at_descriptor(card, &ring);
            return offset;
        };
        let address = RxDescriptor::from_bytes(bytes).address.get();
        let length = buffer.min(arrival.length() - offset);
        let result = if address == 0 {
            skip_null(memory, &ring, bytes)
        } else {
            fill(memory, &ring, address, arrival, offset, length)
        };
        if let Err(fault) = result {
            card.stop(RingKind::Receive, fault);
            return offset;
        }
        note_threshold(card, &ring);
        ring.advance(1, &mut card.registers);
        if address != 0 {
            offset += length;
        }
        if offset == arrival.length() {
            note_received(card, arrival, now);
            break;
        }
    }
    offset
}

fn stop_at_descriptor(card: &mut Card, ring: &Ring) {
    let fault = GuestFault::DescriptorOutsideMemory {
        ring: RingKind::Receive,
        index: ring.head,
        at: ring.address(ring.head),
    };
    card.stop(RingKind::Receive, fault);
}

/// A descriptor with address 0 takes no data: it is only marked done [8254x 3.2.5].
fn skip_null<M: GuestMemory>(memory: &M, ring: &Ring, bytes: [u8; desc::SIZE]) -> Result<(), GuestFault> {
    let status = bytes[desc::RX_STATUS_OFFSET as usize] | RxStatus::DD.bits();
    write_back(memory, ring, desc::RX_STATUS_OFFSET, &[status])
}

fn fill<M: GuestMemory>(
    memory: &M,
    ring: &Ring,
    address: u64,
    arrival: &Arrival,
    offset: usize,
    length: usize,
) -> Result<(), GuestFault> {
    let copied = arrival.range(offset, length, |place, piece| {
        let at = GuestPhysical(address).checked_add(place as u64);
        at.is_some_and(|at| memory.write(at, piece).is_ok())
    });
    if !copied {
        let at = GuestPhysical(address);
        return Err(GuestFault::BufferOutsideMemory { ring: RingKind::Receive, at, length: length as u32 });
    }
    let last = offset + length == arrival.length();
    let mut done = if last { arrival.write_back } else { WriteBack::default() };
    done.length = length as u16;
    done.status |= RxStatus::DD;
    done.status.set(RxStatus::EOP, last);
    write_back(memory, ring, desc::RX_WRITE_BACK_OFFSET, &done.to_bytes())
}

fn write_back<M: GuestMemory>(memory: &M, ring: &Ring, offset: u64, bytes: &[u8]) -> Result<(), GuestFault> {
    let at = ring.address(ring.head);
    at.checked_add(offset)
        .and_then(|at| memory.write(at, bytes).ok())
        .ok_or(GuestFault::DescriptorOutsideMemory { ring: RingKind::Receive, index: ring.head, at })
}

/// `RXDMT0`: the descriptor at the head is about to go, and with it the free ones reach the threshold that
/// `RCTL.RDMTS` sets [8254x 13.4.22].
fn note_threshold(card: &mut Card, ring: &Ring) {
    let divisor = card.receive_control().minimum_threshold_divisor().unwrap_or(2);
    if ring.available() - 1 == ring.length / divisor {
        card.interrupts.raise(Interrupt::RXDMT0);
    }
}

/// A whole frame is in the guest's memory: raises `RXT0` now or after the delay the guest set, and `SRPD`
/// for small frames [8254x 3.2.7].
fn note_received(card: &mut Card, arrival: &Arrival, now: Instant) {
    let delay = card.registers.get(reg::RDTR);
    let small = card.registers.get(reg::RSRPD) as usize;
    if small != 0 && arrival.length() <= small {
        card.interrupts.receive.stop();
        card.interrupts.raise(Interrupt::SRPD | Interrupt::RXT0);
    } else if delay == 0 {
        card.interrupts.raise(Interrupt::RXT0);
    } else {
        card.interrupts.receive.start(now, delay, card.registers.get(reg::RADV));
    }
}
