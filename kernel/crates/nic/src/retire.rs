//! A NIC whose frames are to go another way.

use crate::chip::NicChip;
use crate::{NicDriver, NicHost, link};
use base::{Instant, RetiredFrames};

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Stops a NIC and resets it, so that others can send what it has not. Without a link it gives all that back by the next
    /// [`take_back`](base::Port::take_back), and says here how much that is. The reset goes on in [`check`](Self::check), with
    /// an empty ring. A NIC that has no link and holds nothing is left as it is, and so is one that has failed.
    ///
    /// Why nothing that was given back leaves the NIC later, nor changes: a transmitter that is disabled ends the packet that
    /// is on the wire, begins no other, and keeps what is in its FIFO until it is enabled [8254x 13.4.33, 82574 10.2.6, I210
    /// 8.12.1], which happens after a reset, which flushes the FIFO, or never. The 82576, I210 and I350 ask for no more:
    /// their queues are disabled only to be set up anew. The read that follows makes sure that the NIC has the command, and
    /// shows that it has no link: no packet is on the wire then, and none will be. So its count of those that have left is
    /// final [8254x 13.7.35, I210 8.18.29]. The NIC may go on to read the frames' memory for a moment, which is there (guests'
    /// memory does not move), and where reading changes nothing. What it writes back goes into its own ring, where
    /// nobody looks before it was reset and the ring filled anew.
    ///
    /// While the link is up (a hang) a packet may be half on the wire, and a NIC that does not answer has no count: then frames
    /// come back when it has been reset or may not access memory any more, as without this call, and
    /// [`NicEvent::Recovered`](crate::NicEvent::Recovered) says how many.
    pub fn retire(&mut self, now: Instant) -> RetiredFrames {
        let was_running = self.is_running();
        if was_running {
            if self.has_lost_link() {
                self.refresh_link();
                if self.collect_statistics() && self.holds_nothing() {
                    return RetiredFrames::default();
                }
            }
            self.recover(now);
        }
        if self.is_stopping() && self.has_lost_link() {
            self.is_counted &= self.collect_statistics();
            self.given_back_told = true;
            return self.end_transmission(now);
        }
        // A reset that has begun before may have given back what nobody has heard of.
        match core::mem::replace(&mut self.given_back_told, true) {
            false => self.given_back,
            true => RetiredFrames::default(),
        }
    }

    /// True if the NIC says that it has no link. One that was removed says nothing.
    fn has_lost_link(&mut self) -> bool {
        self.status().is_some_and(|status| !link::from_status(status).up)
    }

    /// The NIC sends nothing any more that is in its ring: it was stopped for good, was reset, or may not access memory. What
    /// has not left it is given back, as far as its count tells if it does. Returns how much that is.
    pub(crate) fn end_transmission(&mut self, now: Instant) -> RetiredFrames {
        self.queues.note_progress(now);
        let mut in_nic = 0;
        if core::mem::take(&mut self.is_counted) {
            self.queues.note_left(self.ahead(), usize::MAX, now);
            in_nic = self.in_nic();
        }
        self.queues.counters.tx_in_doubt += in_nic;
        let held = self.queues.transmit.frames.held();
        let in_doubt = usize::try_from(in_nic).unwrap_or(usize::MAX).saturating_add(held);
        let ended = RetiredFrames { returned: self.queues.restart_transmit(), in_doubt };
        self.given_back.returned += ended.returned;
        self.given_back.in_doubt = self.given_back.in_doubt.saturating_add(ended.in_doubt);
        ended
    }
}
