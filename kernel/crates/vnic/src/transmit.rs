//! The transmit side: from descriptors to frames, and back to descriptors done [8254x 3.3 to 3.6].

use crate::card::Card;
use crate::crc::FrameCheck;
use crate::fault::{GuestFault, RingKind};
use crate::packet::{Entry, MAX_DESCRIPTORS, Packet, Refusal};
use crate::receive::{FCS, HEADER, MIN_LENGTH, TAG};
use crate::ring::{Ring, Window};
use crate::segment::Segment;
use base::{Batch, GuestMemory, Instant};
use intel_regs::desc::{self, TxCommand, TxContext, TxDescriptor};
use intel_regs::{Ctrl, Interrupt, Tctl, reg, stats, transmit};

/// Longest frame the card sends, without tag and frame check sequence.
const LONGEST: usize = transmit::MAX_DESCRIPTOR_LENGTH;

/// What [`Transmit::emit`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emitted {
    /// Appended a frame.
    Frame,
    /// Found no room for the next frame.
    Full,
    /// Gave the packet up.
    Dropped,
}

/// The transmit side of one card.
pub(crate) struct Transmit {
    context: TxContext,
    packet: Packet,
    /// `packet` is whole and not yet all sent.
    loaded: bool,
    /// Frames and bytes of payload of `packet` that have been sent.
    sent: Segment,
    /// Descriptors are skipped up to the end of a packet that was given up.
    discarding: bool,
}

const START: Segment = Segment { number: 0, offset: 0, last: false };

impl Transmit {
    /// Nothing to send.
    pub(crate) fn new() -> Self {
        let context = TxContext::default();
        Self { context, packet: Packet::new(), loaded: false, sent: START, discarding: false }
    }

    /// Gives up what is half-sent: the ring it came from is no more.
    pub(crate) fn abandon(&mut self, card: &mut Card) {
        card.counters.transmit_abandoned += u64::from(self.loaded);
        card.transmit_stopped = false;
        (self.loaded, self.discarding) = (false, false);
    }

    /// Forgets everything, as reset does.
    pub(crate) fn reset(&mut self, card: &mut Card) {
        self.abandon(card);
        self.context = TxContext::default();
    }

    /// True while a packet is half-sent.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Takes descriptors up to the end of the next packet. Returns false when there is none yet. `fuel`
    /// bounds the descriptors looked at.
    pub(crate) fn load<M: GuestMemory>(
        &mut self,
        card: &mut Card,
        memory: &M,
        window: &mut Window,
        fuel: &mut u32,
        now: Instant,
    ) -> bool {
        self.packet.clear();
        self.sent = START;
        let mut ring = card.ring(RingKind::Transmit);
        let mut seen = 0;
        while seen < ring.available() && *fuel > 0 && !card.transmit_stopped {
            *fuel -= 1;
            let Some(bytes) = window.descriptor(memory, &ring, seen) else {
                let index = ring.index(seen);
                let at = ring.address(index);
                let fault = GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at };
                card.stop(RingKind::Transmit, fault);
                return false;
            };
            let descriptor = TxDescriptor::parse(bytes);
            if let TxDescriptor::Context(context) = descriptor {
                self.context = context;
            }
            if self.passes_by(&descriptor) {
                let entry = Entry::new(ring.head, &descriptor);
                finish(card, memory, &mut ring, &[entry], now);
                continue;
            }
            seen += 1;
            if self.packet.add(ring.index(seen - 1), &descriptor, &self.context) {
                self.loaded = true;
                return true;
            }
            // Nothing but the end of the packet could follow, and there is no place for it.
            if self.packet.is_full() || seen + 1 == ring.length {
                self.give_up(card, memory, &mut ring, now);
                seen = 0;
            }
        }
        false
    }

    /// True for a descriptor that is done as soon as it is seen: a context or a reserved one between
    /// packets, and the rest of a packet that was given up.
    fn passes_by(&mut self, descriptor: &TxDescriptor) -> bool {
        let command = match descriptor {
            TxDescriptor::Legacy(legacy) => TxCommand::from_bits_retain(legacy.command),
            TxDescriptor::Data(data) => data.command(),
            TxDescriptor::Context(_) | TxDescriptor::Reserved(_) => {
                return self.discarding || self.packet.entries.is_empty();
            }
        };
        let skipped = self.discarding;
        self.discarding &= !command.contains(TxCommand::EOP);
        skipped
    }

    /// Drops a packet that goes on for longer than can be followed, with the descriptors still to come.
    fn give_up<M: GuestMemory>(&mut self, card: &mut Card, memory: &M, ring: &mut Ring, now: Instant) {
        card.counters.transmit_too_many_descriptors += 1;
        card.faults.note(GuestFault::TooManyDescriptors { limit: MAX_DESCRIPTORS as u32 });
        finish(card, memory, ring, &self.packet.entries, now);
        self.packet.clear();
        self.discarding = true;
    }

    /// Appends the next frame of the loaded packet to `into`.
    pub(crate) fn emit<M: GuestMemory>(&mut self, card: &mut Card, memory: &M, into: &mut Batch) -> Emitted {
        let plan = match self.plan(card) {
            Ok(plan) => plan,
            Err(refusal) => return self.refuse(card, refusal),
        };
        if !into.fits(plan.length) {
            // A caller that cannot carry the frame even alone must not block the ring.
            let length = plan.length;
            return if into.is_empty() {
                self.refuse(card, Refusal::Oversized { length })
            } else {
                Emitted::Full
            };
        }
        let mut result = Ok(());
        into.push_with(plan.length, |bytes| {
            result = self.build(memory, &plan, bytes);
            result.is_ok()
        });
        if let Err(refusal) = result {
            return self.refuse(card, refusal);
        }
        if let Some(frame) = into.get(into.len() - 1) {
            card.registers.count_transmitted(frame);
            card.counters.transmitted += 1;
            card.counters.transmitted_bytes += frame.len() as u64;
        }
        if self.sent.number == 0 && self.packet.segmentation.is_some() {
            card.registers.count(stats::TSCTC, 1);
        }
        self.sent =
            Segment { number: self.sent.number + 1, offset: plan.offset + plan.payload, last: plan.last };
        Emitted::Frame
    }

    /// True when every frame of the loaded packet has been sent, or it was given up.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.last
    }

    /// Marks the descriptors of the loaded packet done.
    pub(crate) fn complete<M: GuestMemory>(&mut self, card: &mut Card, memory: &M, now: Instant) {
        let mut ring = card.ring(RingKind::Transmit);
        finish(card, memory, &mut ring, &self.packet.entries, now);
        self.loaded = false;
    }

    /// Decides on the shape of the next frame.
    fn plan(&self, card: &Card) -> Result<Plan, Refusal> {
        let packet = &self.packet;
        let (header, payload, last) = match &packet.segmentation {
            None => (0, packet.length.saturating_sub(if packet.insert_fcs { 0 } else { FCS }), true),
            Some(cut) => {
                if cut.mss == 0 || cut.header == 0 || cut.header > packet.length {
                    let length = packet.length;
                    return Err(Refusal::BadSegmentation { mss: cut.mss, header: cut.header, length });
                }
                let payload = cut.mss.min(cut.payload - self.sent.offset);
                (cut.header, payload, self.sent.offset + payload == cut.payload)
            }
        };
        let body = header + payload;
        if body < HEADER {
            return Err(Refusal::Runt);
        }
        if body > LONGEST {
            return Err(Refusal::Oversized { length: body });
        }
        let tag = packet.tag.filter(|_| card.control().contains(Ctrl::VME));
        let tagged = body + if tag.is_some() { TAG } else { 0 };
        let padded =
            if card.transmit_control().contains(Tctl::PSP) { tagged.max(MIN_LENGTH) } else { tagged };
        let tag = tag.map(|tag| (card.registers.get(reg::VET) as u16, tag));
        Ok(Plan { header, offset: self.sent.offset, payload, last, tag, length: padded })
    }

    /// Writes a frame into `bytes`, which are as long as planned.
    fn build<M: GuestMemory>(&self, memory: &M, plan: &Plan, bytes: &mut [u8]) -> Result<(), Refusal> {
        let packet = &self.packet;
        let body = plan.header + plan.payload;
        let (frame, padding) = bytes.split_at_mut(body);
        padding.fill(0);
        let (header, payload) = frame.split_at_mut(plan.header);
        packet.gather(memory, 0, header).map_err(Refusal::Outside)?;
        packet.gather(memory, plan.header + plan.offset, payload).map_err(Refusal::Outside)?;
        if let Some(cut) = &packet.segmentation {
            let segment = Segment { last: plan.last, ..self.sent };
            cut.update(frame, segment, packet.checksums.has_transport());
        }
        packet.checksums.apply(frame);
        if !packet.insert_fcs {
            let mut supplied = [0; FCS];
            packet.gather(memory, body, &mut supplied).map_err(Refusal::Outside)?;
            let mut check = FrameCheck::new();
            check.update(frame);
            if check.finish() != supplied {
                return Err(Refusal::BadFrameCheck);
            }
        }
        if let Some((ethertype, tag)) = plan.tag {
            insert_tag(bytes, body, ethertype, tag);
        }
        Ok(())
    }

    fn refuse(&mut self, card: &mut Card, refusal: Refusal) -> Emitted {
        match refusal {
            Refusal::Runt => card.counters.transmit_runt += 1,
            Refusal::BadFrameCheck => card.counters.transmit_bad_fcs += 1,
            Refusal::Oversized { length } => {
                card.counters.transmit_oversized += 1;
                card.faults.note(GuestFault::PacketTooLong { length: length as u32 });
            }
            Refusal::BadSegmentation { mss, header, length } => {
                card.counters.transmit_bad_segmentation += 1;
                card.registers.count(stats::TSCTFC, 1);
                let (mss, header, length) = (mss as u32, header as u32, length as u32);
                card.faults.note(GuestFault::BadSegmentation { mss, header, length });
            }
            Refusal::Outside(fault) => {
                card.counters.transmit_buffer_outside_memory += 1;
                card.faults.note(fault);
            }
        }
        self.sent.last = true;
        Emitted::Dropped
    }
}

/// The shape of one frame.
struct Plan {
    /// Bytes of header, taken from the start of the packet.
    header: usize,
    /// Where the payload begins behind the header of the packet.
    offset: usize,
    /// Bytes of payload.
    payload: usize,
    /// It is the packet's last frame.
    last: bool,
    /// EtherType and control information of the tag to insert.
    tag: Option<(u16, u16)>,
    /// Bytes of the frame, with tag and padding.
    length: usize,
}

/// Moves what follows the addresses of a frame of `length` bytes back and puts a tag there.
fn insert_tag(bytes: &mut [u8], length: usize, ethertype: u16, tag: u16) {
    bytes.copy_within(HEADER - 2..length, HEADER - 2 + TAG);
    bytes[HEADER - 2..HEADER].copy_from_slice(&ethertype.to_be_bytes());
    bytes[HEADER..HEADER + 2].copy_from_slice(&tag.to_be_bytes());
}

/// Marks the descriptors at the head of the ring done, moves the head behind them and raises causes.
fn finish<M: GuestMemory>(card: &mut Card, memory: &M, ring: &mut Ring, entries: &[Entry], now: Instant) {
    for entry in entries {
        card.counters.transmit_reserved_descriptor += u64::from(entry.reserved);
        let Some(status) = entry.report else { continue };
        let at = ring.address(entry.index);
        let written = at.checked_add(desc::TX_STATUS_OFFSET).and_then(|at| memory.write(at, &[status]).ok());
        if written.is_none() {
            let index = entry.index;
            card.stop(
                RingKind::Transmit,
                GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at },
            );
            return;
        }
        let delay = card.registers.get(reg::TIDV);
        if entry.delayed && delay != 0 {
            card.interrupts.transmit.start(now, delay, card.registers.get(reg::TADV));
        } else {
            card.interrupts.raise(Interrupt::TXDW);
        }
    }
    let before = ring.available();
    ring.advance(entries.len() as u32, &mut card.registers);
    let after = ring.available();
    if after == 0 {
        card.interrupts.raise(Interrupt::TXQE);
    }
    let low = 8 * (card.registers.get(reg::TXDCTL) >> reg::dctl::LWTHRESH_SHIFT & reg::dctl::LWTHRESH_MASK);
    if low != 0 && before > low && after <= low {
        card.interrupts.raise(Interrupt::TXD_LOW);
    }
}
