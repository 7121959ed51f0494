//! From a packet to its frames: lent from the guest's memory, or built where the guest asks for something to be done with
//! them [8254x 3.3 to 3.6].

use crate::controller::Controller;
use crate::ethernet::{FCS, HEADER, MIN_LENGTH, TAG, frame_check, insert_tag};
use crate::fault::GuestFault;
use crate::packet::TransmitDrop;
use crate::saturating::saturating_u32;
use crate::segmentation::SegmentPosition;
use crate::transmit::{LONGEST, Transmitter};
use base::frame::HEAD;
use base::outbox::PIECES;
use base::{GuestMemory, GuestSpans, LentFrame, MacAddress, Memory, Outbox};
use intel_regs::desc::TxLegacy;
use intel_regs::{Ctrl, Tctl, reg, stats};

/// What a byte costs whose frame check sequence is computed, in bytes that are only copied.
const CHECKED_EFFORT: usize = 4;

/// The result of [`Transmitter::emit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emitted {
    /// A frame is on its way.
    Frame,
    /// There is no room for the next frame.
    Full,
    /// The packet was dropped.
    Dropped,
}

/// Where frames go.
pub(crate) enum Target<'a> {
    /// To the path, which is lent them.
    Path(&'a mut Outbox),
    /// To the vNIC's own receiver.
    Receiver(&'a mut dyn FnMut(&mut Controller, LentFrame<'_>)),
}

impl Transmitter {
    /// Sends the next frame of the loaded packet off.
    pub(crate) fn emit<M: GuestSpans>(
        &mut self,
        controller: &mut Controller,
        memory: &M,
        target: &mut Target<'_>,
    ) -> Emitted {
        self.effort += self.packet.descriptors.len() * size_of::<TxLegacy>();
        let plan = match self.plan(controller) {
            Ok(plan) => plan,
            Err(reason) => return self.drop_packet(controller, reason),
        };
        let sent = match target {
            Target::Path(outbox) if outbox.is_full() => return Emitted::Full,
            Target::Path(outbox) if self.is_plain(&plan) => self.lend(memory, &plan, outbox),
            Target::Path(outbox) => self.build_and_lend(memory, &plan, outbox),
            Target::Receiver(receive) => self.build(memory, &plan).map(|()| {
                let frame = LentFrame::whole(&self.scratch[..plan.length]);
                receive(controller, frame);
                MacAddress::destination_of(frame.head)
            }),
        };
        match sent {
            Ok(Some(destination)) => controller.count_transmitted(destination, plan.length),
            Ok(None) => return Emitted::Full,
            Err(reason) => return self.drop_packet(controller, reason),
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

    /// True for a frame that is in the guest's memory as it is to be sent, but for padding, and in few pieces.
    fn is_plain(&self, plan: &FramePlan) -> bool {
        let packet = &self.packet;
        packet.descriptors.len() <= PIECES
            && packet.segmentation.is_none()
            && packet.checksums.is_empty()
            && plan.tag.is_none()
            && plan.inserts_fcs
            && (plan.length == plan.payload || plan.length <= HEAD)
    }

    /// Lends out a frame as it is in the guest's memory; one in too many pieces is copied. Returns its destination, or `None`
    /// when there is no room.
    fn lend<M: GuestSpans>(
        &mut self,
        memory: &M,
        plan: &FramePlan,
        outbox: &mut Outbox,
    ) -> Result<Option<MacAddress>, TransmitDrop> {
        let packet = &self.packet;
        let (mut result, mut destination) = (Ok(()), None);
        let whole = outbox.add(self.flights.last(), |frame| {
            let (mut filled, mut fits) = (0, true);
            let own = plan.payload.min(HEAD);
            frame.head(plan.length)[own..].fill(0);
            result = packet.spans(memory, 0, plan.payload, |span| {
                let (first, rest) = span.split(own - filled);
                if !first.is_empty() {
                    M::Memory::load(first, &mut frame.head(plan.length)[filled..own]);
                    filled += first.len();
                }
                fits = frame.push(rest);
                fits
            });
            destination = MacAddress::destination_of(frame.head(plan.length));
            fits && result.is_ok()
        });
        result.map_err(TransmitDrop::Outside)?;
        if whole {
            self.effort += plan.length;
            self.flights.note_frame();
            return Ok(destination);
        }
        self.build_and_lend(memory, plan, outbox)
    }

    /// Builds a frame and lends it out from the memory for that.
    fn build_and_lend<M: GuestSpans>(
        &mut self,
        memory: &M,
        plan: &FramePlan,
        outbox: &mut Outbox,
    ) -> Result<Option<MacAddress>, TransmitDrop> {
        let rest = plan.length.saturating_sub(HEAD);
        if !self.bounce.fits(rest, false) {
            if !self.bounce.fits(rest, true) {
                return Err(TransmitDrop::Oversized { length: plan.length });
            }
            outbox.starve();
            return Ok(None);
        }
        self.build(memory, plan)?;
        let (head, rest) = self.scratch[..plan.length].split_at(plan.length - rest);
        let added = outbox.add(self.flights.last(), |frame| {
            frame.head(head.len()).copy_from_slice(head);
            self.bounce.store::<M::Memory>(rest, frame)
        });
        if !added {
            return Ok(None);
        }
        self.flights.note_frame();
        Ok(MacAddress::destination_of(head))
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

    /// Builds a frame.
    fn build<M: GuestMemory>(&mut self, memory: &M, plan: &FramePlan) -> Result<(), TransmitDrop> {
        self.effort += plan.length * if plan.inserts_fcs { 1 } else { CHECKED_EFFORT };
        let bytes = &mut self.scratch[..plan.length];
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
