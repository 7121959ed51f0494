//! The NIC as a port: frames are sent and received in runs, with one tail write for each run.

use crate::chip::NicChip;
use crate::receive::ReceivedChain;
use crate::{NicDriver, NicHost, NicRegisters, receive};
use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};

/// Longest frame that the drivers carry, without frame check sequence: 9000 bytes of payload, an Ethernet
/// header and a VLAN tag.
pub const MAX_FRAME: usize = LONGEST_FRAME as usize;

/// [`MAX_FRAME`] as registers and descriptors take it.
pub(crate) const LONGEST_FRAME: u16 = 9018;

/// With so many frames in the ring, their sources may have lent out all that they can: the NIC is to say when it has sent some.
const MANY: usize = 64;

/// Length of an Ethernet header.
const HEADER: usize = 14;

impl<H: NicHost, C: NicChip> Port for NicDriver<H, C> {
    fn capabilities(&mut self) -> Capabilities {
        Capabilities { max_frame: MAX_FRAME, link_up: self.link().up }
    }

    /// Lends received frames out, and gives their descriptors back to the NIC at once, with other buffers. What a NIC had
    /// received before it stopped to work is taken too.
    fn fetch(&mut self, into: &mut Outbox, budget: usize, _now: Instant) -> usize {
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

    /// Their buffers are free for other frames.
    fn settle(&mut self, outbox: &mut Outbox, _now: Instant) {
        while let Some(cookie) = outbox.finished(|cookie, _| cookie) {
            self.receive.take_back(cookie);
        }
    }

    /// Puts a frame into the transmit ring. A NIC that does not work, or has no link, accepts none. Whoever keeps frames that
    /// were refused offers them again after [`NicDriver::interrupt`] has told of room.
    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        if !self.link().up {
            return Put::Refused(ticket);
        }
        if frame.length < HEADER {
            self.counters.tx_runt += 1;
        } else if frame.length > MAX_FRAME {
            self.counters.tx_too_long += 1;
        } else if let Err(ticket) = self.transmit.push(frame, ticket, now) {
            self.counters.tx_ring_full += 1;
            self.want_transmit_interrupt();
            return Put::Refused(ticket);
        } else {
            self.counters.tx_queued += 1;
            self.counters.tx_bytes += frame.length as u64;
            return Put::Kept;
        }
        Put::Done(ticket)
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) {
        while let Some(ticket) = self.transmit.unclaimed() {
            done(ticket);
        }
        // One that is being reset writes nothing back that means anything.
        while let Some(ticket) = self.is_running().then(|| self.transmit.sent(now)).flatten() {
            self.counters.tx_done += 1;
            done(ticket);
        }
    }

    /// Only a reset makes sure that the NIC reads no memory of a frame any more, and does not send it when its link is back:
    /// so it comes after one, or after the NIC has lost its right to access memory.
    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) {
        while let Some(ticket) = self.transmit.unsent() {
            unsent(ticket);
        }
    }

    /// Hands the frames to the NIC.
    fn flush(&mut self, _now: Instant) {
        if self.transmit.is_behind() {
            self.counters.tx_batches += 1;
            self.registers.write(C::TRANSMIT.tdt(), self.transmit.tell());
            if self.transmit.pending() >= MANY {
                self.want_transmit_interrupt();
            }
        }
    }
}

/// What happened to received descriptors.
enum ReceiveOutcome {
    Given,
    Dropped,
    NoRoom,
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Lends the frame in one chain out, or drops it and counts why.
    fn take(&mut self, chain: &ReceivedChain, into: &mut Outbox) -> ReceiveOutcome {
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
        } else if self.receive.lend(chain, into) {
            self.counters.rx_frames += 1;
            self.counters.rx_bytes += length as u64;
            return ReceiveOutcome::Given;
        } else {
            return ReceiveOutcome::NoRoom;
        }
        ReceiveOutcome::Dropped
    }
}
