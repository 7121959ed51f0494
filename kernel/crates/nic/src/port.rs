//! The NIC as a port: frames are sent and received in batches, with one tail write for each batch.

use crate::chip::NicChip;
use crate::receive::ReceivedChain;
use crate::{NicDriver, NicHost, NicRegisters, receive};
use base::{Batch, Capabilities, Instant, Port};

/// Longest frame that the drivers carry, without frame check sequence: 9000 bytes of payload, an Ethernet
/// header and a VLAN tag.
pub const MAX_FRAME: usize = LONGEST_FRAME as usize;

/// [`MAX_FRAME`] as registers and descriptors take it.
pub(crate) const LONGEST_FRAME: u16 = 9018;

/// Length of an Ethernet header.
const HEADER: usize = 14;

impl<H: NicHost, C: NicChip> Port for NicDriver<H, C> {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_frame: MAX_FRAME, link_up: self.link().up }
    }

    /// Puts frames into the transmit ring and hands all of them to the NIC at once. A NIC that does not work accepts
    /// none. Whoever keeps frames that were refused offers them again after [`NicDriver::interrupt`] has told of room.
    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        if !self.is_running() {
            return 0;
        }
        self.reclaim(now);
        let tail = self.transmit.tail();
        let taken = frames.iter().take_while(|frame| self.enqueue(frame, now)).count();
        if self.transmit.tail() != tail {
            self.counters.tx_batches += 1;
            self.registers.write(C::TRANSMIT.tdt(), self.transmit.tail());
        }
        if taken < frames.len() {
            self.want_transmit_interrupt();
        }
        taken
    }

    /// Takes received frames from the ring and returns all their buffers to the NIC at once. What a NIC had received
    /// before it stopped to work is taken too.
    fn poll(&mut self, into: &mut Batch, budget: usize, _now: Instant) -> usize {
        let mut given = 0;
        let mut released = false;
        // At most as many chains as descriptors: a NIC that fills the ring as fast as it is emptied cannot
        // keep the caller here.
        for _ in 0..receive::DESCRIPTORS {
            if given == budget {
                break;
            }
            let Some(chain) = self.receive.next() else { break };
            match self.take(&chain, into) {
                ReceiveOutcome::Given => given += 1,
                ReceiveOutcome::Dropped => {}
                ReceiveOutcome::NoRoom => break,
            }
            self.receive.release(&chain);
            released = true;
        }
        if released && self.is_running() {
            self.registers.write(C::RECEIVE.rdt(), self.receive.tail());
        }
        given
    }
}

/// What happened to received descriptors.
enum ReceiveOutcome {
    Given,
    Dropped,
    NoRoom,
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Puts one frame into the transmit ring, or drops and counts it when it can never be sent; returns false
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

    /// Copies one chain into the batch, or drops it and counts why.
    fn take(&mut self, chain: &ReceivedChain, into: &mut Batch) -> ReceiveOutcome {
        let length = chain.length();
        let rest_of_too_long = core::mem::replace(&mut self.skipping, false);
        if rest_of_too_long || !chain.ends_frame || length > MAX_FRAME {
            self.skipping = !chain.ends_frame;
            // Counted once, at the first chain of the frame.
            self.counters.rx_too_long += u64::from(!rest_of_too_long);
        } else if chain.has_errors {
            self.counters.rx_errors += 1;
        } else if length < HEADER {
            self.counters.rx_runt += 1;
        } else if into.fits(length) {
            into.push_with(length, |bytes| {
                self.receive.copy(chain, bytes);
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
