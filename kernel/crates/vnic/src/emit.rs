//! From a packet to its frames: lent from the guest's memory behind a head of Weir's, or built where the guest asks for
//! something that the head does not show [8254x 3.3 to 3.6].

use crate::controller::Controller;
use crate::ethernet::{ADDRESSES, FCS, HEADER, MIN_LENGTH, TAG, frame_check, insert_tag};
use crate::fault::GuestFault;
use crate::packet::TransmitDrop;
use crate::saturating::saturating_u32;
use crate::segmentation::SegmentPosition;
use crate::transmit::{LONGEST, Transmitter};
use base::bits::low_u16;
use base::frame::HEAD;
use base::outbox::NewFrame;
use base::{Checksums, GuestMemory, GuestSpans, LentFrame, MacAddress, Outbox};
use core::num::NonZeroU16;
use intel_regs::desc::TxLegacy;
use intel_regs::{Ctrl, Tctl, reg, stats};

/// What a byte costs whose frame check sequence is computed, in bytes that are only copied.
const CHECKED_EFFORT: usize = 4;

/// A packet that a NIC cuts is fetched without a copy: so many of its bytes are the effort of one that is copied. One fetch brings
/// 256 KiB of such packets, as much as a NIC's ring takes.
const CUT_EFFORT: usize = 8;

/// Least payload of the segments into which a NIC cuts a packet: about what each host must take [RFC 9293 3.7.1].
const LEAST_MSS: usize = 512;

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
            Target::Path(outbox) => {
                if let Some(destination) = self.leave_to_nic(memory, &plan, outbox) {
                    self.note_whole(controller, destination);
                    return Emitted::Frame;
                }
                self.lend(memory, &plan, outbox)
            }
            Target::Receiver(receive) => self.build(memory, &plan).map(|()| {
                let frame = LentFrame::whole(&self.scratch[..plan.length]);
                receive(controller, frame);
                MacAddress::destination_of(frame.head)
            }),
        };
        match sent {
            Ok(Some(destination)) => self.note_sent(controller, &plan, destination),
            Ok(None) => return Emitted::Full,
            Err(reason) => return self.drop_packet(controller, reason),
        }
        Emitted::Frame
    }

    /// Counts a frame, and goes on to the next one.
    fn note_sent(&mut self, controller: &mut Controller, plan: &FramePlan, destination: MacAddress) {
        self.tally.add(destination, plan.length);
        if self.sent.number == 0 && self.packet.segmentation.is_some() {
            controller.registers.count(stats::TSCTC, 1);
        }
        self.sent = SegmentPosition {
            number: self.sent.number + 1,
            offset: plan.offset + plan.payload,
            last: plan.last,
        };
    }

    /// Lends out a packet that is to be cut as one frame, if a NIC may do it, and returns its destination. `first` is the plan of
    /// its first segment. What is not quite usual is cut here: so its segments are right, whoever cuts it, and small ones do not
    /// multiply the work that the wire has with it.
    fn leave_to_nic<M: GuestSpans>(
        &mut self,
        memory: &M,
        first: &FramePlan,
        outbox: &mut Outbox,
    ) -> Option<MacAddress> {
        let destination = outbox.cut_for()?;
        let cut = self.packet.segmentation?;
        let mss = NonZeroU16::new(low_u16(cut.mss as u64)).filter(|_| cut.mss >= LEAST_MSS)?;
        if self.sent.number != 0 || first.last || !self.fits_descriptors() {
            return None;
        }
        let tag = if first.tag.is_some() { TAG } else { 0 };
        let length = cut.header + cut.payload + tag;
        let plan = FramePlan { payload: cut.payload, last: true, length, ..*first };
        let added = outbox.add(self.flights.last(), |frame| {
            let to = self.describe(memory, &plan, frame).ok().flatten();
            frame.segment(mss);
            let headers = frame.so_far().segmentable().map(|(_, headers)| headers);
            to == Some(destination) && headers == Some(cut.header + tag)
        });
        added.then(|| {
            self.effort += length / CUT_EFFORT;
            self.flights.note_frame();
            destination
        })
    }

    /// True if each of the packet's buffers is one that a NIC's descriptor can have.
    fn fits_descriptors(&self) -> bool {
        self.packet.descriptors.iter().all(|descriptor| descriptor.length as usize <= LONGEST)
    }

    /// Counts the frames of a packet that was lent out whole.
    fn note_whole(&mut self, controller: &mut Controller, destination: MacAddress) {
        while !self.sent.last
            && let Ok(plan) = self.plan(controller)
        {
            self.note_sent(controller, &plan, destination);
        }
    }

    /// Lends out a frame of which only the head is Weir's: the rest stays where it is in the guest's memory, also of one that is
    /// tagged, cut, or has checksums inserted. One that needs more is built. Returns its destination, or `None` when there is no
    /// room.
    fn lend<M: GuestSpans>(
        &mut self,
        memory: &M,
        plan: &FramePlan,
        outbox: &mut Outbox,
    ) -> Result<Option<MacAddress>, TransmitDrop> {
        let mut result = Ok(MacAddress::default());
        let described = plan.inserts_fcs
            && outbox.add(self.flights.last(), |frame| match self.describe(memory, plan, frame) {
                Ok(Some(destination)) => {
                    result = Ok(destination);
                    true
                }
                Ok(None) => false,
                Err(fault) => {
                    result = Err(TransmitDrop::Outside(fault));
                    false
                }
            });
        let destination = result?;
        if !described {
            return self.build_and_lend(memory, plan, outbox);
        }
        self.effort += plan.length;
        self.flights.note_frame();
        Ok(Some(destination))
    }

    /// Makes the head of a frame and appends the rest of it. Returns its destination; `None` if that is not enough, or there
    /// are too many pieces.
    fn describe<M: GuestSpans>(
        &self,
        memory: &M,
        plan: &FramePlan,
        frame: &mut NewFrame<'_>,
    ) -> Result<Option<MacAddress>, GuestFault> {
        let packet = &self.packet;
        let body = plan.header + plan.payload;
        let own = body.min(HEAD - if plan.tag.is_some() { TAG } else { 0 });
        let reach = packet.segmentation.map_or(0, |cut| cut.reach().min(body));
        if plan.header.max(reach) > own {
            return Ok(None);
        }
        let head = frame.head(plan.length);
        let (bytes, rest) = head.split_at_mut(own);
        rest.fill(0);
        let (header, payload) = bytes.split_at_mut(plan.header);
        packet.gather(memory, 0, header)?;
        packet.gather(memory, plan.header + plan.offset, payload)?;
        if let Some(cut) = &packet.segmentation {
            let segment = SegmentPosition { last: plan.last, ..self.sent };
            cut.update(bytes, body, segment, packet.checksums.has_transport());
        }
        let mut checksums = packet.checksums.apply_to_head(bytes, body);
        if let Some((ethertype, tag)) = plan.tag {
            insert_tag(head, own, ethertype, tag);
            checksums = match checksums {
                // The tag is not summed.
                Some(Checksums::Unfinished(unfinished)) if unfinished.start() < ADDRESSES => None,
                Some(Checksums::Unfinished(unfinished)) => unfinished.after(TAG).map(Checksums::Unfinished),
                _ => checksums,
            };
        }
        let destination = MacAddress::destination_of(head);
        let Some(checksums) = checksums else { return Ok(None) };
        frame.checksums(checksums);
        let mut fits = true;
        packet.spans(memory, own + plan.offset, body - own, |span| {
            fits = frame.push(span);
            fits
        })?;
        Ok(destination.filter(|_| fits))
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
            cut.update(frame, body, segment, packet.checksums.has_transport());
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
#[derive(Clone, Copy)]
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
