//! The card as a port of the frame path.

use crate::card::Card;
use crate::device::Vnic;
use crate::fault::RingKind;
use crate::fifo::Fifo;
use crate::receive::{self, Origin};
use crate::ring::Window;
use crate::transmit::Emitted;
use base::{Batch, Capabilities, Effects, GuestMemory, Instant, Port};
use intel_regs::{Interrupt, stats};

/// Most transmit descriptors looked at in one poll: bounds the time that a guest can take with descriptors
/// that carry nothing.
const MAX_DESCRIPTORS_PER_POLL: u32 = 4096;

/// A card together with its guest's memory.
///
/// Call [`Port::send`] for frames to the guest, with an empty slice too when [`Effects::RX_SPACE`] told that
/// held frames can move on; call [`Port::poll`] for frames from the guest after [`Effects::TX_KICK`]. What
/// these set in motion is then in [`Vnic::take_effects`]: [`Effects::TX_KICK`] among it means that a poll
/// ended with work left.
pub struct VnicPort<'a, M: GuestMemory> {
    vnic: &'a mut Vnic,
    memory: &'a M,
}

impl<'a, M: GuestMemory> VnicPort<'a, M> {
    pub(crate) fn new(vnic: &'a mut Vnic, memory: &'a M) -> Self {
        Self { vnic, memory }
    }

    /// Plugs the cable in or out, as [`Vnic::set_link`] does.
    pub fn set_link(&mut self, up: bool, now: Instant) {
        let changes = self.vnic.set_link(up, now);
        self.vnic.effects |= changes;
    }

    /// Runs the transmit side; returns frames appended, and whether work is left for another call.
    fn transmit(&mut self, into: &mut Batch, budget: usize, now: Instant) -> (usize, bool) {
        let Vnic { card, fifo, transmit, turnaround, .. } = &mut *self.vnic;
        let loopback = card.loopback();
        let (mut window, mut fuel) = (Window::new(), MAX_DESCRIPTORS_PER_POLL);
        let (mut appended, mut handled) = (0, 0);
        while handled < budget {
            if card.transmit_stopped || !card.enabled(RingKind::Transmit) || !(loopback || card.link_up()) {
                return (appended, false);
            }
            if !transmit.is_loaded() && !transmit.load(card, self.memory, &mut window, &mut fuel, now) {
                return (appended, fuel == 0);
            }
            let target = if loopback { &mut *turnaround } else { &mut *into };
            match transmit.emit(card, self.memory, target) {
                Emitted::Frame if loopback => turn_around(card, fifo, turnaround, self.memory, now),
                Emitted::Frame => appended += 1,
                Emitted::Full => return (appended, true),
                Emitted::Dropped => {}
            }
            handled += 1;
            if transmit.is_sent() {
                transmit.complete(card, self.memory, now);
            }
        }
        (appended, transmit.is_loaded() || card.ring(RingKind::Transmit).available() != 0)
    }
}

/// Brings frames from the transmitter to the receiver. What finds no room there is lost, as on the card.
fn turn_around<M: GuestMemory>(
    card: &mut Card,
    fifo: &mut Fifo,
    frames: &mut Batch,
    memory: &M,
    now: Instant,
) {
    let mut window = Window::new();
    for frame in frames.iter() {
        card.counters.looped_back += 1;
        if !receive::offer(card, fifo, memory, &mut window, frame, Origin::Loopback, now) {
            card.counters.receive_missed += 1;
            card.registers.count(stats::MPC, 1);
            card.interrupts.raise(Interrupt::RXO);
        }
    }
    frames.clear();
}

impl<M: GuestMemory> Port for VnicPort<'_, M> {
    fn capabilities(&self) -> Capabilities {
        let card = &self.vnic.card;
        Capabilities { max_frame: receive::longest(card.receive_control()), link_up: card.link_up() }
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        let before = self.vnic.observe();
        let Vnic { card, fifo, .. } = &mut *self.vnic;
        let mut window = Window::new();
        receive::drain(card, fifo, self.memory, &mut window, now);
        let accepted = frames
            .iter()
            .take_while(|frame| {
                receive::offer(card, fifo, self.memory, &mut window, frame, Origin::Wire, now)
            })
            .count();
        let changes = self.vnic.changes(&before, now);
        self.vnic.effects |= changes;
        accepted
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize {
        let before = self.vnic.observe();
        let (appended, left) = self.transmit(into, budget, now);
        let mut changes = self.vnic.changes(&before, now);
        changes.set(Effects::TX_KICK, left);
        self.vnic.effects |= changes;
        appended
    }
}
