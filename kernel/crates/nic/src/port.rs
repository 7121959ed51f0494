//! The NIC as a port: batches in, batches out, one tail write for each.

use crate::chip::NicChip;
use crate::receive::ReceivedChain;
use crate::{NicDriver, NicHost, NicRegisters, NicState, receive};
use base::{Batch, Capabilities, Instant, Port};

/// Longest frame the NIC carries, without frame check sequence: 9000 bytes of payload, an Ethernet header
/// and a VLAN tag.
pub const MAX_FRAME: usize = 9018;

/// Length of an Ethernet header.
const HEADER: usize = 14;

impl<H: NicHost, C: NicChip> Port for NicDriver<H, C> {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_frame: MAX_FRAME, link_up: self.link.up && self.state == NicState::Running }
    }

    /// Puts frames into the transmit ring and tells the NIC of all of them at once. A NIC that failed
    /// accepts none.
    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        if self.state != NicState::Running {
            return 0;
        }
        self.reclaim(now);
        let tail = self.transmit.tail();
        let taken = frames.iter().take_while(|frame| self.enqueue(frame, now)).count();
        if self.transmit.tail() != tail {
            self.counters.tx_batches += 1;
            self.registers.write(C::TRANSMIT.tdt(), self.transmit.tail());
        }
        self.want_transmit_interrupt(taken < frames.len());
        taken
    }

    /// Takes received frames out of the ring and gives the NIC all their buffers back at once.
    fn poll(&mut self, into: &mut Batch, budget: usize, _now: Instant) -> usize {
        if self.state != NicState::Running {
            return 0;
        }
        let mut given = 0;
        let mut released = false;
        // No more spans than descriptors: a NIC that fills the ring as fast as it is emptied cannot keep
        // the caller here.
        for _ in 0..receive::DESCRIPTORS {
            if given == budget {
                break;
            }
            let Some(span) = self.receive.next() else { break };
            match self.take(&span, into) {
                ReceiveOutcome::Given => given += 1,
                ReceiveOutcome::Dropped => {}
                ReceiveOutcome::NoRoom => break,
            }
            self.receive.release(&span);
            released = true;
        }
        if released {
            self.registers.write(C::RECEIVE.rdt(), self.receive.tail());
        }
        given
    }
}

/// What became of received descriptors.
enum ReceiveOutcome {
    Given,
    Dropped,
    NoRoom,
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Puts one frame into the transmit ring, or drops and counts it when it can never be sent; false
    /// when the ring has no room.
    fn enqueue(&mut self, frame: &[u8], now: Instant) -> bool {
        if frame.len() < HEADER {
            self.counters.tx_runt += 1;
        } else if frame.len() > MAX_FRAME {
            self.counters.tx_too_long += 1;
        } else if self.transmit.push(frame, now) {
            self.counters.tx_queued += 1;
            self.counters.tx_bytes += frame.len() as u64;
        } else {
            self.counters.tx_ring_full += 1;
            return false;
        }
        true
    }

    fn take(&mut self, span: &ReceivedChain, into: &mut Batch) -> ReceiveOutcome {
        let length = span.length();
        let rest_of_too_long = core::mem::replace(&mut self.skipping, false);
        if rest_of_too_long || !span.ends_frame || length > MAX_FRAME {
            self.skipping = !span.ends_frame;
            // Counted once, at its first span.
            self.counters.rx_too_long += u64::from(!rest_of_too_long);
        } else if span.has_errors {
            self.counters.rx_errors += 1;
        } else if length < HEADER {
            self.counters.rx_runt += 1;
        } else if into.fits(length) {
            into.push_with(length, |bytes| {
                self.receive.copy(span, bytes);
                true
            });
            self.counters.rx_frames += 1;
            self.counters.rx_bytes += length as u64;
            return ReceiveOutcome::Given;
        } else if into.is_empty() {
            self.counters.rx_no_room += 1;
        } else {
            return ReceiveOutcome::NoRoom;
        }
        ReceiveOutcome::Dropped
    }
}
