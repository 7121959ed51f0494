//! The receive side: from a frame on the wire to its descriptors written back [8254x 3.2].

use crate::arrival::{Arrival, WriteBack};
use crate::controller::Controller;
use crate::ethernet::{ADDRESSES, FCS, HEADER, MAC_CONTROL, MIN_LENGTH, PAUSE, TAG, frame_check, word};
use crate::fault::{GuestFault, RingKind};
use crate::fifo::ReceiveFifo;
use crate::filter::{self, AddressMatch};
use crate::receive_checksum;
use crate::ring::{DescriptorRing, RingWindow};
use crate::saturating::saturating_u32;
use base::bits::low_u16;
use base::{GuestMemory, GuestPhysical, Instant, MacAddress};
use intel_regs::desc::{self, RxDescriptor, RxStatus};
use intel_regs::{Ctrl, Interrupt, Rctl, Rxcsum, receive, reg, stats};

/// The origin of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameOrigin {
    /// The wire.
    Wire,
    /// The NIC's own transmitter.
    Loopback,
}

/// Maximum number of descriptors without a buffer that one frame passes, and that all frames of one call pass
/// together. A guest may fill its ring with them; walking over them is work that it must do in its own time.
const NULLS_PER_FRAME: u32 = 16;
const NULLS_PER_CALL: u32 = 64;

/// One call's walk along the receive ring.
pub(crate) struct ReceiveWalk {
    window: RingWindow,
    /// Descriptors without a buffer that it may still pass.
    nulls: u32,
}

impl ReceiveWalk {
    /// A walk that begins.
    pub(crate) fn new() -> Self {
        Self { window: RingWindow::new(), nulls: NULLS_PER_CALL }
    }
}

/// Why an arriving frame is dropped.
enum ReceiveDrop {
    Disabled,
    LinkDown,
    InLoopback,
    Stopped,
    Runt,
    Filtered,
    FlowControl,
    Oversized,
}

/// The longest frame, without frame check sequence, that the guest's settings allow [8254x 13.4.22].
pub(crate) fn longest(control: Rctl) -> usize {
    let with_fcs = if control.contains(Rctl::LPE) { receive::MAX_LONG_FRAME } else { receive::MAX_FRAME };
    with_fcs - FCS
}

/// Delivers, queues or drops one frame. Returns false, without any change, when there is no room for it.
pub(crate) fn offer<M: GuestMemory>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    walk: &mut ReceiveWalk,
    frame: &[u8],
    origin: FrameOrigin,
    now: Instant,
) -> bool {
    let matched = match admit(controller, frame, origin) {
        Ok(matched) => matched,
        Err(reason) => {
            count_drop(controller, frame, reason);
            return true;
        }
    };
    if !fifo.is_empty() && !fifo.fits(frame.len().max(MIN_LENGTH) + FCS) {
        return false;
    }
    let mut trailer = [0; MIN_LENGTH + FCS];
    let arrival = prepare(controller, frame, matched, &mut trailer);
    controller.registers.count_received(frame, frame.len().max(MIN_LENGTH) + FCS);
    controller.counters.received += 1;
    controller.counters.received_bytes += frame.len() as u64;
    if controller.ring(RingKind::Receive).available() == 0 {
        controller.registers.count(stats::RNBC, 1);
    }
    let delivered = if fifo.is_empty() { deliver(controller, memory, walk, &arrival, 0, now) } else { 0 };
    if controller.receive_stopped {
        controller.counters.receive_ring_stopped += 1;
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
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    walk: &mut ReceiveWalk,
    now: Instant,
) {
    while controller.enabled(RingKind::Receive) && !controller.receive_stopped {
        let Some((arrival, before)) = fifo.front() else { return };
        let delivered = deliver(controller, memory, walk, &arrival, before, now);
        let whole = delivered >= arrival.length();
        fifo.set_delivered(delivered);
        if !whole {
            break;
        }
    }
    if controller.receive_stopped {
        controller.counters.receive_ring_stopped += fifo.frames() as u64;
        fifo.clear();
    }
}

/// True when frames in the FIFO could be delivered, but the call may not pass more descriptors without a buffer.
pub(crate) fn is_unfinished(controller: &Controller, fifo: &ReceiveFifo) -> bool {
    !fifo.is_empty()
        && !controller.receive_stopped
        && controller.enabled(RingKind::Receive)
        && controller.ring(RingKind::Receive).available() != 0
}

/// Decides whether the NIC accepts a frame.
fn admit(controller: &Controller, frame: &[u8], origin: FrameOrigin) -> Result<AddressMatch, ReceiveDrop> {
    let control = controller.receive_control();
    if origin == FrameOrigin::Wire && controller.loopback() {
        return Err(ReceiveDrop::InLoopback);
    }
    if !control.contains(Rctl::EN) {
        return Err(ReceiveDrop::Disabled);
    }
    if origin == FrameOrigin::Wire && !controller.link_up() {
        return Err(ReceiveDrop::LinkDown);
    }
    if controller.receive_stopped {
        return Err(ReceiveDrop::Stopped);
    }
    let (Some(destination), Some(source), Some(ethertype)) =
        (MacAddress::destination_of(frame), MacAddress::source_of(frame), word(frame, ADDRESSES))
    else {
        return Err(ReceiveDrop::Runt);
    };
    let matched = filter::address(&controller.registers, control, destination, source);
    if matched == AddressMatch::None {
        return Err(ReceiveDrop::Filtered);
    }
    if tag_of(controller, frame).is_some_and(|tag| !filter::vlan(&controller.registers, control, tag)) {
        return Err(ReceiveDrop::Filtered);
    }
    if ethertype == MAC_CONTROL {
        let pause = word(frame, HEADER) == Some(PAUSE);
        if pause && control.contains(Rctl::DPF) || !pause && !control.contains(Rctl::PMCF) {
            return Err(ReceiveDrop::FlowControl);
        }
    }
    if frame.len() > longest(control) {
        return Err(ReceiveDrop::Oversized);
    }
    Ok(matched)
}

fn count_drop(controller: &mut Controller, frame: &[u8], reason: ReceiveDrop) {
    let counters = &mut controller.counters;
    match reason {
        ReceiveDrop::Disabled => counters.receive_disabled += 1,
        ReceiveDrop::LinkDown => counters.receive_link_down += 1,
        ReceiveDrop::InLoopback => counters.receive_in_loopback += 1,
        ReceiveDrop::Stopped => counters.receive_ring_stopped += 1,
        ReceiveDrop::Filtered => counters.receive_filtered += 1,
        ReceiveDrop::Runt => {
            counters.receive_runt += 1;
            controller.registers.count(stats::RUC, 1);
        }
        ReceiveDrop::FlowControl => {
            counters.receive_flow_control += 1;
            controller.registers.count(stats::FCRUC, 1);
        }
        ReceiveDrop::Oversized => {
            counters.receive_oversized += 1;
            controller.registers.count_oversized(frame.len() + FCS);
        }
    }
}

/// Strips the tag, pads, appends the frame check sequence and verifies checksums, as the guest requested.
///
/// A frame shorter than the minimum is padded, as a bridge does before forwarding: no other device does so on a
/// virtual wire.
fn prepare<'a>(
    controller: &Controller,
    frame: &'a [u8],
    matched: AddressMatch,
    trailer: &'a mut [u8; MIN_LENGTH + FCS],
) -> Arrival<'a> {
    let tag = tag_of(controller, frame);
    let stripped = tag.filter(|_| controller.control().contains(Ctrl::VME));
    let padding = MIN_LENGTH.saturating_sub(frame.len());
    let mut length = padding;
    if !controller.receive_control().contains(Rctl::SECRC) {
        if controller.compute_fcs {
            let check = frame_check([frame, &trailer[..padding]]);
            trailer[padding..padding + FCS].copy_from_slice(&check);
        }
        length += FCS;
    }
    let (head, rest) = match stripped {
        Some(_) => (&frame[..ADDRESSES], &frame[ADDRESSES + TAG..]),
        None => (frame, &[][..]),
    };
    let mut arrival = Arrival::new([head, rest, &trailer[..length]]);

    let control = controller.registers.get(reg::RXCSUM);
    let type_offset = if tag.is_some() { ADDRESSES + TAG } else { ADDRESSES };
    let (status, errors) = receive_checksum::check(frame, type_offset, Rxcsum::from_bits_retain(control));
    let start = (control & Rxcsum::PCSS_MASK) as usize;
    // No stock driver asks for the sum from the frame's first byte, which the reset value means.
    let checksum = if start != 0 || controller.compute_fcs { arrival.packet_checksum(start) } else { 0 };
    let write_back = &mut arrival.write_back;
    *write_back = WriteBack { checksum, status, errors, special: stripped.unwrap_or(0), ..*write_back };
    write_back.status.set(RxStatus::VP, stripped.is_some());
    write_back.status.set(RxStatus::PIF, matched == AddressMatch::Inexact);
    arrival
}

/// The tag control information of a frame whose EtherType is `VET`.
fn tag_of(controller: &Controller, frame: &[u8]) -> Option<u16> {
    let tagged = word(frame, ADDRESSES).map(u32::from) == Some(controller.registers.get(reg::VET));
    // A tag must be followed by an EtherType.
    if tagged && frame.len() >= HEADER + TAG { word(frame, HEADER) } else { None }
}

/// Writes a frame, starting at byte `offset`, into the free descriptors, and returns how many of its bytes are now
/// delivered. The payload is written first, then the write-back; then the head moves. Stops early where the walk may
/// not pass more descriptors without a buffer.
fn deliver<M: GuestMemory>(
    controller: &mut Controller,
    memory: &M,
    walk: &mut ReceiveWalk,
    arrival: &Arrival,
    mut offset: usize,
    now: Instant,
) -> usize {
    // The reserved buffer size counts as the default.
    let buffer = controller.receive_control().buffer_size().unwrap_or(2048) as usize;
    let mut ring = controller.ring(RingKind::Receive);
    let mut nulls = NULLS_PER_FRAME;
    for _ in 0..ring.available() {
        let Some(bytes) = walk.window.descriptor(memory, &ring, 0) else {
            stop_at_descriptor(controller, &ring);
            return offset;
        };
        let descriptor = RxDescriptor::from_bytes(bytes);
        let address = descriptor.address.get();
        let length = buffer.min(arrival.length() - offset);
        let result = if address == 0 {
            if nulls == 0 || walk.nulls == 0 {
                break;
            }
            nulls -= 1;
            walk.nulls -= 1;
            skip_null(memory, &ring, descriptor)
        } else {
            fill(memory, &ring, address, arrival, offset, length)
        };
        if let Err(fault) = result {
            controller.stop(RingKind::Receive, fault);
            return offset;
        }
        note_threshold(controller, &ring);
        ring.advance(1, &mut controller.registers);
        if address != 0 {
            offset += length;
        }
        if offset == arrival.length() {
            note_received(controller, arrival, now);
            break;
        }
    }
    offset
}

fn stop_at_descriptor(controller: &mut Controller, ring: &DescriptorRing) {
    let fault = GuestFault::DescriptorOutsideMemory {
        ring: RingKind::Receive,
        index: ring.head,
        at: ring.address(ring.head),
    };
    controller.stop(RingKind::Receive, fault);
}

/// Marks a descriptor with address 0 done; it receives no data [8254x 3.2.5].
fn skip_null<M: GuestMemory>(
    memory: &M,
    ring: &DescriptorRing,
    descriptor: RxDescriptor,
) -> Result<(), GuestFault> {
    let status = descriptor.status | RxStatus::DD.bits();
    write_back(memory, ring, desc::RX_STATUS_OFFSET, &[status])
}

/// Writes `length` bytes of a frame, starting at `offset`, into a descriptor's buffer, and then the write-back.
fn fill<M: GuestMemory>(
    memory: &M,
    ring: &DescriptorRing,
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
        return Err(GuestFault::BufferOutsideMemory {
            ring: RingKind::Receive,
            at,
            length: saturating_u32(length),
        });
    }
    let last = offset + length == arrival.length();
    let mut done = if last { arrival.write_back } else { WriteBack::default() };
    done.length = low_u16(length as u64);
    done.status |= RxStatus::DD;
    done.status.set(RxStatus::EOP, last);
    write_back(memory, ring, desc::RX_WRITE_BACK_OFFSET, &done.to_bytes())
}

fn write_back<M: GuestMemory>(
    memory: &M,
    ring: &DescriptorRing,
    offset: u64,
    bytes: &[u8],
) -> Result<(), GuestFault> {
    let at = ring.address(ring.head);
    at.checked_add(offset)
        .and_then(|at| memory.write(at, bytes).ok())
        .ok_or(GuestFault::DescriptorOutsideMemory { ring: RingKind::Receive, index: ring.head, at })
}

/// Raises `RXDMT0` when using the descriptor at the head leaves as many free descriptors as the threshold in
/// `RCTL.RDMTS` [8254x 13.4.22].
fn note_threshold(controller: &mut Controller, ring: &DescriptorRing) {
    let divisor = controller.receive_control().minimum_threshold_divisor().unwrap_or(2);
    if ring.available() - 1 == ring.length / divisor {
        controller.interrupts.raise(Interrupt::RXDMT0);
    }
}

/// Records a whole frame in the guest's memory: raises `RXT0`, now or after the delay that the guest set, and
/// `SRPD` for small frames [8254x 3.2.7].
fn note_received(controller: &mut Controller, arrival: &Arrival, now: Instant) {
    let delay = controller.registers.get(reg::RDTR);
    let small = controller.registers.get(reg::RSRPD) as usize;
    if small != 0 && arrival.length() <= small {
        controller.interrupts.receive.stop();
        controller.interrupts.raise(Interrupt::SRPD | Interrupt::RXT0);
    } else if delay == 0 {
        controller.interrupts.raise(Interrupt::RXT0);
    } else {
        controller.interrupts.receive.start(now, delay, controller.registers.get(reg::RADV));
    }
}
