//! The drivers against QEMU's NICs as outside witnesses: e1000, e1000-82545em, e1000e and igb.
//!
//! `emulator::command` chooses the QEMU; without one the output says that nothing was run.

mod emulator;

use base::frame::HEAD;
use base::time::Duration;
use base::{Checksums, Instant, Memory, Outbox, Port, Put};
use core::num::NonZeroU16;
use emulator::{EmulatedMachine, EmulatedMemory};
use nic::{InterruptMode, MAX_FRAME, Nic, NicEvent, NicHost, NicRegisters, NicState, TRANSMIT_HANG};
use testkit::frame::{
    Station, checksum, in_ipv6, mac, number_of, numbered, padded, tagged, tcp, udp, unfinished,
};

const TCTL: u32 = 0x0400;

fn frame(number: u32, length: usize) -> Vec<u8> {
    numbered(mac(1), mac(2), number, length)
}

fn send(machine: &EmulatedMachine, driver: &mut Nic<EmulatedMachine>, frames: &[Vec<u8>]) -> usize {
    testkit::put_all(driver, frames.iter().map(Vec::as_slice), machine.now())
}

/// Sends a frame of which the NIC is given the head, and the rest by reference, in two pieces or more. It is cut into segments
/// with so much payload.
fn send_by_reference(
    machine: &EmulatedMachine,
    driver: &mut Nic<EmulatedMachine>,
    frame: &[u8],
    checksums: Checksums,
    mss: Option<NonZeroU16>,
) {
    let (head, rest) = frame.split_at(frame.len().min(HEAD));
    let memory = machine.clone().allocate(rest.len().max(1), 4096).expect("there is memory");
    // Short frames are copied now, and a checksum that software computed would be one of zeros.
    if checksums == Checksums::Unknown {
        EmulatedMemory::store(memory, rest);
    }
    let (mut outbox, now) = (Outbox::new(0), machine.now());
    // Tickets of frames before that nobody waits for.
    driver.reap(&mut drop, now);
    assert!(outbox.add(0, |new| {
        new.head(head.len()).copy_from_slice(head);
        new.checksums(checksums);
        mss.into_iter().for_each(|mss| new.segment(mss));
        let pieces = rest.len().div_ceil(rest.len().div_ceil(2).clamp(1, 16_000));
        (0..pieces).all(|piece| {
            new.push(memory.part(piece * rest.len().div_ceil(pieces), rest.len().div_ceil(pieces)))
        })
    }));
    let slot = outbox.fetched().expect("it was added");
    outbox.share(slot, 1);
    assert!(matches!(driver.put(outbox.frame(slot), outbox.lend(slot), now), Put::Kept));
    EmulatedMemory::store(memory, rest);
    driver.flush(now);
    machine.wait("the frame comes back", || {
        driver.reap(&mut |ticket| outbox.give_back(ticket), now);
        outbox.has_finished()
    });
}

/// Sends one frame each way.
fn carries(machine: &EmulatedMachine, driver: &mut Nic<EmulatedMachine>, frame: Vec<u8>) {
    assert_eq!(send(machine, driver, std::slice::from_ref(&frame)), 1);
    assert_eq!(machine.capture(), padded(frame.clone()), "{} bytes out", frame.len());
    let length = frame.len();
    machine.inject(&padded(frame.clone()));
    assert_eq!(machine.poll(driver, 1), [padded(frame)], "{length} bytes in");
}

fn frames_of_every_length_and_in_number_pass_both_ways(model: &str) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, "frames") else { return };
    assert_eq!(driver.mac(), mac(9));
    let events: Vec<_> = driver.events().collect();
    assert!(matches!(events[..], [NicEvent::LinkUp(_)]), "{events:?}");

    let lengths = [18, 59, 60, 61, 1514, 1518, 2048, 2049, 4096, 4097, 9000, 9014, MAX_FRAME];
    for (number, length) in (0..).zip(lengths) {
        carries(&machine, &mut driver, frame(number, length));
        send_by_reference(&machine, &mut driver, &frame(number, length), Checksums::Unknown, None);
        assert_eq!(machine.capture(), padded(frame(number, length)), "{length} bytes out by reference");
    }
    // Several times round both rings, in batches.
    for batch in 0..100 {
        let frames: Vec<_> = (0..20).map(|index| frame(batch * 20 + index, 100)).collect();
        assert_eq!(send(&machine, &mut driver, &frames), 20);
        for expected in &frames {
            assert_eq!(number_of(&machine.capture()), number_of(expected));
            machine.inject(expected);
        }
        assert_eq!(machine.poll(&mut driver, 20), frames);
    }
    let all = 2000 + lengths.len() as u64;
    machine.check_until(&mut driver, "statistics", |nic| nic.statistics().good_packets_received >= all);
    let (counters, statistics) = (driver.queue_counters(), driver.statistics());
    let sent = all + lengths.len() as u64;
    assert_eq!((counters.tx_queued, counters.tx_done, counters.tx_returned), (sent, sent, 0));
    assert_eq!((statistics.good_packets_transmitted, statistics.good_packets_received), (sent, all));
    assert_eq!((counters.rx_frames, driver.counters().transmit_hangs), (all, 0));
}

fn it_computes_the_checksums_that_are_unfinished(model: &str) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, "checksums") else { return };
    let (a, b) = (Station::number(1), Station::number(2));
    for length in [400, 401, 1400] {
        let payload: Vec<_> = (0..length).map(|at| at as u8 ^ 0x5a).collect();
        for frame in [tcp(&a, &b, 7, &payload), udp(&a, &b, &payload)] {
            let both = [in_ipv6(&frame), frame];
            for frame in both.iter().flat_map(|frame| [tagged(frame, 5), frame.clone(), frame.clone()]) {
                let (sent, checksum) = unfinished(&frame);
                send_by_reference(&machine, &mut driver, &sent, Checksums::Unfinished(checksum), None);
                assert_eq!(machine.capture(), frame);
                // Frames between them that need nothing.
                send_by_reference(&machine, &mut driver, &frame, Checksums::Unknown, None);
                assert_eq!(machine.capture(), frame);
            }
        }
    }
}

/// Where the IP header of a frame with one tag at most begins, whether it is IPv4, and where the TCP header begins.
fn headers_of(frame: &[u8]) -> (usize, bool, usize) {
    let link = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
    let ipv4 = frame[link] >> 4 == 4;
    (link, ipv4, link + if ipv4 { 20 } else { 40 })
}

/// A TCP frame with the right checksum.
fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    let (link, ipv4, transport) = headers_of(&frame);
    let field = transport + 16..transport + 18;
    frame[field.clone()].fill(0);
    let addresses = &frame[link + if ipv4 { 12 } else { 8 }..transport];
    let length = ((frame.len() - transport) as u16).to_be_bytes();
    let sum = checksum(&[addresses, &[0, 6], &length, &frame[transport..]].concat());
    frame[field].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The flag of TCP that says that what was sent ends here.
const PSH: u8 = 8;

/// The segments of a TCP frame without options, with so much payload each.
fn segments_of(frame: &[u8], mss: usize) -> Vec<Vec<u8>> {
    let (link, ipv4, transport) = headers_of(frame);
    let (headers, payload) = frame.split_at(transport + 20);
    let add = |bytes: &mut [u8], by: usize| {
        let (_, value) = bytes
            .iter()
            .rev()
            .fold((1, 0), |(unit, sum), byte| (unit * 256, sum + unit * usize::from(*byte)));
        let count = bytes.len();
        bytes.copy_from_slice(&(value + by).to_be_bytes()[8 - count..]);
    };
    let cut = payload.chunks(mss).enumerate().map(|(number, piece)| {
        let mut segment = [headers, piece].concat();
        let total = segment.len() - if ipv4 { link } else { transport };
        let length = link + if ipv4 { 2 } else { 4 };
        // QEMU loses it in the last one, too, which keeps it on a card. Receivers do without.
        segment[transport + 13] &= !PSH;
        segment[length..length + 2].copy_from_slice(&(total as u16).to_be_bytes());
        add(&mut segment[transport + 4..transport + 8], number * mss);
        if ipv4 {
            add(&mut segment[link + 4..link + 6], number);
            segment[link + 10..link + 12].fill(0);
            let sum = checksum(&segment[link..transport]);
            segment[link + 10..link + 12].copy_from_slice(&sum.to_be_bytes());
        }
        padded(with_checksum(segment))
    });
    cut.collect()
}

fn it_cuts_long_segments(model: &str) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, "segments") else { return };
    assert!(driver.capabilities().segments);
    let (a, b) = (Station::number(1), Station::number(2));
    for (length, mss) in
        [(3000, 1460), (2920, 1460), (2921, 1460), (60_001, 1448), (20_000, 8000), (1600, 536)]
    {
        let payload: Vec<_> = (0..length).map(|at| (at * 7 + at / 256) as u8).collect();
        let mut frame = tcp(&a, &b, 0xffff_f000 - length as u32, &payload);
        frame[14 + 20 + 13] |= PSH;
        let frame = with_checksum(frame);
        for frame in [tagged(&frame, 5), in_ipv6(&frame), frame] {
            let (sent, checksum) = unfinished(&frame);
            send_by_reference(
                &machine,
                &mut driver,
                &sent,
                Checksums::Unfinished(checksum),
                NonZeroU16::new(mss),
            );
            for expected in segments_of(&frame, mss.into()) {
                // QEMU does not pad the last one.
                assert_eq!(padded(machine.capture()), expected, "{length} bytes in segments of {mss}");
            }
            // One between them that needs nothing, and one whose checksum alone is asked for.
            let short = tcp(&a, &b, 7, &[9; 700]);
            send_by_reference(&machine, &mut driver, &short, Checksums::Unknown, None);
            assert_eq!(machine.capture(), short);
            let (sent, checksum) = unfinished(&short);
            send_by_reference(&machine, &mut driver, &sent, Checksums::Unfinished(checksum), None);
            assert_eq!(machine.capture(), short);
        }
    }
}

/// Routes and unmasks the NIC's interrupt in `mode`, with nothing pending.
fn listen(machine: &EmulatedMachine, driver: &mut Nic<EmulatedMachine>, mode: InterruptMode) -> u64 {
    let place = machine.route(driver, mode);
    driver.set_interrupt_interval(Duration::ZERO);
    // The link that has come up is a cause: cleared while masked, it sends no message that comes late.
    driver.interrupt();
    driver.unmask();
    driver.interrupt();
    machine.take_interrupt(mode, place, 0);
    driver.events().for_each(drop);
    place
}

fn a_pulled_cable_and_frames_interrupt(model: &str, mode: InterruptMode) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, &format!("interrupt-{mode}")) else {
        return;
    };
    let place = listen(&machine, &mut driver, mode);
    let expect = |what: &str| machine.wait(what, || machine.take_interrupt(mode, place, 0));
    for round in 0..3 {
        machine.set_link(false);
        expect("link down");
        assert!(driver.interrupt().link);
        assert!(!driver.capabilities().link_up);
        machine.set_link(true);
        // The NIC negotiates before it reports the link.
        machine.wait("link up", || {
            machine.take_interrupt(mode, place, 0) && driver.interrupt().link && driver.capabilities().link_up
        });
        let events: Vec<_> = driver.events().collect();
        assert!(matches!(events[..], [NicEvent::LinkDown, NicEvent::LinkUp(_)]), "{events:?}");

        for number in 0..5 {
            machine.inject(&frame(number, 60));
            expect("receive");
            assert!(driver.interrupt().receive);
            assert_eq!(machine.poll(&mut driver, 1), [frame(number, 60)], "round {round}");
        }
        carries(&machine, &mut driver, frame(9, MAX_FRAME));
        driver.interrupt();
        machine.take_interrupt(mode, place, 0);
    }
    driver.mask();
    machine.inject(&frame(7, 60));
    assert_eq!(machine.poll(&mut driver, 1), [frame(7, 60)]);
    assert!(!machine.take_interrupt(mode, place, 0), "masked");
    driver.unmask();
    expect("a cause that gathered interrupts at once");
    assert_eq!(driver.state(), NicState::Running);
}

fn a_full_ring_interrupts_when_it_has_room(model: &str, mode: InterruptMode) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, &format!("transmit-{mode}")) else {
        return;
    };
    let place = listen(&machine, &mut driver, mode);
    let arrived = |machine: &EmulatedMachine| {
        let entries = if mode == InterruptMode::Msix { nic::MSIX_ENTRIES as u64 } else { 1 };
        (0..entries).any(|entry| machine.take_interrupt(mode, place, entry))
    };
    // Completed transmissions alone do not interrupt.
    assert_eq!(send(&machine, &mut driver, &[frame(0, 60)]), 1);
    machine.capture();
    machine.check_until(&mut driver, "completion", |driver| driver.queue_counters().tx_done == 1);
    assert!(!arrived(&machine));

    let control = machine.clone().read(TCTL);
    machine.clone().write(TCTL, control & !2);
    let frames: Vec<_> = (0..300).map(|number| frame(number, 60)).collect();
    assert_eq!(send(&machine, &mut driver, &frames), 255);
    machine.clone().write(TCTL, control);
    kick(&machine, &driver);
    machine.wait("room", || arrived(&machine) && driver.interrupt().transmit);
    assert_eq!((0..255).map(|_| number_of(&machine.capture()).unwrap()).collect::<Vec<_>>(), range(255));
}

fn range(end: u32) -> Vec<u32> {
    (0..end).collect()
}

/// Writes the transmit tail again unchanged, so that the emulated transmitter runs.
fn kick(machine: &EmulatedMachine, driver: &Nic<EmulatedMachine>) {
    let register = if matches!(driver, Nic::Igb(_)) { 0xe018 } else { 0x3818 };
    let tail = machine.clone().read(register);
    machine.clone().write(register, tail);
}

fn a_nic_that_hangs_is_reset_and_carries_on(model: &str) {
    let Some((machine, mut driver)) = EmulatedMachine::start(model, "reset") else { return };
    let place = listen(&machine, &mut driver, InterruptMode::Intx);
    machine.clone().write(TCTL, 0);
    let frames: Vec<_> = (0..3).map(|number| frame(number, 100)).collect();
    assert_eq!(send(&machine, &mut driver, &frames), 3);
    let hung = Instant(machine.now().0 + TRANSMIT_HANG.as_nanos() as u64);
    driver.check(hung);
    // The reset takes as long as it does by QEMU's clock.
    machine.wait("the reset", || {
        driver.check(Instant(machine.now().0 + TRANSMIT_HANG.as_nanos() as u64));
        driver.state() != NicState::Resetting
    });
    let events: Vec<_> = driver.events().collect();
    assert!(
        matches!(events[..2], [NicEvent::TransmitHang { pending: 3, .. }, NicEvent::Recovered { .. }]),
        "{events:?}"
    );
    assert_eq!((driver.state(), driver.queue_counters().tx_returned), (NicState::Running, 3));
    let until = Instant(hung.0 + 1);
    machine.wait("the link after a reset", || {
        driver.check(Instant(until.0.max(machine.now().0)));
        driver.link().up
    });
    driver.interrupt();
    for number in 10..20 {
        carries(&machine, &mut driver, frame(number, 1000));
    }
    // The NIC has its interrupt settings again.
    driver.interrupt();
    machine.inject(&frame(30, 60));
    machine.wait("receive", || machine.take_interrupt(InterruptMode::Intx, place, 0));
}

/// The same tests for each model.
macro_rules! witness {
    ($name:ident, $model:literal, [$($mode:ident $test:ident),*]) => {
        mod $name {
            use super::InterruptMode;

            #[test]
            fn frames_of_every_length_and_in_number_pass_both_ways() {
                super::frames_of_every_length_and_in_number_pass_both_ways($model);
            }

            #[test]
            fn it_computes_the_checksums_that_are_unfinished() {
                super::it_computes_the_checksums_that_are_unfinished($model);
            }

            #[test]
            fn a_nic_that_hangs_is_reset_and_carries_on() {
                super::a_nic_that_hangs_is_reset_and_carries_on($model);
            }

            $(#[test]
            fn $test() {
                super::a_pulled_cable_and_frames_interrupt($model, InterruptMode::$mode);
                super::a_full_ring_interrupts_when_it_has_room($model, InterruptMode::$mode);
            })*
        }
    };
}

witness!(e1000_82540em, "e1000", [Intx it_interrupts_by_its_line]);
witness!(e1000_82545em, "e1000-82545em", [Intx it_interrupts_by_its_line]);
witness!(e1000e, "e1000e", [
    Intx it_interrupts_by_its_line, Msi it_interrupts_by_messages, Msix it_interrupts_by_messages_of_its_table
]);
#[test]
fn igb_cuts_long_segments() {
    it_cuts_long_segments("igb");
}

witness!(igb, "igb", [
    Intx it_interrupts_by_its_line, Msi it_interrupts_by_messages, Msix it_interrupts_by_messages_of_its_table
]);
