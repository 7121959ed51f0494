//! The receive side: from a frame on the wire to its descriptors written back [8254x 3.2].

use crate::admission::{FrameOrigin, admit, count_drop, tag_of};
use crate::arrival::{Arrival, Part, WriteBack};
use crate::controller::Controller;
use crate::ethernet::{ADDRESSES, FCS, MIN_LENGTH, TAG, frame_check_of};
use crate::fault::{GuestFault, RingKind};
use crate::fifo::ReceiveFifo;
use crate::filter::AddressMatch;
use crate::receive_checksum;
use crate::ring::{DescriptorRing, RingWindow};
use crate::saturating::saturating_u32;
use base::bits::low_u16;
use base::frame::HEAD;
use base::{Checksums, GuestPhysical, GuestSpans, Instant, LentFrame, Memory, Span};
use intel_regs::desc::{self, RxDescriptor, RxStatus};
use intel_regs::{Ctrl, Interrupt, Rctl, Rxcsum, reg, stats};

/// Where hardware writes in a receive descriptor.
const RX_WRITE_BACK: usize = desc::RX_WRITE_BACK_OFFSET as usize;
const RX_STATUS: usize = desc::RX_STATUS_OFFSET as usize;

/// Maximum number of descriptors without a buffer that one frame passes, and that all frames of one call pass
/// together. A guest may fill its ring with them; walking over them is work that it must do in its own time.
const NULLS_PER_FRAME: u32 = 16;
const NULLS_PER_CALL: u32 = 64;

/// One call's walk along the receive ring. Meanwhile neither the ring nor how it is used changes but by the walk.
pub(crate) struct ReceiveWalk {
    window: RingWindow,
    ring: DescriptorRing,
    /// Descriptors that are left to the hardware, and with how many of them the guest wants to know.
    available: u32,
    threshold: u32,
    /// Bytes in a buffer.
    buffer: usize,
    /// Descriptors without a buffer that it may still pass.
    nulls: u32,
}

impl ReceiveWalk {
    /// A walk that begins.
    pub(crate) fn new(controller: &Controller) -> Self {
        let (ring, control) = (controller.ring(RingKind::Receive), controller.receive_control());
        Self {
            window: RingWindow::new(),
            available: ring.available(),
            threshold: ring.length / control.minimum_threshold_divisor().unwrap_or(2),
            // The reserved buffer size counts as the default.
            buffer: control.buffer_size().unwrap_or(2048) as usize,
            ring,
            nulls: NULLS_PER_CALL,
        }
    }

    /// Writes these bytes into the descriptor at the head, from this offset on.
    fn write_back<M: GuestSpans>(&self, offset: usize, bytes: &[u8]) {
        self.window.store::<M::Memory>(self.ring.head, offset, bytes);
    }

    /// The descriptor at the head is done. Raises `RXDMT0` when it leaves as many as the threshold in `RCTL.RDMTS`
    /// [8254x 13.4.22].
    fn advance(&mut self, controller: &mut Controller) {
        self.ring.advance(1, &mut controller.registers);
        self.available -= 1;
        if self.available == self.threshold {
            controller.interrupts.raise(Interrupt::RXDMT0);
        }
    }
}

/// Delivers, queues or drops one frame. Returns false, without any change, when there is no room for it.
pub(crate) fn offer<M: GuestSpans>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    walk: &mut ReceiveWalk,
    frame: LentFrame<'_>,
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
    if !fifo.is_empty() && !fifo.fits(frame.length.max(MIN_LENGTH) + FCS) {
        return false;
    }
    if let Checksums::Unfinished(_) = frame.checksums {
        // The guest cannot be told that a checksum is not there yet, and may pass the frame on.
        let mut head = [0; HEAD];
        let finished = frame.finished::<M::Memory>(&mut head);
        accept(controller, fifo, memory, walk, finished, matched, now);
    } else {
        accept(controller, fifo, memory, walk, frame, matched, now);
    }
    true
}

/// Delivers or queues a frame, for which there is room.
fn accept<M: GuestSpans>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    walk: &mut ReceiveWalk,
    frame: LentFrame<'_>,
    matched: AddressMatch,
    now: Instant,
) {
    let mut trailer = [0; MIN_LENGTH + FCS];
    let arrival = prepare::<M::Memory>(controller, frame, matched, &mut trailer);
    controller.registers.count_received(frame, frame.length.max(MIN_LENGTH) + FCS);
    controller.counters.received += 1;
    controller.counters.received_bytes += frame.length as u64;
    if walk.available == 0 {
        controller.registers.count(stats::RNBC, 1);
    }
    let delivered = if fifo.is_empty() { deliver(controller, memory, walk, &arrival, 0, now) } else { 0 };
    if controller.receive_stopped {
        controller.counters.receive_ring_stopped += 1;
    } else if delivered < arrival.length() {
        let first = fifo.is_empty();
        fifo.push::<M::Memory>(&arrival);
        if first {
            fifo.set_delivered(delivered);
        }
    }
}

/// Moves frames from the FIFO into descriptors that have become free.
pub(crate) fn drain<M: GuestSpans>(
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

/// Where the packet checksum begins that the guest gets to see, if it does.
fn sums_from(controller: &Controller) -> Option<usize> {
    // No stock driver asks for the sum from the frame's first byte, which the reset value means.
    let start = (controller.registers.get(reg::RXCSUM) & Rxcsum::PCSS_MASK) as usize;
    (start != 0 || controller.compute_fcs).then_some(start)
}

/// Strips the tag, pads, appends the frame check sequence and tells what is known of checksums, as the guest requested.
///
/// A frame shorter than the minimum is padded, as a bridge does before forwarding: no other device does so on a
/// virtual wire.
fn prepare<'a, M: Memory>(
    controller: &Controller,
    frame: LentFrame<'a>,
    matched: AddressMatch,
    trailer: &'a mut [u8; MIN_LENGTH + FCS],
) -> Arrival<'a> {
    let head = frame.head;
    let tag = tag_of(controller, head);
    let stripped = tag.filter(|_| controller.control().contains(Ctrl::VME));
    let padding = MIN_LENGTH.saturating_sub(frame.length);
    let mut length = padding;
    if !controller.receive_control().contains(Rctl::SECRC) {
        if controller.compute_fcs {
            let check = frame_check_of::<M>(&frame, &trailer[..padding]);
            trailer[padding..padding + FCS].copy_from_slice(&check);
        }
        length += FCS;
    }
    let parts = match stripped {
        Some(_) => [&head[..ADDRESSES], &head[ADDRESSES + TAG..]],
        None => [head, &[]],
    };
    let mut arrival = Arrival::new(parts, frame.pieces, &trailer[..length]);

    let control = Rxcsum::from_bits_retain(controller.registers.get(reg::RXCSUM));
    let type_offset = if tag.is_some() { ADDRESSES + TAG } else { ADDRESSES };
    let (status, errors) = receive_checksum::indication(frame.checksums, head, type_offset, control);
    let checksum = sums_from(controller).map_or(0, |start| arrival.packet_checksum::<M>(start));
    let write_back = &mut arrival.write_back;
    *write_back = WriteBack { checksum, status, errors, special: stripped.unwrap_or(0), ..*write_back };
    write_back.status.set(RxStatus::VP, stripped.is_some());
    write_back.status.set(RxStatus::PIF, matched == AddressMatch::Inexact);
    arrival
}

/// Writes a frame, starting at byte `offset`, into the free descriptors, and returns how many of its bytes are now
/// delivered. The payload is written first, then the write-back; then the head moves. Stops early where the walk may
/// not pass more descriptors without a buffer.
fn deliver<M: GuestSpans>(
    controller: &mut Controller,
    memory: &M,
    walk: &mut ReceiveWalk,
    arrival: &Arrival,
    mut offset: usize,
    now: Instant,
) -> usize {
    let mut nulls = NULLS_PER_FRAME;
    while walk.available > 0 {
        let Some(bytes) = walk.window.descriptor(memory, &walk.ring, 0) else {
            stop_at_descriptor(controller, &walk.ring);
            return offset;
        };
        let descriptor = RxDescriptor::from_bytes(bytes);
        let address = descriptor.address.get();
        let length = walk.buffer.min(arrival.length() - offset);
        if address == 0 {
            if nulls == 0 || walk.nulls == 0 {
                break;
            }
            nulls -= 1;
            walk.nulls -= 1;
            // It receives no data [8254x 3.2.5].
            walk.write_back::<M>(RX_STATUS, &[descriptor.status | RxStatus::DD.bits()]);
        } else if fill(memory, address, arrival, offset, length) {
            let last = offset + length == arrival.length();
            let mut done = if last { arrival.write_back } else { WriteBack::default() };
            done.length = low_u16(length as u64);
            done.status |= RxStatus::DD;
            done.status.set(RxStatus::EOP, last);
            walk.write_back::<M>(RX_WRITE_BACK, &done.to_bytes());
        } else {
            let (at, length) = (GuestPhysical(address), saturating_u32(length));
            let fault = GuestFault::BufferOutsideMemory { ring: RingKind::Receive, at, length };
            controller.stop(RingKind::Receive, fault);
            return offset;
        }
        walk.advance(controller);
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

/// Copies `length` bytes of a frame, starting at `offset`, into a descriptor's buffer; false if not all of it is the guest's
/// memory.
fn fill<M: GuestSpans>(memory: &M, address: u64, arrival: &Arrival, offset: usize, length: usize) -> bool {
    let whole = length == arrival.length();
    match memory.span(GuestPhysical(address), length).filter(|buffer| whole && buffer.len() == length) {
        Some(buffer) => {
            arrival.copy_whole::<M::Memory>(buffer);
            true
        }
        None => fill_in_parts(memory, address, arrival, offset, length),
    }
}

/// The same where the frame is in several buffers, or the buffer in several pieces of memory.
fn fill_in_parts<M: GuestSpans>(
    memory: &M,
    address: u64,
    arrival: &Arrival,
    offset: usize,
    length: usize,
) -> bool {
    arrival.range(offset, length, |place, part| {
        let Some(at) = GuestPhysical(address).checked_add(place as u64) else { return false };
        match part {
            Part::Own(bytes) => memory.write(at, bytes).is_ok(),
            Part::Lent(mut rest) => {
                let length = rest.len();
                let copy = |into: Span| {
                    let (from, after) = rest.split(into.len());
                    M::Memory::copy(from, into);
                    rest = after;
                    true
                };
                memory.spans(at, length, copy).is_ok()
            }
        }
    })
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
