//! The transmit side: from descriptors to packets, and back to descriptors marked done [8254x 3.3 to 3.6].

use crate::bounce::BounceBuffer;
use crate::controller::Controller;
use crate::ethernet::TAG;
use crate::fault::{GuestFault, RingKind};
use crate::flight::Flights;
use crate::packet::{MAX_DESCRIPTORS, TransmitPacket};
use crate::ring::{RingWindow, StatusWriter};
use crate::saturating::saturating_u32;
use crate::segmentation::SegmentPosition;
use crate::statistics::FrameTally;
use alloc::boxed::Box;
use alloc::vec;
use base::{GuestSpans, Instant, Outbox, Span};
use intel_regs::desc::{TxCommand, TxContext, TxDescriptor};
use intel_regs::{Interrupt, reg, transmit};

/// The longest frame that the NIC sends, without tag and frame check sequence.
pub(crate) const LONGEST: usize = transmit::MAX_DESCRIPTOR_LENGTH;

/// The transmit side of one vNIC.
pub(crate) struct Transmitter {
    pub(crate) context: TxContext,
    pub(crate) packet: TransmitPacket,
    /// Packets whose descriptors are not done.
    pub(crate) flights: Flights,
    /// Where a frame is built.
    pub(crate) scratch: Box<[u8; LONGEST + TAG]>,
    pub(crate) bounce: BounceBuffer,
    /// How often the ring was set up anew, or the vNIC lost its memory.
    pub(crate) life: u32,
    /// Frames that were on their way then and still are: until they have arrived no others are sent, since what they lend may
    /// be the same memory.
    abandoned: usize,
    /// Frames were on their way then, and nobody knows yet.
    pub(crate) left: bool,
    /// `packet` is complete and not yet entirely sent.
    pub(crate) loaded: bool,
    /// Frames and payload bytes of `packet` already sent.
    pub(crate) sent: SegmentPosition,
    /// Descriptors are skipped up to the end of a dropped packet.
    pub(crate) discarding: bool,
    /// The effort that frames have taken since it was set to zero: their bytes, whether they were sent or dropped, since a
    /// frame check sequence is computed before that is known; and the size of the descriptors among which their bytes were
    /// looked for.
    pub(crate) effort: usize,
    /// Frames sent that are not counted yet.
    pub(crate) tally: FrameTally,
}

const START: SegmentPosition = SegmentPosition { number: 0, offset: 0, last: false };

impl Transmitter {
    /// A transmitter with nothing to send, which has this memory for frames that it builds.
    pub(crate) fn new(bounce: Span) -> Self {
        let scratch = vec![0; LONGEST + TAG].into_boxed_slice();
        let Ok(scratch) = scratch.try_into() else { unreachable!("a slice of this length") };
        Self {
            context: TxContext::default(),
            packet: TransmitPacket::new(),
            flights: Flights::new(),
            scratch,
            bounce: BounceBuffer::new(bounce),
            life: 0,
            left: false,
            abandoned: 0,
            loaded: false,
            sent: START,
            discarding: false,
            effort: 0,
            tally: FrameTally::default(),
        }
    }

    /// Abandons what is on its way, and a half-sent packet: the ring has changed.
    pub(crate) fn abandon(&mut self, controller: &mut Controller) {
        self.forget(controller);
        controller.transmit_stopped = false;
    }

    /// The same for a ring that may be as it was, with its descriptors not done.
    pub(crate) fn forget(&mut self, controller: &mut Controller) {
        self.left |= self.flights.have_frames();
        controller.counters.transmit_abandoned += u64::from(self.loaded);
        (self.loaded, self.discarding) = (false, false);
        self.abandoned += self.flights.clear();
        self.life = self.life.wrapping_add(1);
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

    /// False while so many descriptors are in flight that another packet may not be, or frames of before a reset.
    pub(crate) fn has_room(&self) -> bool {
        self.abandoned == 0 && self.flights.fits(MAX_DESCRIPTORS)
    }

    /// Descriptors that the guest has handed over and that have not been looked at.
    pub(crate) fn waiting(&self, controller: &Controller) -> u32 {
        controller.ring(RingKind::Transmit).available().saturating_sub(self.flights.descriptors())
    }

    /// Loads the descriptors of the next packet. Returns false when no packet is complete yet. `fuel` bounds the
    /// number of descriptors examined.
    pub(crate) fn load<M: GuestSpans>(
        &mut self,
        controller: &mut Controller,
        memory: &M,
        window: &mut RingWindow,
        fuel: &mut u32,
        now: Instant,
    ) -> bool {
        self.packet.clear();
        self.sent = START;
        let ring = controller.ring(RingKind::Transmit);
        let mut first = self.flights.descriptors();
        let mut seen = 0;
        while first + seen < ring.available() && *fuel > 0 {
            *fuel -= 1;
            let index = ring.index(first + seen);
            let Some(bytes) = window.descriptor(memory, &ring, first + seen) else {
                let at = ring.address(index);
                let fault = GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at };
                controller.stop(RingKind::Transmit, fault);
                return false;
            };
            let descriptor = TxDescriptor::parse(bytes);
            if let TxDescriptor::Context(context) = descriptor {
                self.context = context;
            }
            let skipped = self.skips(&descriptor);
            seen += 1;
            let ends = self.packet.add(&descriptor, &self.context);
            if skipped {
                self.pass(controller);
            } else if ends {
                self.begin(controller);
                self.loaded = true;
                return true;
            } else if self.packet.is_full() || seen + 1 == ring.length {
                // Only the end of the packet could follow, and there is no room for it.
                self.drop_endless(controller);
            } else {
                continue;
            }
            (first, seen) = (first + seen, 0);
        }
        self.retire(controller, memory, now);
        false
    }

    /// The descriptors that were seen are in flight.
    fn begin(&mut self, controller: &mut Controller) {
        let reserved = self.packet.descriptors.iter().filter(|descriptor| descriptor.reserved).count();
        controller.counters.transmit_reserved_descriptor += reserved as u64;
        self.flights.begin(&self.packet.descriptors);
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

    /// What was seen is done when those before it are.
    fn pass(&mut self, controller: &mut Controller) {
        self.begin(controller);
        self.flights.sent_off();
        self.packet.clear();
    }

    /// Drops a packet with too many descriptors, including those still to come.
    fn drop_endless(&mut self, controller: &mut Controller) {
        controller.counters.transmit_too_many_descriptors += 1;
        controller.faults.note(GuestFault::TooManyDescriptors { limit: saturating_u32(MAX_DESCRIPTORS) });
        self.pass(controller);
        self.discarding = true;
    }

    /// True when every frame of the loaded packet has been sent or dropped.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.last
    }

    /// All frames of the loaded packet are on their way.
    pub(crate) fn complete<M: GuestSpans>(&mut self, controller: &mut Controller, memory: &M, now: Instant) {
        self.loaded = false;
        self.flights.sent_off();
        if !self.flights.have_frames() {
            self.retire(controller, memory, now);
        }
    }

    /// Takes frames back that have arrived.
    pub(crate) fn settle<M: GuestSpans>(
        &mut self,
        outbox: &mut Outbox,
        controller: &mut Controller,
        memory: &M,
        now: Instant,
    ) {
        let (flights, bounce) = (&mut self.flights, &mut self.bounce);
        let abandoned = &mut self.abandoned;
        let mut take = |number, pieces: &[Span]| {
            if !flights.finished(number) {
                *abandoned = abandoned.saturating_sub(1);
            }
            pieces.iter().for_each(|piece| bounce.give_back(*piece));
        };
        while outbox.finished(&mut take).is_some() {}
        self.retire(controller, memory, now);
    }

    /// Marks the descriptors of packets done that are, advances the head past them and raises causes.
    fn retire<M: GuestSpans>(&mut self, controller: &mut Controller, memory: &M, now: Instant) {
        if controller.transmit_stopped {
            return;
        }
        let mut ring = controller.ring(RingKind::Transmit);
        let (mut writer, mut failed) = (StatusWriter::new(), false);
        let (mut at_once, mut later) = (false, false);
        let done = self.flights.retire(|index, report| {
            if let Some(status) = report.status {
                failed = !writer.write(memory, &ring, ring.index(index), status.get());
                *if report.delayed { &mut later } else { &mut at_once } |= !failed;
            }
            !failed
        });
        if later {
            raise(controller, true, now);
        }
        if at_once {
            raise(controller, false, now);
        }
        if done > 0 {
            let before = ring.available();
            ring.advance(done, &mut controller.registers);
            note_low(controller, before, ring.available());
        }
        if failed {
            let (index, at) = (ring.head, ring.address(ring.head));
            let fault = GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index, at };
            controller.stop(RingKind::Transmit, fault);
        }
    }
}

/// Raises `TXDW` for descriptors that were written back, now or after the delay that the guest set.
fn raise(controller: &mut Controller, may_delay: bool, now: Instant) {
    let delay = controller.registers.get(reg::TIDV);
    if may_delay && delay != 0 {
        controller.interrupts.transmit.start(now, delay, controller.registers.get(reg::TADV));
    } else {
        controller.interrupts.raise(Interrupt::TXDW);
    }
}

/// Raises `TXQE` when no descriptor is left, and `TXD_LOW` when no more than the threshold are left.
fn note_low(controller: &mut Controller, before: u32, after: u32) {
    if after == 0 {
        controller.interrupts.raise(Interrupt::TXQE);
    }
    let low =
        8 * (controller.registers.get(reg::TXDCTL) >> reg::dctl::LWTHRESH_SHIFT & reg::dctl::LWTHRESH_MASK);
    if low != 0 && before > low && after <= low {
        controller.interrupts.raise(Interrupt::TXD_LOW);
    }
}
