//! Packets whose descriptors the guest has handed over and that are not done: frames of theirs are on their way.
//!
//! Descriptors are marked done in the order of the ring. Drivers rely on it: they look at one with `RS` and take all
//! before it for done, too.

use crate::packet::PacketDescriptor;
use alloc::boxed::Box;
use base::bits::low_u32;
use core::num::NonZeroU8;
use intel_regs::desc::{TxCommand, TxStatus};

/// Most descriptors in flight. A guest that hands over more waits for the first.
const MOST_DESCRIPTORS: usize = 1024;

/// What is to be done with one descriptor when its packet is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusReport {
    /// The status byte to write back, if the guest requested it.
    pub(crate) status: Option<NonZeroU8>,
    /// The guest allows a delayed interrupt for it.
    pub(crate) delayed: bool,
}

const DONE: NonZeroU8 = NonZeroU8::new(TxStatus::DD.bits()).expect("a bit");

impl StatusReport {
    /// Nothing.
    pub(crate) const NONE: Self = Self { status: None, delayed: false };

    /// What a descriptor with this command and status byte asks for. `RS` and `IDE` are at the same place in `TUCMD` as in `DCMD`.
    #[inline]
    pub(crate) fn new(command: TxCommand, status: u8) -> Self {
        let status = command.contains(TxCommand::RS).then_some(DONE | status);
        Self { status, delayed: command.contains(TxCommand::IDE) }
    }
}

/// A packet, or descriptors between packets.
#[derive(Clone, Copy, Debug)]
struct Flight {
    descriptors: u32,
    /// Frames on their way, and one until all of them have been sent off.
    outstanding: u32,
}

/// The packets in flight, in the order of the ring, and what is to be done with their descriptors: circular buffers.
pub(crate) struct Flights {
    packets: Box<[Flight; MOST_DESCRIPTORS]>,
    reports: Box<[StatusReport; MOST_DESCRIPTORS]>,
    /// The number of the first packet, and of the one that comes next. Numbers go on when the ring is reset: frames of
    /// before are known by theirs.
    first: u32,
    next: u32,
    /// Where the first packet's reports begin, and how many there are.
    start: usize,
    descriptors: usize,
    /// Frames on their way.
    frames: usize,
}

const _: () = assert!(MOST_DESCRIPTORS.is_power_of_two());

impl Flights {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            packets: Box::new([Flight { descriptors: 0, outstanding: 0 }; MOST_DESCRIPTORS]),
            reports: Box::new([StatusReport::NONE; MOST_DESCRIPTORS]),
            first: 0,
            next: 0,
            start: 0,
            descriptors: 0,
            frames: 0,
        }
    }

    /// True while frames are on their way.
    pub(crate) fn have_frames(&self) -> bool {
        self.frames > 0
    }

    /// Descriptors in flight.
    pub(crate) fn descriptors(&self) -> u32 {
        low_u32(self.descriptors as u64)
    }

    /// True when so many more descriptors can be.
    pub(crate) fn fits(&self, descriptors: usize) -> bool {
        self.descriptors + descriptors <= MOST_DESCRIPTORS
    }

    /// Adds a packet with these descriptors, of which there is at least one and which must fit; it is still to be
    /// [sent off](Self::sent_off).
    pub(crate) fn begin(&mut self, descriptors: &[PacketDescriptor]) {
        descriptors.iter().for_each(|descriptor| self.expect(descriptor.report));
        self.add(Flight { descriptors: low_u32(descriptors.len() as u64), outstanding: 1 });
    }

    /// Adds a packet of one descriptor, which must fit, whose only frame is on its way.
    pub(crate) fn begin_plain(&mut self, report: StatusReport) {
        self.expect(report);
        self.add(Flight { descriptors: 1, outstanding: 1 });
        self.frames += 1;
    }

    /// What is to be done with one more descriptor.
    fn expect(&mut self, report: StatusReport) {
        self.reports[(self.start + self.descriptors) % MOST_DESCRIPTORS] = report;
        self.descriptors += 1;
    }

    fn add(&mut self, packet: Flight) {
        *self.packet(self.next) = packet;
        self.next = self.next.wrapping_add(1);
    }

    fn packet(&mut self, number: u32) -> &mut Flight {
        &mut self.packets[number as usize % MOST_DESCRIPTORS]
    }

    /// The number of the packet that comes next.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The number of the packet that was added last.
    pub(crate) fn last(&self) -> u32 {
        self.next.wrapping_sub(1)
    }

    /// A frame of the last packet is on its way.
    pub(crate) fn note_frame(&mut self) {
        self.packet(self.last()).outstanding += 1;
        self.frames += 1;
    }

    /// All frames of the last packet are on their way.
    pub(crate) fn sent_off(&mut self) {
        self.packet(self.last()).outstanding -= 1;
    }

    /// A frame of the packet with this number has arrived. False for one of before a reset, which means nothing.
    pub(crate) fn finished(&mut self, number: u32) -> bool {
        let known = number.wrapping_sub(self.first) < self.next.wrapping_sub(self.first);
        if known {
            self.packet(number).outstanding -= 1;
            self.frames -= 1;
        }
        known
    }

    /// Removes the packets at the front that are done, and passes what is to be done with each of their descriptors to
    /// `take`, with the number of those before it, until that returns false. Returns how many descriptors it took.
    pub(crate) fn retire(&mut self, mut take: impl FnMut(u32, StatusReport) -> bool) -> u32 {
        let mut taken = 0;
        while self.first != self.next {
            let Flight { descriptors, outstanding: 0 } = *self.packet(self.first) else { break };
            for _ in 0..descriptors {
                if !take(taken, self.reports[self.start % MOST_DESCRIPTORS]) {
                    return taken;
                }
                taken += 1;
                self.start += 1;
                self.descriptors -= 1;
            }
            self.first = self.first.wrapping_add(1);
        }
        taken
    }

    /// Forgets all packets, and returns how many frames of theirs are on their way.
    pub(crate) fn clear(&mut self) -> usize {
        self.first = self.next;
        self.descriptors = 0;
        core::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use intel_regs::desc::{TxCommand, TxDescriptor, TxLegacy};

    /// A descriptor with or without RS.
    fn descriptor(report: bool) -> PacketDescriptor {
        let command = if report { TxCommand::RS } else { TxCommand::empty() };
        let legacy = TxLegacy { command: command.bits(), ..TxLegacy::default() };
        PacketDescriptor::new(&TxDescriptor::parse(legacy.to_bytes()))
    }

    /// For each descriptor that is done, whether it has RS.
    fn retired(flights: &mut Flights) -> Vec<bool> {
        let mut reports = Vec::new();
        let done = flights.retire(|index, report| {
            assert_eq!(index as usize, reports.len());
            reports.push(report.status.is_some());
            true
        });
        assert_eq!(done as usize, reports.len());
        reports
    }

    #[test]
    fn packets_are_done_in_order_however_their_frames_arrive() {
        let mut flights = Flights::new();
        let mut numbers = Vec::new();
        for _ in 0..2 {
            flights.begin(&[descriptor(false), descriptor(true)]);
            numbers.push(flights.last());
            flights.note_frame();
            flights.note_frame();
            assert_eq!(retired(&mut flights), []);
            flights.sent_off();
        }
        let both = vec![false, true, false, true];
        for (number, done) in [(1, vec![]), (0, vec![]), (1, vec![]), (0, both)] {
            assert!(flights.finished(numbers[number]));
            assert_eq!(retired(&mut flights), done, "{number}");
        }
        assert_eq!((retired(&mut flights), flights.descriptors()), (vec![], 0));
    }

    #[test]
    fn plain_packets_are_done_with_the_others_in_order() {
        let mut flights = Flights::new();
        let before = flights.next();
        flights.begin_plain(StatusReport::new(TxCommand::RS, 0));
        flights.begin(&[descriptor(false)]);
        flights.sent_off();
        assert_eq!((retired(&mut flights), flights.have_frames()), (vec![], true));
        assert!(flights.finished(before) && !flights.have_frames());
        assert_eq!(retired(&mut flights), [true, false]);
    }

    #[test]
    fn what_cannot_be_marked_stays() {
        let mut flights = Flights::new();
        for _ in 0..3 {
            flights.begin_plain(StatusReport::NONE);
            let last = flights.last();
            flights.finished(last);
        }
        assert_eq!(flights.retire(|index, _| index < 1), 1);
        assert_eq!(flights.descriptors(), 2);
    }

    #[test]
    fn frames_of_before_a_reset_are_none_of_the_new_packets() {
        let mut flights = Flights::new();
        flights.begin(&[descriptor(true)]);
        let before = flights.last();
        flights.note_frame();
        assert_eq!(flights.clear(), 1);
        flights.begin(&[descriptor(true)]);
        flights.note_frame();
        flights.sent_off();
        assert!(!flights.finished(before));
        assert_eq!(retired(&mut flights), []);
        assert!(flights.finished(flights.last()));
        assert_eq!(retired(&mut flights), [true]);
    }
}
