//! A team's own frames on their way to the wire: beacons, questions to the gateway, announcements.

use crate::frames::{EchoFilter, OwnFrame, announcement};
use crate::{MAX_ADDRESSES, MAX_MEMBERS, MAX_VNICS};
use base::{Instant, MacAddress, Outbox, Port, Put, Ticket};

/// The number of the source of its own frames, which no port of a switch has.
const SOURCE: u8 = u8::MAX;

/// Most frames of its own that one member has, and most that wait for it: the beacons of a round, and a question.
const MOST_LENT: u8 = 12;
const MOST_PENDING: usize = 10;

/// Most addresses that wait to be announced: all that there are.
const MOST_NOTICES: usize = MAX_VNICS * MAX_ADDRESSES;

const _: () = assert!(MOST_LENT as usize * MAX_MEMBERS <= base::outbox::WINDOW);

/// An address in its VLAN, which is behind a member now.
pub(super) type Notice = (MacAddress, Option<u16>);

/// The frames, as long as the team has to do with them.
pub(super) struct OwnFrames {
    outbox: Outbox,
    /// Those for which members had no room, the addresses that they are to announce, and how many these are together.
    pending: [heapless::Deque<OwnFrame, MOST_PENDING>; MAX_MEMBERS],
    notices: [heapless::Vec<Notice, MOST_NOTICES>; MAX_MEMBERS],
    waiting: usize,
    /// How many each member has.
    lent: [u8; MAX_MEMBERS],
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

impl OwnFrames {
    /// None.
    pub(super) fn new() -> Self {
        Self {
            outbox: Outbox::new(SOURCE),
            pending: [const { heapless::Deque::new() }; MAX_MEMBERS],
            notices: [const { heapless::Vec::new() }; MAX_MEMBERS],
            waiting: 0,
            lent: [0; MAX_MEMBERS],
            sent: 0,
            dropped: 0,
        }
    }

    /// Sends a frame by the NIC of the member in this place; as soon as there is room, if there is none now.
    pub(super) fn send(&mut self, nic: &mut impl Port, place: usize, frame: &OwnFrame, now: Instant) {
        if self.pending[place].is_empty() && self.offer(nic, place, frame, now) {
            nic.flush(now);
            return;
        }
        if self.pending[place].is_full() {
            self.pending[place].pop_front();
            self.dropped += 1;
        }
        let _ = self.pending[place].push_back(frame.clone());
        self.count_waiting();
    }

    /// Announces an address by the NIC of the member in this place, as soon as there is room, and by no other one any more.
    pub(super) fn announce(
        &mut self,
        nic: &mut impl Port,
        place: usize,
        notice: Notice,
        echoes: &mut EchoFilter,
        now: Instant,
    ) {
        for (other, notices) in self.notices.iter_mut().enumerate() {
            notices.retain(|known| other == place || *known != notice);
        }
        if !self.notices[place].contains(&notice) && self.notices[place].push(notice).is_err() {
            self.dropped += 1;
        }
        self.send_waiting(nic, place, echoes, now);
    }

    /// Sends what a member has had no room for. It has given frames back, or nobody else has been asked yet.
    pub(super) fn send_waiting(
        &mut self,
        nic: &mut impl Port,
        place: usize,
        echoes: &mut EchoFilter,
        now: Instant,
    ) {
        while let Some(frame) = self.pending[place].front().cloned()
            && self.offer(nic, place, &frame, now)
        {
            self.pending[place].pop_front();
        }
        while self.pending[place].is_empty()
            && let Some((mac, vlan)) = self.notices[place].first().copied()
        {
            let frame = announcement(mac, vlan);
            if !self.offer(nic, place, &frame, now) {
                break;
            }
            echoes.note(frame.bytes(), frame.bytes().len(), now);
            self.notices[place].remove(0);
        }
        self.count_waiting();
        nic.flush(now);
    }

    /// Sends nothing by this member any more that waits for it: when it has room again, it may be out of date.
    pub(super) fn forget(&mut self, place: usize) {
        self.dropped += (self.pending[place].len() + self.notices[place].len()) as u64;
        self.pending[place].clear();
        self.notices[place].clear();
        self.count_waiting();
    }

    fn count_waiting(&mut self) {
        let pending = self.pending.iter().map(heapless::Deque::len);
        self.waiting = pending.chain(self.notices.iter().map(|notices| notices.len())).sum();
    }

    /// Offers a frame to a NIC; false if that has no room for it, or has too many of the team's already.
    fn offer(&mut self, nic: &mut impl Port, place: usize, frame: &OwnFrame, now: Instant) -> bool {
        let bytes = frame.bytes();
        if self.lent[place] >= MOST_LENT {
            return false;
        }
        let added = self.outbox.add(0, |new| {
            let head = new.head(bytes.len());
            head.copy_from_slice(&bytes[..head.len()]);
            true
        });
        let Some(slot) = self.outbox.fetched().filter(|_| added) else { return false };
        self.outbox.share(slot, 1);
        let put = nic.put(self.outbox.frame(slot), self.outbox.lend(slot), now);
        let sent = !matches!(put, Put::Refused(_));
        match put {
            Put::Kept => self.lent[place] += 1,
            Put::Done(ticket) | Put::Refused(ticket) => self.outbox.give_back(ticket),
        }
        self.sent += u64::from(sent);
        self.settle();
        sent
    }

    /// True if none is on its way, and none is to be.
    pub(super) fn is_quiet(&self) -> bool {
        self.outbox.is_empty() && self.waiting == 0
    }

    /// How many a member has kept.
    pub(super) fn lent(&self, place: usize) -> usize {
        self.lent[place].into()
    }

    /// Takes a frame back that a member has given back, if it is one of these.
    pub(super) fn take(&mut self, ticket: Ticket, place: usize) -> Option<Ticket> {
        if ticket.source() != usize::from(SOURCE) {
            return Some(ticket);
        }
        self.lent[place] = self.lent[place].saturating_sub(1);
        self.outbox.give_back(ticket);
        self.settle();
        None
    }

    fn settle(&mut self) {
        while self.outbox.finished(|_, _| ()).is_some() {}
    }
}
