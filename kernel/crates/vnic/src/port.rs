//! The vNIC as a port of the frame path.

use crate::controller::Controller;
use crate::device::Vnic;
use crate::fault::RingKind;
use crate::fifo::ReceiveFifo;
use crate::packet::MAX_DESCRIPTORS;
use crate::receive::{self, FrameOrigin, ReceiveWalk};
use crate::ring::RingWindow;
use crate::transmit::Emitted;
use base::{Batch, Capabilities, Effects, GuestMemory, Instant, Port};

/// Maximum number of transmit descriptors examined in one poll: it bounds the time that a guest can consume with
/// descriptors that carry no data. No packet has more, so that one that is half seen at the end of a poll is seen to
/// its end in the next.
const MAX_DESCRIPTORS_PER_POLL: u32 = 256;
const _: () = assert!(MAX_DESCRIPTORS_PER_POLL as usize >= MAX_DESCRIPTORS);

/// A poll ends with the frame that brings it to this effort (see [`Transmitter::effort`]), in bytes, since copying takes
/// time too.
///
/// [`Transmitter::effort`]: crate::transmit::Transmitter::effort
const EFFORT_PER_POLL: usize = 32 * 1024;

/// A vNIC together with its guest's memory.
///
/// Call [`Port::send`] for frames to the guest, and with an empty slice after [`Effects::RX_SPACE`], when waiting
/// frames can move on. Call [`Port::poll`] for frames from the guest after [`Effects::TX_KICK`]. Afterwards
/// [`Vnic::take_effects`] returns the effects of these calls; [`Effects::TX_KICK`] among them means that a poll
/// ended with work left, and [`Effects::RX_SPACE`] that `send` did. Both are the guest's own work, however long its
/// rings are: the caller does it in the guest's time.
///
/// ```
/// use base::{Effects, Instant, MacAddress, Port};
/// use intel_regs::{Ctrl, Interrupt, Rctl, reg};
/// use testkit::{FakeMemory, frame};
/// use vnic::{Vnic, VnicModelConfig};
///
/// // A guest with one ring of 8 receive descriptors at 0x1000 and its first buffer at 0x4000.
/// let (now, memory) = (Instant::ZERO, FakeMemory::new(0x8000));
/// memory.write_u64(0x1000, 0x4000);
/// let mut vnic = Vnic::new(VnicModelConfig::new(frame::mac(1)));
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
/// assert_eq!(vnic.port(&memory).send(&[&frame], now), 1);
/// assert_eq!(memory.bytes(0x4000, 100), frame);
/// assert!(vnic.take_effects().contains(Effects::IRQ_CHANGED));
/// ```
pub struct VnicPort<'a, M: GuestMemory> {
    vnic: &'a mut Vnic,
    memory: &'a M,
}

impl<'a, M: GuestMemory> VnicPort<'a, M> {
    pub(crate) fn new(vnic: &'a mut Vnic, memory: &'a M) -> Self {
        Self { vnic, memory }
    }

    /// Plugs or unplugs the cable, as [`Vnic::set_link`] does.
    pub fn set_link(&mut self, up: bool, now: Instant) {
        let changes = self.vnic.set_link(up, now);
        self.vnic.effects |= changes;
    }

    /// What [`Vnic::take_effects`] would return.
    pub fn effects(&self) -> Effects {
        self.vnic.effects
    }

    /// Runs the transmit side. Returns the number of frames appended, and whether work is left for another call.
    fn transmit(&mut self, into: &mut Batch, budget: usize, now: Instant) -> (usize, bool) {
        let Vnic { controller, fifo, transmit, turnaround, .. } = &mut *self.vnic;
        let loopback = controller.loopback();
        let (mut window, mut fuel) = (RingWindow::new(), MAX_DESCRIPTORS_PER_POLL);
        let (mut appended, mut handled) = (0, 0);
        transmit.effort = 0;
        while handled < budget && transmit.effort < EFFORT_PER_POLL {
            if controller.transmit_stopped
                || !controller.enabled(RingKind::Transmit)
                || !(loopback || controller.link_up())
            {
                return (appended, false);
            }
            if !transmit.is_loaded() && !transmit.load(controller, self.memory, &mut window, &mut fuel, now) {
                return (appended, fuel == 0);
            }
            let target = if loopback { &mut *turnaround } else { &mut *into };
            match transmit.emit(controller, self.memory, target) {
                Emitted::Frame if loopback => turn_around(controller, fifo, turnaround, self.memory, now),
                Emitted::Frame => appended += 1,
                Emitted::Full => return (appended, true),
                Emitted::Dropped => {}
            }
            handled += 1;
            if transmit.is_sent() {
                transmit.complete(controller, self.memory, now);
            }
        }
        (appended, transmit.is_loaded() || controller.ring(RingKind::Transmit).available() != 0)
    }
}

/// Passes frames from the transmitter to the receiver. Those without room there are lost, as in hardware.
fn turn_around<M: GuestMemory>(
    controller: &mut Controller,
    fifo: &mut ReceiveFifo,
    frames: &mut Batch,
    memory: &M,
    now: Instant,
) {
    let mut walk = ReceiveWalk::new();
    for frame in frames.iter() {
        controller.counters.looped_back += 1;
        if !receive::offer(controller, fifo, memory, &mut walk, frame, FrameOrigin::Loopback, now) {
            controller.counters.receive_missed += 1;
            controller.note_missed(1);
        }
    }
    frames.clear();
}

impl<M: GuestMemory> Port for VnicPort<'_, M> {
    fn capabilities(&self) -> Capabilities {
        let controller = &self.vnic.controller;
        Capabilities {
            max_frame: receive::longest(controller.receive_control()),
            link_up: controller.link_up(),
        }
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        let before = self.vnic.observe();
        let Vnic { controller, fifo, .. } = &mut *self.vnic;
        let mut walk = ReceiveWalk::new();
        receive::drain(controller, fifo, self.memory, &mut walk, now);
        let accepted = frames
            .iter()
            .take_while(|frame| {
                receive::offer(controller, fifo, self.memory, &mut walk, frame, FrameOrigin::Wire, now)
            })
            .count();
        let unfinished = receive::is_unfinished(controller, fifo);
        self.vnic.refused |= accepted < frames.len();
        let mut changes = self.vnic.changes(&before, now);
        changes.set(Effects::RX_SPACE, unfinished);
        self.vnic.effects |= changes;
        accepted
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        let before = self.vnic.observe();
        self.vnic.controller.note_missed(frames);
        let changes = self.vnic.changes(&before, now);
        self.vnic.effects |= changes;
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize {
        let before = self.vnic.observe();
        let (appended, left) = self.transmit(into, budget, now);
        let mut changes = self.vnic.changes(&before, now);
        changes.set(Effects::TX_KICK, left);
        // In loopback mode frames have gone to the receiver.
        changes.set(Effects::RX_SPACE, receive::is_unfinished(&self.vnic.controller, &self.vnic.fifo));
        self.vnic.effects |= changes;
        appended
    }
}
