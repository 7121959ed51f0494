//! The receive side: from a frame on the wire to its descriptors written back [8254x 3.2].

use crate::admission::{FrameOrigin, ReceiveDrop, admit, count_drop, header_decides, longest, tag_of};
use crate::arrival::{Arrival, Part, WriteBack};
use crate::controller::Controller;
use crate::ethernet::{ADDRESSES, FCS, HEADER, MIN_LENGTH, TAG, frame_check_of};
use crate::fault::{GuestFault, RingKind};
use crate::fifo::ReceiveFifo;
use crate::filter::AddressMatch;
use crate::receive_checksum;
use crate::ring::{DescriptorRing, RingWindow};
use crate::saturating::saturating_u32;
use crate::statistics::FrameTally;
use base::bits::low_u16;
use base::frame::HEAD;
use base::{Checksums, GuestPhysical, GuestSpans, Instant, LentFrame, MacAddress, Memory, Span};
use intel_regs::desc::{self, RxDescriptor, RxStatus};
use intel_regs::{Ctrl, Interrupt, Rctl, Rxcsum, reg, stats};

/// What a frame ends with when the guest sees it: padding, and a frame check sequence.
const TRAILER: usize = MIN_LENGTH + FCS;
static ZEROS: [u8; TRAILER] = [0; TRAILER];

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
    /// The header of the last frame that was admitted, if it alone decides, and how it matched: that of most is the same.
    admitted: Option<([u8; HEADER], AddressMatch)>,
    /// The frames that the guest gets, or will.
    tally: FrameTally,
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
            admitted: None,
            tally: FrameTally::default(),
        }
    }

    /// Ends the walk.
    pub(crate) fn end(self, controller: &mut Controller) {
        controller.count_received(&self.tally);
    }

    /// Decides whether the NIC accepts a frame, which is from the same origin as the others of the walk.
    fn admit(
        &mut self,
        controller: &Controller,
        frame: LentFrame<'_>,
        origin: FrameOrigin,
    ) -> Result<AddressMatch, ReceiveDrop> {
        if let Some((header, matched)) = &self.admitted
            && frame.head.starts_with(header)
            && !controller.receive_stopped
            && frame.length <= longest(controller.receive_control())
        {
            return Ok(*matched);
        }
        let matched = admit(controller, frame, origin)?;
        let header = frame.head.first_chunk().filter(|header| header_decides(controller, header));
        self.admitted = header.map(|header| (*header, matched));
        Ok(matched)
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
    let matched = match walk.admit(controller, frame, origin) {
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
#[inline]
fn accept<M: GuestSpans>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    walk: &mut ReceiveWalk,
    frame: LentFrame<'_>,
    matched: AddressMatch,
    now: Instant,
) {
    let mut trailer = None;
    let arrival = prepare::<M::Memory>(controller, frame, matched, &mut trailer);
    walk.tally.add(MacAddress::destination_of(frame.head).unwrap_or_default(), frame.length.max(MIN_LENGTH));
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
#[inline]
fn prepare<'a, M: Memory>(
    controller: &Controller,
    frame: LentFrame<'a>,
    matched: AddressMatch,
    trailer: &'a mut Option<[u8; TRAILER]>,
) -> Arrival<'a> {
    let head = frame.head;
    let tag = tag_of(controller, head);
    let stripped = tag.filter(|_| controller.control().contains(Ctrl::VME));
    let padding = MIN_LENGTH.saturating_sub(frame.length);
    let checked = !controller.receive_control().contains(Rctl::SECRC);
    let mut trailer_bytes = &ZEROS;
    if checked && controller.compute_fcs {
        let check = frame_check_of::<M>(&frame, &ZEROS[..padding]);
        let bytes = trailer.insert(ZEROS);
        bytes[padding..padding + FCS].copy_from_slice(&check);
        trailer_bytes = bytes;
    }
    let trailer = &trailer_bytes[..padding + if checked { FCS } else { 0 }];
    let parts = match stripped {
        Some(_) => [&head[..ADDRESSES], &head[ADDRESSES + TAG..]],
        None => [head, &[]],
    };
    let control = Rxcsum::from_bits_retain(controller.registers.get(reg::RXCSUM));
    let type_offset = if tag.is_some() { ADDRESSES + TAG } else { ADDRESSES };
    let (mut status, errors) = receive_checksum::indication(frame.checksums, head, type_offset, control);
    status.set(RxStatus::VP, stripped.is_some());
    status.set(RxStatus::PIF, matched == AddressMatch::Inexact);
    let write_back = WriteBack { status, errors, special: stripped.unwrap_or(0), ..WriteBack::default() };
    let mut arrival = Arrival::new(parts, frame.pieces, trailer, write_back);
    if let Some(start) = sums_from(controller) {
        arrival.write_back.checksum = arrival.packet_checksum::<M>(start);
    }
    arrival
}

/// Writes a frame, starting at byte `offset`, into the free descriptors, and returns how many of its bytes are now
/// delivered. The payload is written first, then the write-back; then the head moves. Stops early where the walk may
/// not pass more descriptors without a buffer.
#[inline]
fn deliver<M: GuestSpans>(
    controller: &mut Controller,
    memory: &M,
    walk: &mut ReceiveWalk,
    arrival: &Arrival,
    offset: usize,
    now: Instant,
) -> usize {
    if offset == 0 && deliver_at_once(controller, memory, walk, arrival, now) {
        return arrival.length();
    }
    deliver_in_parts(controller, memory, walk, arrival, offset, now)
}

/// The short way of a frame for which the next descriptor has a buffer in one piece of memory; false, without any change, if it
/// has not.
#[inline]
fn deliver_at_once<M: GuestSpans>(
    controller: &mut Controller,
    memory: &M,
    walk: &mut ReceiveWalk,
    arrival: &Arrival,
    now: Instant,
) -> bool {
    let length = arrival.length();
    if walk.available == 0 || length > walk.buffer {
        return false;
    }
    let Some(bytes) = walk.window.descriptor(memory, &walk.ring, 0) else { return false };
    let address = RxDescriptor::from_bytes(bytes).address.get();
    let buffer = memory.span(GuestPhysical(address), length);
    let Some(buffer) = buffer.filter(|buffer| address != 0 && buffer.len() == length) else { return false };
    arrival.copy_whole::<M::Memory>(buffer);
    let mut done = arrival.write_back;
    done.status |= RxStatus::DD | RxStatus::EOP;
    walk.write_back::<M>(desc::RX_WRITE_BACK_OFFSET, &done.to_bytes());
    walk.advance(controller);
    note_received(controller, arrival, now);
    true
}

/// The same with as many descriptors as it takes.
fn deliver_in_parts<M: GuestSpans>(
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
            walk.write_back::<M>(desc::RX_STATUS_OFFSET, &[descriptor.status | RxStatus::DD.bits()]);
        } else if fill(memory, address, arrival, offset, length) {
            let last = offset + length == arrival.length();
            let mut done = if last { arrival.write_back } else { WriteBack::default() };
            done.length = low_u16(length as u64);
            done.status |= RxStatus::DD;
            done.status.set(RxStatus::EOP, last);
            walk.write_back::<M>(desc::RX_WRITE_BACK_OFFSET, &done.to_bytes());
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
