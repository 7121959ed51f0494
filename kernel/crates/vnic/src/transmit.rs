//! The transmit side: from descriptors to frames, and back to descriptors marked done [8254x 3.3 to 3.6].

use crate::controller::Controller;
use crate::ethernet::{FCS, HEADER, MIN_LENGTH, TAG, frame_check, insert_tag};
use crate::fault::{GuestFault, RingKind};
use crate::packet::{MAX_DESCRIPTORS, PacketDescriptor, TransmitDrop, TransmitPacket};
use crate::ring::{DescriptorRing, RingWindow};
use crate::saturating::saturating_u32;
use crate::segmentation::SegmentPosition;
use base::bits::low_u32;
use base::{Batch, GuestMemory, Instant};
use intel_regs::desc::{self, TxCommand, TxContext, TxDescriptor, TxLegacy};
use intel_regs::{Ctrl, Interrupt, Tctl, reg, stats, transmit};

/// The longest frame that the NIC sends, without tag and frame check sequence.
const LONGEST: usize = transmit::MAX_DESCRIPTOR_LENGTH;

/// What a byte costs whose frame check sequence is computed, in bytes that are only copied.
const CHECKED_EFFORT: usize = 4;

/// The result of [`Transmitter::emit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emitted {
    /// A frame was appended.
    Frame,
    /// There is no room for the next frame.
    Full,
    /// The packet was dropped.
    Dropped,
}

/// The transmit side of one vNIC.
pub(crate) struct Transmitter {
    context: TxContext,
    packet: TransmitPacket,
    /// `packet` is complete and not yet entirely sent.
    loaded: bool,
    /// Frames and payload bytes of `packet` already sent.
    sent: SegmentPosition,
    /// Descriptors are skipped up to the end of a dropped packet.
    discarding: bool,
    /// The effort that frames have taken since it was set to zero: their bytes, whether they were sent or dropped, since a
    /// frame check sequence is computed before that is known; and the size of the descriptors among which their bytes were
    /// looked for.
    pub(crate) effort: usize,
}

const START: SegmentPosition = SegmentPosition { number: 0, offset: 0, last: false };

impl Transmitter {
    /// A transmitter with nothing to send.
    pub(crate) fn new() -> Self {
        let context = TxContext::default();
        Self {
            context,
            packet: TransmitPacket::new(),
            loaded: false,
            sent: START,
            discarding: false,
            effort: 0,
        }
    }

    /// Abandons a half-sent packet: its ring has changed.
    pub(crate) fn abandon(&mut self, controller: &mut Controller) {
        controller.counters.transmit_abandoned += u64::from(self.loaded);
        controller.transmit_stopped = false;
        (self.loaded, self.discarding) = (false, false);
    }

    /// Resets the transmit side.
    pub(crate) fn reset(&mut self, controller: &mut Controller) {
        self.abandon(controller);
        self.context = TxContext::default();
    }

    /// True while a packet is loaded and not yet entirely sent.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Loads the descriptors of the next packet. Returns false when no packet is complete yet. `fuel` bounds the
    /// number of descriptors examined.
    pub(crate) fn load<M: GuestMemory>(
        &mut self,
        controller: &mut Controller,
        memory: &M,
        window: &mut RingWindow,
        fuel: &mut u32,
        now: Instant,
    ) -> bool {
        self.packet.clear();
        self.sent = START;
        let mut ring = controller.ring(RingKind::Transmit);
        let mut seen = 0;
        while seen < ring.available() && *fuel > 0 && !controller.transmit_stopped {
            *fuel -= 1;
            let Some(bytes) = window.descriptor(memory, &ring, seen) else {
                let index = ring.index(seen);
                let at = ring.address(index);
                let fault = GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at };
                controller.stop(RingKind::Transmit, fault);
                return false;
            };
            let descriptor = TxDescriptor::parse(bytes);
            if let TxDescriptor::Context(context) = descriptor {
                self.context = context;
            }
            if self.skips(&descriptor) {
                let skipped = PacketDescriptor::new(ring.head, &descriptor);
                finish(controller, memory, &mut ring, &[skipped], now);
                continue;
            }
            seen += 1;
            if self.packet.add(ring.index(seen - 1), &descriptor, &self.context) {
                self.loaded = true;
                return true;
            }
            // Only the end of the packet could follow, and there is no room for it.
            if self.packet.is_full() || seen + 1 == ring.length {
                self.drop_endless(controller, memory, &mut ring, now);
                seen = 0;
            }
        }
        false
    }

    /// True for a descriptor that is done as soon as it is seen: a context or reserved descriptor between packets,
    /// and the rest of a dropped packet.
    fn skips(&mut self, descriptor: &TxDescriptor) -> bool {
        let command = match descriptor {
            TxDescriptor::Legacy(legacy) => TxCommand::from_bits_retain(legacy.command),
            TxDescriptor::Data(data) => data.command(),
            TxDescriptor::Context(_) | TxDescriptor::Reserved(_) => {
                return self.discarding || self.packet.descriptors.is_empty();
            }
        };
        let skipped = self.discarding;
        self.discarding &= !command.contains(TxCommand::EOP);
        skipped
    }

    /// Drops a packet with too many descriptors, including those still to come.
    fn drop_endless<M: GuestMemory>(
        &mut self,
        controller: &mut Controller,
        memory: &M,
        ring: &mut DescriptorRing,
        now: Instant,
    ) {
        controller.counters.transmit_too_many_descriptors += 1;
        controller.faults.note(GuestFault::TooManyDescriptors { limit: saturating_u32(MAX_DESCRIPTORS) });
        finish(controller, memory, ring, &self.packet.descriptors, now);
        self.packet.clear();
        self.discarding = true;
    }

    /// Appends the next frame of the loaded packet to `into`.
    pub(crate) fn emit<M: GuestMemory>(
        &mut self,
        controller: &mut Controller,
        memory: &M,
        into: &mut Batch,
    ) -> Emitted {
        self.effort += self.packet.descriptors.len() * size_of::<TxLegacy>();
        let plan = match self.plan(controller) {
            Ok(plan) => plan,
            Err(reason) => return self.drop_packet(controller, reason),
        };
        if !into.fits(plan.length) {
            // A frame that the caller cannot carry even alone must not block the ring.
            let length = plan.length;
            return if into.is_empty() {
                self.drop_packet(controller, TransmitDrop::Oversized { length })
            } else {
                Emitted::Full
            };
        }
        self.effort += plan.length * if plan.inserts_fcs { 1 } else { CHECKED_EFFORT };
        let mut result = Ok(());
        into.push_with(plan.length, |bytes| {
            result = self.build(memory, &plan, bytes);
            result.is_ok()
        });
        if let Err(reason) = result {
            return self.drop_packet(controller, reason);
        }
        if let Some(frame) = into.get(into.len() - 1) {
            controller.registers.count_transmitted(frame);
            controller.counters.transmitted += 1;
            controller.counters.transmitted_bytes += frame.len() as u64;
        }
        if self.sent.number == 0 && self.packet.segmentation.is_some() {
            controller.registers.count(stats::TSCTC, 1);
        }
        self.sent = SegmentPosition {
            number: self.sent.number + 1,
            offset: plan.offset + plan.payload,
            last: plan.last,
        };
        Emitted::Frame
    }

    /// True when every frame of the loaded packet has been sent or dropped.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.last
    }

    /// Marks the descriptors of the loaded packet done.
    pub(crate) fn complete<M: GuestMemory>(&mut self, controller: &mut Controller, memory: &M, now: Instant) {
        let mut ring = controller.ring(RingKind::Transmit);
        finish(controller, memory, &mut ring, &self.packet.descriptors, now);
        self.loaded = false;
    }

    /// Plans the next frame.
    fn plan(&self, controller: &Controller) -> Result<FramePlan, TransmitDrop> {
        let packet = &self.packet;
        let inserts_fcs = packet.insert_fcs || controller.always_insert_fcs;
        let (header, payload, last) = match &packet.segmentation {
            None => (0, packet.length.saturating_sub(if inserts_fcs { 0 } else { FCS }), true),
            Some(cut) => {
                if cut.mss == 0 || cut.header == 0 || cut.header > packet.length {
                    let length = packet.length;
                    return Err(TransmitDrop::BadSegmentation { mss: cut.mss, header: cut.header, length });
                }
                let payload = cut.mss.min(cut.payload - self.sent.offset);
                (cut.header, payload, self.sent.offset + payload == cut.payload)
            }
        };
        let body = header + payload;
        if body < HEADER {
            return Err(TransmitDrop::Runt);
        }
        if body > LONGEST {
            return Err(TransmitDrop::Oversized { length: body });
        }
        let tag = packet.tag.filter(|_| controller.control().contains(Ctrl::VME));
        let tagged = body + if tag.is_some() { TAG } else { 0 };
        let padded =
            if controller.transmit_control().contains(Tctl::PSP) { tagged.max(MIN_LENGTH) } else { tagged };
        let tag = tag.map(|tag| ((controller.registers.get(reg::VET) & 0xffff) as u16, tag));
        Ok(FramePlan { header, offset: self.sent.offset, payload, last, inserts_fcs, tag, length: padded })
    }

    /// Writes a frame into `bytes`, whose length is the planned one.
    fn build<M: GuestMemory>(
        &self,
        memory: &M,
        plan: &FramePlan,
        bytes: &mut [u8],
    ) -> Result<(), TransmitDrop> {
        let packet = &self.packet;
        let body = plan.header + plan.payload;
        let (frame, padding) = bytes.split_at_mut(body);
        padding.fill(0);
        let (header, payload) = frame.split_at_mut(plan.header);
        packet.gather(memory, 0, header).map_err(TransmitDrop::Outside)?;
        packet.gather(memory, plan.header + plan.offset, payload).map_err(TransmitDrop::Outside)?;
        if let Some(cut) = &packet.segmentation {
            let segment = SegmentPosition { last: plan.last, ..self.sent };
            cut.update(frame, segment, packet.checksums.has_transport());
        }
        packet.checksums.apply(frame);
        if !plan.inserts_fcs {
            let mut supplied = [0; FCS];
            packet.gather(memory, body, &mut supplied).map_err(TransmitDrop::Outside)?;
            if frame_check([frame]) != supplied {
                return Err(TransmitDrop::BadFrameCheck);
            }
        }
        if let Some((ethertype, tag)) = plan.tag {
            insert_tag(bytes, body, ethertype, tag);
        }
        Ok(())
    }

    /// Counts a dropped packet, and reports it where the guest's driver is at fault.
    fn drop_packet(&mut self, controller: &mut Controller, reason: TransmitDrop) -> Emitted {
        match reason {
            TransmitDrop::Runt => controller.counters.transmit_runt += 1,
            TransmitDrop::BadFrameCheck => {
                controller.counters.transmit_bad_fcs += 1;
                let length = saturating_u32(self.packet.length);
                controller.faults.note(GuestFault::BadFrameCheck { length });
            }
            TransmitDrop::Oversized { length } => {
                controller.counters.transmit_oversized += 1;
                controller.faults.note(GuestFault::PacketTooLong { length: saturating_u32(length) });
            }
            TransmitDrop::BadSegmentation { mss, header, length } => {
                controller.counters.transmit_bad_segmentation += 1;
                controller.registers.count(stats::TSCTFC, 1);
                let [mss, header, length] = [mss, header, length].map(saturating_u32);
                controller.faults.note(GuestFault::BadSegmentation { mss, header, length });
            }
            TransmitDrop::Outside(fault) => {
                controller.counters.transmit_buffer_outside_memory += 1;
                controller.faults.note(fault);
            }
        }
        self.sent.last = true;
        Emitted::Dropped
    }
}

/// The plan of one frame.
struct FramePlan {
    /// Bytes of header, copied from the start of the packet.
    header: usize,
    /// Offset of the payload after the packet's header.
    offset: usize,
    /// Bytes of payload.
    payload: usize,
    /// It is the packet's last frame.
    last: bool,
    /// The frame check sequence is the NIC's; otherwise the guest has supplied one.
    inserts_fcs: bool,
    /// EtherType and tag control information of the tag to insert.
    tag: Option<(u16, u16)>,
    /// Bytes of the frame, including tag and padding.
    length: usize,
}

/// Marks the descriptors at the head of the ring done, advances the head past them and raises causes.
fn finish<M: GuestMemory>(
    controller: &mut Controller,
    memory: &M,
    ring: &mut DescriptorRing,
    descriptors: &[PacketDescriptor],
    now: Instant,
) {
    for descriptor in descriptors {
        controller.counters.transmit_reserved_descriptor += u64::from(descriptor.reserved);
        let Some(status) = descriptor.report else { continue };
        let at = ring.address(descriptor.index);
        let written = at.checked_add(desc::TX_STATUS_OFFSET).and_then(|at| memory.write(at, &[status]).ok());
        if written.is_none() {
            let index = descriptor.index;
            controller.stop(
                RingKind::Transmit,
                GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at },
            );
            return;
        }
        let delay = controller.registers.get(reg::TIDV);
        if descriptor.delayed && delay != 0 {
            controller.interrupts.transmit.start(now, delay, controller.registers.get(reg::TADV));
        } else {
            controller.interrupts.raise(Interrupt::TXDW);
        }
    }
    let before = ring.available();
    ring.advance(low_u32(descriptors.len() as u64), &mut controller.registers);
    let after = ring.available();
    if after == 0 {
        controller.interrupts.raise(Interrupt::TXQE);
    }
    let low =
        8 * (controller.registers.get(reg::TXDCTL) >> reg::dctl::LWTHRESH_SHIFT & reg::dctl::LWTHRESH_MASK);
    if low != 0 && before > low && after <= low {
        controller.interrupts.raise(Interrupt::TXD_LOW);
    }
}
