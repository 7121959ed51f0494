//! Checksums: what the NICs verify of received frames, and what is still to be done to frames that are sent.

mod support;

use base::frame::HEAD;
use base::time::Duration;
use base::{Checksums, GuestPhysical, GuestSpans, Outbox, Port, Put, UnfinishedChecksum, Verdict};
use core::num::NonZeroU16;
use nic::Nic;
use proptest::prelude::*;
use support::fake_nic::{FakeFamily, FakeNic};
use support::{ID_82540EM, ID_82574L, ID_82576, TestMachine};
use testkit::frame::{self, Station, mac, padded, unfinished};
use testkit::{QueuePort, bytes_of, put_with};

type Driver = Nic<TestMachine<FakeNic>>;

const FAMILIES: [FakeFamily; 3] = [FakeFamily::E1000, FakeFamily::E1000e, FakeFamily::Igb];

// Bits of the status, which are the same in both formats of descriptors [8254x 3.2.3.1, I210 7.1.4.2.2].
const IXSM: u8 = 1 << 2;
const UDPCS: u8 = 1 << 4;
const TCPCS: u8 = 1 << 5;
const IPCS: u8 = 1 << 6;
// And of the errors [8254x 3.2.3.2]; those of the other format are 24 bits higher.
const TCPE: u8 = 1 << 5;
const IPE: u8 = 1 << 6;

fn started(kind: FakeFamily) -> (TestMachine<FakeNic>, Driver) {
    let mut nic = FakeNic { kind, ..FakeNic::default() };
    nic.set_receive_address(mac(7).0);
    let machine = TestMachine::new(nic);
    let id = match kind {
        FakeFamily::E1000 => ID_82540EM,
        FakeFamily::E1000e => ID_82574L,
        FakeFamily::Igb => ID_82576,
    };
    let driver = machine.start_as(id).expect("the NIC starts");
    (machine, driver)
}

fn stations() -> (Station, Station) {
    (Station::number(1), Station::number(2))
}

/// Receives a frame with these bits in its last descriptor; what is known of it then.
fn receive(
    machine: &TestMachine<FakeNic>,
    driver: &mut Driver,
    frame: &[u8],
    status: u8,
    errors: u8,
) -> Checksums {
    machine.nic.borrow_mut().indication = status;
    assert!(machine.nic.borrow_mut().receive(&machine.memory, frame, errors), "the ring has room");
    let mut outbox = Outbox::new(0);
    assert_eq!(driver.fetch(&mut outbox, 1, machine.now()), 1, "it is not dropped");
    let slot = outbox.fetched().expect("it was fetched");
    assert_eq!(bytes_of(outbox.frame(slot)), frame);
    let checksums = outbox.frame(slot).checksums;
    outbox.share(slot, 0);
    driver.settle(&mut outbox, machine.now());
    checksums
}

fn verified(ip: Verdict, transport: Verdict) -> Checksums {
    Checksums::Verified { ip, transport }
}

#[test]
fn what_the_nic_found_comes_with_the_frame() {
    use Verdict::{Bad, Good, Unknown};
    let (a, b) = stations();
    for kind in FAMILIES {
        let (machine, mut driver) = started(kind);
        let mut told = |frame: &[u8], status, errors| receive(&machine, &mut driver, frame, status, errors);
        for frame in
            [frame::tcp(&a, &b, 1, b"x"), frame::tcp(&a, &b, 1, &[7; 5000]), frame::udp(&a, &b, b"x")]
        {
            let udp = if frame[23] == 17 { UDPCS } else { 0 };
            let both = IPCS | TCPCS | udp;
            assert_eq!(told(&frame, both, 0), verified(Good, Good), "{kind:?}");
            assert_eq!(told(&frame, both, TCPE), verified(Good, Bad), "{kind:?}");
            assert_eq!(told(&frame, both, IPE), verified(Bad, Good), "{kind:?}");
            assert_eq!(told(&frame, both, IPE | TCPE), verified(Bad, Bad), "{kind:?}");
            assert_eq!(told(&frame, IPCS, TCPE), verified(Good, Unknown), "not calculated");
            assert_eq!(told(&frame, TCPCS | udp, IPE), verified(Unknown, Good), "not calculated");
            assert_eq!(told(&frame, 0, IPE | TCPE), Checksums::Unknown);
            assert_eq!(told(&frame, both | IXSM, IPE), Checksums::Unknown);
        }
        assert_eq!(told(&frame::udp(&a, &b, b"x"), UDPCS, TCPE), verified(Unknown, Bad));
    }
}

#[test]
fn a_report_on_what_not_all_nics_verify_is_not_believed() {
    use Verdict::{Bad, Good, Unknown};
    let (a, b) = stations();
    let udp = frame::udp(&a, &b, b"some bytes");
    let changed = |at: usize, value: u8| {
        let mut frame = udp.clone();
        frame[at] = value;
        frame
    };
    let mut without = udp.clone();
    without[40..42].fill(0);
    let icmp = frame::echo_request(&a, &b, 1, b"x");
    for kind in FAMILIES {
        let (machine, mut driver) = started(kind);
        let mut told = |frame: &[u8]| receive(&machine, &mut driver, frame, IPCS | TCPCS | UDPCS, TCPE);
        for frame in [
            frame::tagged(&udp, 5),
            frame::in_ipv6(&udp),
            frame::arp_request(&a, b.ip),
            frame::numbered(mac(1), mac(2), 1, 300),
        ] {
            assert_eq!(told(&frame), Checksums::Unknown);
        }
        // The first and the last fragment, no UDP checksum, another protocol, lengths that are not those of the frame.
        let others = [
            changed(20, 0x20),
            changed(21, 1),
            without.clone(),
            icmp.clone(),
            changed(17, 200),
            changed(39, 9),
        ];
        for frame in others {
            assert_eq!(told(&frame), verified(Good, Unknown));
        }
        assert_eq!(told(&udp), verified(Good, Bad));
    }
}

#[test]
fn the_nic_is_asked_to_verify_again_after_a_reset() {
    let (a, b) = stations();
    let (machine, mut driver) = started(FakeFamily::E1000e);
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, nic::CHECK_INTERVAL);
    machine.nic.borrow_mut().gone = false;
    machine.pass(&mut driver, nic::RETRY_INTERVAL + Duration::from_secs(1));
    let told = receive(&machine, &mut driver, &frame::tcp(&a, &b, 1, b"x"), IPCS | TCPCS, 0);
    assert_eq!(told, verified(Verdict::Good, Verdict::Good));
}

/// Sends a frame whose bytes are in the machine's memory, but for the head; returns what is on the wire.
fn send(
    machine: &TestMachine<FakeNic>,
    driver: &mut Driver,
    frame: &[u8],
    checksum: UnfinishedChecksum,
) -> Vec<u8> {
    let (head, rest) = frame.split_at(frame.len().min(HEAD));
    let at = machine.memory.base() + (1 << 21) - (1 << 16);
    machine.memory.put(at, rest);
    let mut outbox = Outbox::new(0);
    assert!(outbox.add(0, |new| {
        new.head(head.len()).copy_from_slice(head);
        new.checksums(Checksums::Unfinished(checksum));
        let rest = machine.memory.span(GuestPhysical(at), rest.len()).unwrap_or(base::Span::EMPTY);
        new.push(rest)
    }));
    let slot = outbox.fetched().expect("it was added");
    outbox.share(slot, 1);
    assert!(matches!(driver.put(outbox.frame(slot), outbox.lend(slot), machine.now()), Put::Kept));
    driver.flush(machine.now());
    driver.reap(&mut |ticket| outbox.give_back(ticket), machine.now());
    assert!(outbox.has_finished());
    machine.nic.borrow_mut().sent.pop_front().expect("it was sent")
}

fn family() -> impl Strategy<Value = FakeFamily> {
    (0..FAMILIES.len()).prop_map(|index| FAMILIES[index])
}

/// `frame`, which is IPv4, with so many more words in the header, all of which do nothing.
fn with_options(frame: &[u8], words: u8) -> Vec<u8> {
    let (header, rest) = frame.split_at(34);
    let mut header = [header, &[1; 40][..usize::from(words) * 4]].concat();
    let total = u16::try_from(header.len() + rest.len() - 14).expect("it is short");
    header[14] += words;
    header[16..18].copy_from_slice(&total.to_be_bytes());
    header[24..26].fill(0);
    let sum = frame::checksum(&header[14..]);
    header[24..26].copy_from_slice(&sum.to_be_bytes());
    [&header[..], rest].concat()
}

/// A complete TCP or UDP frame, and its number of tags.
fn complete() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let payload = proptest::collection::vec(any::<u8>(), 0..3000);
    (payload, any::<(bool, bool)>(), 0u8..=10, 0usize..4).prop_map(
        |(payload, (is_udp, is_ipv6), options, tags)| {
            let (a, b) = stations();
            let plain = if is_udp { frame::udp(&a, &b, &payload) } else { frame::tcp(&a, &b, 9, &payload) };
            let mut frame = if is_ipv6 { frame::in_ipv6(&plain) } else { with_options(&plain, options) };
            (0..tags).for_each(|tag| frame = frame::tagged(&frame, tag as u16));
            (frame, tags)
        },
    )
}

proptest! {
    #[test]
    fn frames_leave_with_their_checksums_in_place((frame, tags) in complete(), kind in family()) {
        let (machine, mut driver) = started(kind);
        let (sent, checksum) = unfinished(&frame);
        prop_assert_eq!(send(&machine, &mut driver, &sent, checksum), padded(frame.clone()));
        // The NIC has computed it if it fetched the frame by reference, and cannot be mistaken about the headers.
        let fetched = frame.len() >= HEAD + 64 && kind != FakeFamily::E1000;
        prop_assert_eq!(machine.nic.borrow().offload.summed, usize::from(fetched && tags < 2));
        // The NIC does not reach this memory.
        let (now, checksums) = (machine.now(), Checksums::Unfinished(checksum));
        prop_assert!(put_with(&mut driver, &sent, checksums, now));
        prop_assert_eq!(machine.nic.borrow_mut().sent.pop_front(), Some(padded(frame)));
    }

    #[test]
    fn any_range_that_a_guest_asks_for_is_summed(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        start in 0usize..126,
        distance in 0usize..126,
        udp in any::<bool>(),
        kind in family(),
    ) {
        let Some(checksum) = UnfinishedChecksum::new(start, start + distance, udp) else { return Ok(()) };
        let frame = frame::ethernet(mac(1), mac(2), 0x0800, &bytes);
        let mut expected = frame.clone();
        let sum = match !frame::checksum(&frame[start.min(frame.len())..]) {
            0xffff if udp => 0xffff,
            sum => !sum,
        };
        if let Some(field) = expected.get_mut(checksum.field()) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        let (machine, mut driver) = started(kind);
        prop_assert_eq!(send(&machine, &mut driver, &frame, checksum), padded(expected));
    }
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
    let (a, b) = stations();
    for kind in FAMILIES {
        let (machine, mut driver) = started(kind);
        for length in [20, 600] {
            // The last two bytes make the sum FFFFh.
            let mut payload = vec![7; length];
            payload[length - 2..].fill(0);
            let rest = frame::udp(&a, &b, &payload);
            payload[length - 2..].copy_from_slice(&rest[40..42]);
            let frame = frame::udp(&a, &b, &payload);
            assert_eq!(frame[40..42], [0xff, 0xff]);
            let (sent, checksum) = unfinished(&frame);
            assert_eq!(send(&machine, &mut driver, &sent, checksum), padded(frame));
        }
    }
}

#[test]
fn a_context_is_told_when_it_is_another_than_before_and_after_a_reset() {
    let (a, b) = stations();
    let (machine, mut driver) = started(FakeFamily::E1000e);
    let contexts = || machine.nic.borrow().offload.contexts;
    let [tcp, udp] =
        [unfinished(&frame::tcp(&a, &b, 1, &[7; 500])), unfinished(&frame::udp(&a, &b, &[7; 500]))];
    let longer = unfinished(&frame::tcp(&a, &b, 1, &[7; 900]));
    for ((frame, checksum), expected) in [(&tcp, 1), (&tcp, 1), (&longer, 1), (&udp, 2), (&tcp, 3), (&tcp, 3)]
    {
        send(&machine, &mut driver, frame, *checksum);
        assert_eq!(contexts(), expected);
    }
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, nic::CHECK_INTERVAL);
    machine.nic.borrow_mut().gone = false;
    machine.pass(&mut driver, nic::RETRY_INTERVAL + Duration::from_secs(1));
    send(&machine, &mut driver, &tcp.0, tcp.1);
    assert_eq!((contexts(), machine.nic.borrow().offload.summed), (4, 7));
}

#[test]
fn a_ring_that_is_full_of_contexts_too_keeps_all_frames() {
    let (a, b) = stations();
    for kind in [FakeFamily::E1000e, FakeFamily::Igb] {
        let (machine, mut driver) = started(kind);
        machine.nic.borrow_mut().transmit_credit = 0;
        let frames: Vec<_> = [frame::tcp(&a, &b, 1, &[7; 500]), frame::udp(&a, &b, &[7; 500])].into();
        let mut outbox = Outbox::new(0);
        let at = machine.memory.base() + (1 << 21) - (1 << 16);
        for number in 0..90 {
            let (sent, checksum) = unfinished(&frames[number % 2]);
            let (head, rest) = sent.split_at(HEAD);
            let place = at + 600 * (number as u64 % 2);
            machine.memory.put(place, rest);
            assert!(outbox.add(0, |new| {
                new.head(HEAD).copy_from_slice(head);
                new.checksums(Checksums::Unfinished(checksum));
                new.push(machine.memory.span(GuestPhysical(place), rest.len()).unwrap_or(base::Span::EMPTY))
            }));
            let slot = outbox.fetched().expect("it was added");
            outbox.share(slot, 1);
            match driver.put(outbox.frame(slot), outbox.lend(slot), machine.now()) {
                Put::Kept => assert!(number < 85, "three descriptors each"),
                Put::Refused(ticket) => {
                    assert!(number >= 85, "255 descriptors");
                    ticket.refused();
                }
                Put::Done(_) => panic!("it goes by reference"),
            }
        }
        driver.flush(machine.now());
        machine.nic.borrow_mut().transmit_credit = usize::MAX;
        machine.nic.borrow_mut().transmit(&machine.memory);
        let mut back = 0;
        let mut reap = |ticket| {
            back += 1;
            outbox.give_back(ticket);
        };
        driver.reap(&mut reap, machine.now());
        assert_eq!(back, 85);
        let sent: Vec<_> = machine.nic.borrow_mut().sent.drain(..).collect();
        assert_eq!(sent.len(), 85);
        assert!((0..85).all(|number| sent[number] == frames[number % 2]));
        // The last context was that of frame 84; what was refused has told nothing.
        let (frame, checksum) = unfinished(&frames[1]);
        assert_eq!(send(&machine, &mut driver, &frame, checksum), frames[1]);
        assert_eq!(machine.nic.borrow().offload.contexts, 86);
    }
}

#[test]
fn a_long_segment_that_the_nic_cannot_cut_is_dropped_and_counted() {
    let (a, b) = stations();
    let (sent, checksum) = unfinished(&frame::tcp(&a, &b, 1, &[7; 5000]));
    let mut syn = sent.clone();
    syn[47] |= 0x02;
    let (udp, of_udp) = unfinished(&frame::udp(&a, &b, &[7; 5000]));
    let (finished, mss) = (Checksums::Unknown, NonZeroU16::new(1460));
    let asked = Checksums::Unfinished(checksum);
    for (kind, frame, checksums, mss) in [
        (FakeFamily::E1000, &sent, asked, mss),
        (FakeFamily::E1000e, &sent, asked, mss),
        (FakeFamily::Igb, &sent, finished, mss),
        (FakeFamily::Igb, &syn, asked, mss),
        (FakeFamily::Igb, &udp, Checksums::Unfinished(of_udp), mss),
        (FakeFamily::Igb, &sent, asked, NonZeroU16::new(9000)),
    ] {
        let (machine, mut driver) = started(kind);
        let mut lender = QueuePort::new();
        (lender.checksums, lender.mss) = (checksums, mss);
        let mut outbox = Outbox::new(0);
        outbox.set_cut_for(base::MacAddress::destination_of(frame));
        lender.arrive(frame);
        lender.fetch(&mut outbox, 1, machine.now());
        let slot = outbox.fetched().expect("it was fetched");
        outbox.share(slot, 1);
        let put = driver.put(outbox.frame(slot), outbox.lend(slot), machine.now());
        assert!(matches!(put, Put::Done(_)), "{kind:?}");
        assert_eq!((driver.queue_counters().tx_too_long, driver.queue_counters().tx_queued), (1, 0));
    }
}
