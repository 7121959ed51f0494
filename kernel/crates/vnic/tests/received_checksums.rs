//! Checksums of arriving frames: what the guest is told, and that none is left unfinished.

mod common;

use base::frame::HEAD;
use base::{Checksums, GuestPhysical, GuestSpans, Outbox, Port, Put, UnfinishedChecksum, Verdict};
use common::*;
use intel_regs::desc::{RxErrors, RxStatus};
use intel_regs::{Ctrl, Rctl, Rxcsum, reg};
use proptest::prelude::*;
use testkit::frame::{self, Station};
use testkit::{FakeMemory, bounce_memory, put_with};
use vnic::{Vnic, VnicModelConfig};

const ALL: Rxcsum = Rxcsum::IPOFL.union(Rxcsum::TUOFL).union(Rxcsum::IPV6OFL);
const INDICATION: RxStatus = RxStatus::IXSM.union(RxStatus::IPCS).union(RxStatus::TCPCS);

fn stations() -> (Station, Station) {
    (Station::number(2), Station::number(1))
}

/// Delivers a frame of which this is known to a guest with this RXCSUM; returns what it sees.
fn deliver(
    guest: &mut Guest,
    control: Rxcsum,
    frame: &[u8],
    checksums: Checksums,
) -> (Vec<u8>, RxStatus, RxErrors) {
    guest.set(reg::RXCSUM, control.bits());
    assert!(put_with(&mut guest.nic.port(&guest.memory), frame, checksums, guest.now));
    let seen = guest.receive().expect("it was delivered");
    let _ = guest.recycle();
    let (bytes, descriptor) = seen;
    let status = RxStatus::from_bits_retain(descriptor.status) & INDICATION;
    (bytes, status, RxErrors::from_bits_retain(descriptor.errors))
}

#[test]
fn the_guest_is_told_what_the_nic_found_as_far_as_it_asks() {
    let mut guest = Guest::new();
    let (a, b) = stations();
    let frame = frame::tcp(&a, &b, 1, &[7; 1000]);
    let (ip, transport) = (Rxcsum::IPOFL, Rxcsum::TUOFL);
    let both = RxStatus::IPCS | RxStatus::TCPCS;
    let none = RxErrors::empty();
    for (control, found, status, errors) in [
        (Rxcsum::empty(), (Verdict::Bad, Verdict::Bad), RxStatus::IXSM, none),
        (ip, (Verdict::Good, Verdict::Bad), RxStatus::IPCS, none),
        (ip, (Verdict::Bad, Verdict::Good), RxStatus::IPCS, RxErrors::IPE),
        (transport, (Verdict::Bad, Verdict::Good), RxStatus::TCPCS, none),
        (transport, (Verdict::Good, Verdict::Bad), RxStatus::TCPCS, RxErrors::TCPE),
        (ALL, (Verdict::Good, Verdict::Good), both, none),
        (ALL, (Verdict::Bad, Verdict::Bad), both, RxErrors::IPE | RxErrors::TCPE),
        (ALL, (Verdict::Good, Verdict::Unknown), RxStatus::IPCS, none),
        (ALL, (Verdict::Unknown, Verdict::Bad), RxStatus::TCPCS, RxErrors::TCPE),
        (ip, (Verdict::Unknown, Verdict::Bad), RxStatus::IXSM, none),
    ] {
        let (ip, transport) = found;
        let seen = deliver(&mut guest, control, &frame, Checksums::Verified { ip, transport });
        assert_eq!(seen, (frame.clone(), status, errors), "{control:?}, {found:?}");
    }
    // A frame of another guest.
    let seen = deliver(&mut guest, ALL, &frame, Checksums::Unknown);
    assert_eq!((seen.1, seen.2), (RxStatus::IXSM, none));
}

#[test]
fn verdicts_wait_in_the_fifo_with_their_frames() {
    let mut guest = Guest::with(Rctl::BAM | Rctl::SECRC, 8);
    guest.set(reg::RXCSUM, ALL.bits());
    let (a, b) = stations();
    let found = [Verdict::Good, Verdict::Bad, Verdict::Unknown];
    for number in 0..15 {
        let frame = frame::tcp(&a, &b, number, &[7; 200]);
        let checksums = Checksums::Verified { ip: Verdict::Good, transport: found[number as usize % 3] };
        assert!(put_with(&mut guest.nic.port(&guest.memory), &frame, checksums, guest.now));
    }
    let mut seen = Vec::new();
    while seen.len() < 15 {
        while let Some((_, descriptor)) = guest.receive() {
            let status = RxStatus::from_bits_retain(descriptor.status);
            let bad = RxErrors::from_bits_retain(descriptor.errors).contains(RxErrors::TCPE);
            seen.push(match (status.contains(RxStatus::TCPCS), bad) {
                (false, _) => Verdict::Unknown,
                (true, false) => Verdict::Good,
                (true, true) => Verdict::Bad,
            });
        }
        let _ = guest.recycle();
        guest.send(&[]);
    }
    assert_eq!(seen, found.repeat(5));
}

#[test]
fn a_frame_is_read_once_whatever_the_guest_asks_for() {
    let vnic =
        Vnic::new(VnicModelConfig { compute_fcs: false, ..VnicModelConfig::new(MAC) }, bounce_memory());
    let mut guest = Guest::new();
    let control = (Ctrl::SLU | Ctrl::FD).bits();
    guest.nic = vnic;
    for (register, value) in [
        (reg::CTRL, control),
        (reg::RDBAL, RX_RING as u32),
        (reg::RDLEN, 8 * 16),
        (reg::RDT, 7),
        (reg::RXCSUM, ALL.bits()),
        (reg::RCTL, (Rctl::EN | Rctl::BAM).bits()),
    ] {
        guest.set(register, value);
    }
    let (a, b) = stations();
    let frame = frame::tcp(&a, &b, 1, &[7; 1400]);
    let lender = FakeMemory::at(1 << 40, 2048);
    lender.put(1 << 40, &frame[HEAD..]);
    let mut outbox = Outbox::new(0);
    assert!(outbox.add(0, |new| {
        new.head(HEAD).copy_from_slice(&frame[..HEAD]);
        new.checksums(Checksums::Verified { ip: Verdict::Good, transport: Verdict::Good });
        lender.span(GuestPhysical(1 << 40), frame.len() - HEAD).is_some_and(|rest| new.push(rest))
    }));
    let slot = outbox.fetched().expect("it was added");
    outbox.share(slot, 1);
    lender.record();
    let ticket = outbox.lend(slot);
    let Put::Done(ticket) = guest.nic.port(&guest.memory).put(outbox.frame(slot), ticket, guest.now) else {
        panic!("it was delivered");
    };
    outbox.give_back(ticket);
    let read: usize = lender.recorded().iter().map(|access| access.length).sum();
    assert_eq!(read, frame.len() - HEAD);
    assert_eq!(guest.receive().expect("it was delivered").0[..frame.len()], frame);
}

#[test]
fn looped_back_frames_are_for_the_guest_to_verify() {
    let mut guest = Guest::with(Rctl::BAM | Rctl::SECRC | Rctl::LBM_MAC, RING);
    guest.set(reg::RXCSUM, ALL.bits());
    let (a, b) = stations();
    let frame = frame::tcp(&a, &b, 1, &[7; 300]);
    assert_eq!(guest.transmit(&frame), [[]; 0]);
    let (bytes, descriptor) = guest.receive().expect("it was looped back");
    assert_eq!((bytes, descriptor.errors), (frame, 0));
    assert_eq!(RxStatus::from_bits_retain(descriptor.status) & INDICATION, RxStatus::IXSM);
}

/// A complete TCP or UDP frame.
fn complete() -> impl Strategy<Value = Vec<u8>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..1400);
    (payload, any::<(bool, bool)>(), 0usize..3).prop_map(|(payload, (is_udp, is_ipv6), tags)| {
        let (a, b) = stations();
        let mut frame = if is_udp { frame::udp(&a, &b, &payload) } else { frame::tcp(&a, &b, 9, &payload) };
        if is_ipv6 {
            frame = frame::in_ipv6(&frame);
        }
        (0..tags).for_each(|tag| frame = frame::tagged(&frame, tag as u16));
        frame
    })
}

proptest! {
    #[test]
    fn an_unfinished_checksum_is_finished_and_right(frame in complete(), wanted in any::<u32>()) {
        let mut guest = Guest::new();
        let (sent, checksum) = frame::unfinished(&frame);
        let control = Rxcsum::from_bits_truncate(wanted);
        let checksums = Checksums::Unfinished(checksum);
        let (bytes, status, errors) = deliver(&mut guest, control, &sent, checksums);
        prop_assert_eq!(&bytes, &frame::padded(frame));
        prop_assert_eq!(errors, RxErrors::empty());
        let at = if bytes[12..14] == [0x81, 0x00] { 16 } else { 12 };
        let wanted = match bytes[at..at + 2] {
            [0x08, 0x00] => control.contains(Rxcsum::TUOFL),
            [0x86, 0xdd] => control.contains(Rxcsum::TUOFL | Rxcsum::IPV6OFL),
            _ => false,
        };
        prop_assert_eq!(status, if wanted { RxStatus::TCPCS } else { RxStatus::IXSM });
    }

    #[test]
    fn any_range_that_a_guest_asks_for_is_summed(
        bytes in proptest::collection::vec(any::<u8>(), 46..600),
        start in 0usize..126,
        distance in 0usize..126,
        udp in any::<bool>(),
    ) {
        let (a, _) = stations();
        let frame = frame::ethernet(MAC, a.mac, 0x0800, &bytes);
        let Some(checksum) = UnfinishedChecksum::new(start, start + distance, udp) else { return Ok(()) };
        let mut expected = frame.clone();
        let sum = match !0 - frame::checksum(&frame[start.min(frame.len())..]) {
            0xffff if udp => 0xffff,
            sum => !sum,
        };
        if let Some(field) = expected.get_mut(checksum.field()) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        let mut guest = Guest::new();
        let (bytes, status, errors) = deliver(&mut guest, ALL, &frame, Checksums::Unfinished(checksum));
        prop_assert_eq!(bytes, expected);
        // Noise is hardly ever a packet.
        prop_assert_eq!((status, errors), (RxStatus::IXSM, RxErrors::empty()));
    }
}

#[test]
fn a_checksum_that_cannot_be_right_is_not_called_good() {
    let mut guest = Guest::new();
    let (a, b) = stations();
    let (sent, checksum) = frame::unfinished(&frame::tcp(&a, &b, 1, &[7; 300]));
    let mut wrong_sum = sent.clone();
    wrong_sum[checksum.field().start] ^= 1;
    let longer = [&sent[..], &[1]].concat();
    let elsewhere = UnfinishedChecksum::new(34, 52, false).unwrap();
    let of_udp = UnfinishedChecksum::new(34, 50, true).unwrap();
    for (frame, checksum) in
        [(&wrong_sum, checksum), (&longer, checksum), (&sent, elsewhere), (&sent, of_udp)]
    {
        let (_, status, errors) = deliver(&mut guest, ALL, frame, Checksums::Unfinished(checksum));
        assert_eq!((status, errors), (RxStatus::IXSM, RxErrors::empty()));
    }
    let (_, status, _) = deliver(&mut guest, ALL, &sent, Checksums::Unfinished(checksum));
    assert_eq!(status, RxStatus::TCPCS);
}
