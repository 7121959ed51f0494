//! The NIC as a port: frames are sent and received in runs, with one tail write for each run.

use crate::chip::NicChip;
use crate::descriptors::DescriptorFormat;
use crate::{NicDriver, NicHost, NicRegisters};
use base::{Capabilities, Instant, LentFrame, LinkSpeed, Outbox, Port, Put, Ticket};

/// Longest frame that the drivers carry, without frame check sequence: 9000 bytes of payload, an Ethernet
/// header and a VLAN tag.
pub const MAX_FRAME: usize = LONGEST_FRAME as usize;

/// [`MAX_FRAME`] as registers and descriptors take it.
pub(crate) const LONGEST_FRAME: u16 = 9018;

const _: () = assert!(base::offload::LONGEST_SEGMENT <= MAX_FRAME);

/// With so many frames in the ring, their sources may have lent out all that they can: the NIC is to say when it has sent some.
const MANY: usize = 64;

impl<H: NicHost, C: NicChip> Port for NicDriver<H, C> {
    /// On slower links nobody is asked for packets to cut: a long one would take longer than others wait for a NIC that takes
    /// nothing. Those that were left to another NIC are taken.
    fn capabilities(&mut self) -> Capabilities {
        let link = self.link();
        let takes_segments = C::Descriptors::SEGMENTS;
        let segments = takes_segments && link.speed == LinkSpeed::Mbps1000;
        Capabilities { max_frame: MAX_FRAME, link_up: link.up, segments, takes_segments }
    }

    /// Lends received frames out, and gives their descriptors back to the NIC at once, with other buffers. What a NIC had
    /// received before it stopped to work is taken too.
    fn fetch(&mut self, into: &mut Outbox, budget: usize, _now: Instant) -> usize {
        let (given, released) = self.queues.fetch(into, budget);
        if released && self.is_running() {
            self.registers.write(C::RECEIVE.rdt(), self.queues.receive.tail());
        }
        given
    }

    /// Their buffers are free for other frames.
    fn settle(&mut self, outbox: &mut Outbox, _now: Instant) {
        self.queues.settle(outbox);
    }

    /// Puts a frame into the transmit ring. A NIC that does not work, or has no link, accepts none. Whoever keeps frames that
    /// were refused offers them again after [`NicDriver::interrupt`] has told of room.
    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        if !(self.is_running() && self.link.up) {
            return Put::Refused(ticket);
        }
        let put = self.queues.put(frame, ticket, now);
        if let Put::Refused(_) = put {
            self.want_transmit_interrupt();
        }
        put
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        self.release_held(now);
        self.queues.reap(self.is_running(), done, now)
    }

    /// These come when the NIC was [retired](NicDriver::retire) without a link, or else after its reset, or after it has lost its
    /// right to access memory: before, it might still send one.
    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        self.queues.take_back(unsent)
    }

    /// Hands the frames to the NIC.
    fn flush(&mut self, _now: Instant) {
        if let Some(tail) = self.queues.tell() {
            self.registers.write(C::TRANSMIT.tdt(), tail);
            if self.queues.transmit.frames.depth().frames >= MANY {
                self.want_transmit_interrupt();
            }
        }
    }
}
