//! The short way of packets in one descriptor with which nothing is to be done: most of what a guest sends, if its packets
//! are short.

use crate::controller::Controller;
use crate::ethernet::{HEADER, MIN_LENGTH};
use crate::fault::RingKind;
use crate::flight::StatusReport;
use crate::packet::MAX_DESCRIPTORS;
use crate::port::EFFORT_PER_POLL;
use crate::ring::RingWindow;
use crate::transmit::{LONGEST, Transmitter};
use base::bits::low_u32;
use base::frame::HEAD;
use base::outbox::NewFrame;
use base::{GuestPhysical, GuestSpans, MacAddress, Memory, Outbox, Span};
use intel_regs::Tctl;
use intel_regs::desc::{self, TxCommand, TxDescriptor, TxLegacy};

/// The descriptor of such a packet.
struct PlainPacket {
    at: GuestPhysical,
    length: usize,
    report: StatusReport,
}

impl PlainPacket {
    /// The packet in this descriptor, unless it is another kind or has a forbidden length.
    #[inline]
    fn parse(bytes: [u8; desc::SIZE]) -> Option<Self> {
        /// What is requested in every descriptor of such packets, and what in none. IC is TSE in data descriptors.
        const REQUESTED: TxCommand = TxCommand::EOP.union(TxCommand::IFCS);
        const OTHERS: TxCommand = TxCommand::IC.union(TxCommand::VLE);
        // The command is at the same place in all descriptors.
        let command = TxCommand::from_bits_retain(bytes[core::mem::offset_of!(TxLegacy, command)]);
        if command.intersection(REQUESTED.union(OTHERS)) != REQUESTED {
            return None;
        }
        let (address, length, status) = match TxDescriptor::parse(bytes) {
            TxDescriptor::Legacy(legacy) => (legacy.address, legacy.length.get().into(), legacy.status),
            TxDescriptor::Data(data) if data.options == 0 => (data.address, data.length(), data.status),
            _ => return None,
        };
        let length = length as usize;
        let report = StatusReport::new(command, status);
        let carried = (HEADER..=LONGEST).contains(&length);
        carried.then_some(Self { at: GuestPhysical(address.get()), length, report })
    }
}

impl Transmitter {
    /// Lends out at most `budget` packets of this kind that come next, and returns how many. It ends with the first one of
    /// another kind, or that is not in one piece of memory; none may be loaded or half seen.
    pub(crate) fn lend_plain<M: GuestSpans>(
        &mut self,
        controller: &Controller,
        memory: &M,
        (window, fuel): (&mut RingWindow, &mut u32),
        outbox: &mut Outbox,
        budget: usize,
    ) -> usize {
        let ring = controller.ring(RingKind::Transmit);
        let least = if controller.transmit_control().contains(Tctl::PSP) { MIN_LENGTH } else { 0 };
        let (available, mut lent) = (ring.available(), 0);
        // None of them changes while a run of them is lent out.
        while self.flights.descriptors() < available && self.flights.fits(MAX_DESCRIPTORS) {
            let run = window.run(memory, &ring, self.flights.descriptors());
            let most = run.len().min(budget - lent).min(*fuel as usize);
            let taken =
                run.iter().take(most).take_while(|bytes| self.lend_one(memory, **bytes, least, outbox));
            let taken = taken.count();
            *fuel -= low_u32(taken as u64);
            lent += taken;
            if taken == 0 || taken < most {
                break;
            }
        }
        lent
    }

    /// Lends out the packet in this descriptor, padded to so many bytes.
    #[inline]
    fn lend_one<M: GuestSpans>(
        &mut self,
        memory: &M,
        bytes: [u8; desc::SIZE],
        least: usize,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(packet) = PlainPacket::parse(bytes).filter(|_| self.effort < EFFORT_PER_POLL) else {
            return false;
        };
        let span = memory.span(packet.at, packet.length).filter(|span| span.len() == packet.length);
        let Some(span) = span else { return false };
        let (length, mut destination) = (packet.length.max(least), MacAddress::default());
        let added = outbox.add(self.flights.next(), |frame| {
            destination = describe::<M::Memory>(frame, span, length);
            true
        });
        if added {
            self.flights.begin_plain(packet.report);
            self.tally.add(destination, length);
            self.effort += size_of::<TxLegacy>() + length;
        }
        added
    }
}

/// Makes a frame of this memory, padded to this length; returns its destination.
#[inline]
fn describe<M: Memory>(frame: &mut NewFrame<'_>, span: Span, length: usize) -> MacAddress {
    let (first, rest) = span.split(HEAD);
    let head = frame.head(first.len().max(length.min(HEAD)));
    let (own, padding) = head.split_at_mut(first.len());
    M::load(first, own);
    if !padding.is_empty() {
        padding.fill(0);
    }
    let destination = MacAddress::destination_of(own).unwrap_or_default();
    // One piece always fits.
    let _ = frame.push(rest);
    destination
}
