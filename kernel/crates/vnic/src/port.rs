//! The vNIC as a port of the frame path.

use crate::admission::{self, FrameOrigin};
use crate::controller::Controller;
use crate::device::VnicEngine;
use crate::emit::{Emitted, Target};
use crate::fault::RingKind;
use crate::fifo::ReceiveFifo;
use crate::packet::MAX_DESCRIPTORS;
use crate::receive::{self, ReceiveWalk};
use crate::ring::RingWindow;

use base::{Capabilities, Effects, GuestSpans, Instant, LentFrame, Outbox, Port, Put, Ticket};

/// Maximum number of transmit descriptors examined in one poll: it bounds the time that a guest can consume with
/// descriptors that carry no data. No packet has more, so that one that is half seen at the end of a poll is seen to
/// its end in the next.
const MAX_DESCRIPTORS_PER_POLL: u32 = 256;
const _: () = assert!(MAX_DESCRIPTORS_PER_POLL as usize >= MAX_DESCRIPTORS);

/// A poll ends with the frame that brings it to this effort (see [`Transmitter::effort`]), in bytes, since copying takes
/// time too.
///
/// [`Transmitter::effort`]: crate::transmit::Transmitter::effort
pub(crate) const EFFORT_PER_POLL: usize = 32 * 1024;

/// A vNIC together with its guest's memory.
///
/// Call [`Port::put`] for frames to the guest and then [`Port::flush`], and that alone after [`Effects::RX_SPACE`], when
/// waiting frames can move on. Call [`Port::fetch`] for frames from the guest after [`Effects::TX_KICK`], and
/// [`Port::settle`] when some have arrived: only then are their descriptors done. Afterwards
/// [`VnicFront::take_effects`](crate::VnicFront::take_effects) returns the effects of these calls; [`Effects::TX_KICK`] among them means that fetching
/// ended with work left, and [`Effects::RX_SPACE`] that delivering did. Both are the guest's own work, however long its
/// rings are: the caller does it in the guest's time.
///
/// ```
/// use base::{Effects, Instant, MacAddress, Port};
/// use intel_regs::{Ctrl, Interrupt, Rctl, reg};
/// use testkit::{FakeMemory, bounce_memory, frame, put};
/// use vnic::{Vnic, VnicModelConfig};
///
/// // A guest with one ring of 8 receive descriptors at 0x1000 and its first buffer at 0x4000.
/// let (now, memory) = (Instant::ZERO, FakeMemory::new(0x8000));
/// memory.write_u64(0x1000, 0x4000);
/// let mut vnic = Vnic::new(VnicModelConfig::new(frame::mac(1)), bounce_memory());
/// for (register, value) in [
///     (reg::CTRL, Ctrl::SLU.bits()),
///     (reg::RDBAL, 0x1000),
///     (reg::RDLEN, 8 * 16),
///     (reg::RDT, 7),
///     (reg::IMS, Interrupt::RXT0.bits()),
///     (reg::RCTL, (Rctl::EN | Rctl::SECRC).bits()),
/// ] {
///     let _ = vnic.write(register, value, now);
/// }
///
/// let frame = frame::numbered(frame::mac(1), frame::mac(2), 7, 100);
/// assert!(put(&mut vnic.port(&memory), &frame, now));
/// assert_eq!(memory.bytes(0x4000, 100), frame);
/// assert!(vnic.take_effects().contains(Effects::IRQ_CHANGED));
/// ```
pub struct VnicPort<'a, M: GuestSpans> {
    vnic: &'a mut VnicEngine,
    memory: &'a M,
}

/// A run of frames that are delivered to the guest.
pub(crate) struct DeliveryRun {
    pub(crate) walk: ReceiveWalk,
}

impl<'a, M: GuestSpans> VnicPort<'a, M> {
    pub(crate) fn new(vnic: &'a mut VnicEngine, memory: &'a M) -> Self {
        Self { vnic, memory }
    }

    /// Plugs or unplugs the cable, as [`VnicEngine::set_link`] does.
    pub fn set_link(&mut self, up: bool, now: Instant) {
        let changes = self.vnic.set_link(up, now);
        self.vnic.note_effects(changes);
    }

    /// True if the vNIC has had effects since this was asked last that its guest's core may not know of.
    pub fn take_touched(&mut self) -> bool {
        core::mem::take(&mut self.vnic.touched)
    }

    /// Runs the transmit side. Returns the number of frames added, and whether work is left for another call.
    fn transmit(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> (usize, bool) {
        let VnicEngine { controller, fifo, transmit, .. } = &mut *self.vnic;
        let (memory, loopback) = (self.memory, controller.loopback());
        let (mut window, mut fuel) = (RingWindow::new(), MAX_DESCRIPTORS_PER_POLL);
        let (mut added, mut handled) = (0, 0);
        let mut turn_around = |controller: &mut _, frame: LentFrame<'_>| {
            turn_around(controller, fifo, memory, frame, now);
        };
        transmit.effort = 0;
        while handled < budget && transmit.effort < EFFORT_PER_POLL {
            if controller.transmit_stopped
                || !controller.enabled(RingKind::Transmit)
                || !(loopback || controller.link_up())
            {
                return (added, false);
            }
            if !loopback && into.is_full() {
                // The path fetches again when some frames have arrived.
                return (added, false);
            }
            if !transmit.is_loaded() && !transmit.has_room() {
                into.starve();
                return (added, false);
            }
            if !loopback && !transmit.is_loaded() && !transmit.discarding {
                let ahead = (&mut window, &mut fuel);
                let lent = transmit.lend_plain(controller, memory, ahead, into, budget - handled);
                (added, handled) = (added + lent, handled + lent);
                if lent > 0 {
                    continue;
                }
            }
            if !transmit.is_loaded() && !transmit.load(controller, memory, &mut window, &mut fuel, now) {
                return (added, fuel == 0);
            }
            let mut target =
                if loopback { Target::Receiver(&mut turn_around) } else { Target::Path(&mut *into) };
            match transmit.emit(controller, memory, &mut target) {
                Emitted::Frame => added += usize::from(!loopback),
                Emitted::Full => return (added, false),
                Emitted::Dropped => {}
            }
            handled += 1;
            if transmit.is_sent() {
                transmit.complete(controller, memory, now);
            }
        }
        (added, !into.is_full() && (transmit.is_loaded() || transmit.waiting(controller) != 0))
    }

    /// Begins a run of frames to the guest, with those that wait in the FIFO.
    fn begin_run(&mut self, now: Instant) {
        if self.vnic.run.is_none() {
            let VnicEngine { controller, fifo, refused, .. } = &mut *self.vnic;
            controller.load_tails();
            let mut walk = ReceiveWalk::new(controller);
            // Senders that were refused have been told since, if nobody is to tell them.
            *refused &= controller.interrupts.shared.is_starving();
            receive::drain(controller, fifo, self.memory, &mut walk, now);
            self.vnic.run = Some(DeliveryRun { walk });
        }
    }

    /// Adds what has changed, and these, to the effects.
    fn note(&mut self, effects: Effects, now: Instant) {
        let mut changes = self.vnic.changes(now) | effects | self.vnic.note_starving();
        // In loopback mode frames may have gone to the receiver by any call.
        let unfinished = receive::is_unfinished(&self.vnic.controller, &self.vnic.fifo);
        changes.set(Effects::RX_SPACE, changes.contains(Effects::RX_SPACE) || unfinished);
        self.vnic.note_effects(changes);
    }
}

/// Passes a frame from the transmitter to the receiver. One without room there is lost, as in hardware.
fn turn_around<M: GuestSpans>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    memory: &M,
    frame: LentFrame<'_>,
    now: Instant,
) {
    controller.counters.looped_back += 1;
    let mut walk = ReceiveWalk::new(controller);
    if !receive::offer(controller, fifo, memory, &mut walk, frame, FrameOrigin::Loopback, now) {
        controller.counters.receive_missed += 1;
        controller.note_missed(1);
    }
    walk.end(controller);
}

impl<M: GuestSpans> Port for VnicPort<'_, M> {
    fn capabilities(&mut self) -> Capabilities {
        let controller = &self.vnic.controller;
        Capabilities {
            max_frame: admission::longest(controller.receive_control()),
            link_up: controller.link_up(),
            segments: false,
            takes_segments: false,
        }
    }

    fn life(&mut self) -> u32 {
        self.vnic.transmit.life
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        self.vnic.controller.load_tails();
        let (added, left) = self.transmit(into, budget, now);
        let tally = core::mem::take(&mut self.vnic.transmit.tally);
        self.vnic.controller.count_transmitted(&tally);
        self.note(if left { Effects::TX_KICK } else { Effects::empty() }, now);
        added
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        let VnicEngine { controller, transmit, .. } = &mut *self.vnic;
        // Whether the ring is empty now is for the guest's latest tail to say.
        controller.load_tails();
        transmit.settle(outbox, controller, self.memory, now);
        self.note(Effects::empty(), now);
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        self.begin_run(now);
        let VnicEngine { controller, fifo, run: Some(run), .. } = &mut *self.vnic else {
            return Put::Refused(ticket);
        };
        let (memory, walk) = (self.memory, &mut run.walk);
        if receive::offer(controller, fifo, memory, walk, frame, FrameOrigin::Wire, now) {
            return Put::Done(ticket);
        }
        self.vnic.refused = true;
        Put::Refused(ticket)
    }

    fn flush(&mut self, now: Instant) {
        self.begin_run(now);
        if self.vnic.run.is_some() {
            self.vnic.end_run();
            self.note(Effects::empty(), now);
        }
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        self.vnic.controller.note_missed(frames);
        self.note(Effects::empty(), now);
    }
}
