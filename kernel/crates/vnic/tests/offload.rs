//! Checksum insertion and TCP segmentation, compared with packets built in software.

mod common;

use common::segments::*;
use common::*;
use intel_regs::desc::{TxCommand, TxContext, TxContextCommand, TxData, TxDescriptor};
use intel_regs::{Ctrl, Rctl, Tctl, reg, stats};
use proptest::prelude::*;
use testkit::frame::{self, Station};
use vnic::GuestFault;

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Ipv4Tcp), Just(Kind::Ipv4Udp), Just(Kind::Ipv6Tcp)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn segments_equal_those_of_a_software_sender(
        kind in kinds(),
        length in 1usize..40_000,
        mss in 500u16..9000,
        buffer in 1000usize..5000,
        budget in 1usize..64,
    ) {
        let mut guest = Guest::new();
        guest.set(reg::TCTL, Tctl::EN.bits());
        let prototype = kind.prototype(&payload(length));
        queue_segmented(&mut guest, kind, &prototype, mss, buffer, false);
        let _ = guest.kick();
        prop_assert_eq!(guest.poll_all(budget), expected_segments(kind, &prototype, mss));
    }

    #[test]
    fn inserted_checksums_are_right(length in 0usize..3000, tcp in any::<bool>()) {
        let mut guest = Guest::new();
        let (a, b) = (Station::number(1), Station::number(2));
        let (kind, good) = if tcp {
            (Kind::Ipv4Tcp, frame::tcp(&a, &b, 5, &payload(length)))
        } else {
            (Kind::Ipv4Udp, frame::udp(&a, &b, &payload(length)))
        };
        let mut frame = good.clone();
        frame[24..26].fill(0);
        let pseudo = kind.pseudo(&frame, frame.len() - 34);
        frame[kind.checksum_offset()..][..2].copy_from_slice(&pseudo.to_be_bytes());
        let mut context = kind.context(0, 0);
        context = context.with_command(context.command() & TxContextCommand::TCP, 0);
        guest.queue_context(context);
        guest.queue_data(&frame, TxCommand::EOP | TxCommand::IFCS, IXSM | TXSM);
        let _ = guest.kick();
        let sent = guest.poll_all(64);
        prop_assert_eq!(&sent[0][..good.len()], &good[..]);
    }
}

#[test]
fn a_64_kib_send_survives_polls_of_one_frame_each() {
    let mut guest = Guest::new();
    let prototype = Kind::Ipv4Tcp.prototype(&payload(64_000));
    queue_segmented(&mut guest, Kind::Ipv4Tcp, &prototype, 1460, 4096, false);
    let _ = guest.kick();
    let mut frames = Vec::new();
    let last = 64_054usize.div_ceil(4096) as u32;
    while let Some(frame) = guest.poll(1).pop() {
        frames.push(frame);
        assert_eq!(guest.tx_status(last) == DD, frames.len() == 44, "done with the last frame only");
    }
    assert_eq!(frames, expected_segments(Kind::Ipv4Tcp, &prototype, 1460));
    assert_eq!(guest.read(stats::TSCTC), 1);
    assert_eq!(guest.read(stats::GPTC), 44);
}

#[test]
fn segments_carry_the_tag() {
    let mut guest = Guest::new();
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::VME).bits());
    let prototype = Kind::Ipv4Tcp.prototype(&payload(3000));
    guest.queue_context(Kind::Ipv4Tcp.context(3000, 1460));
    let command = TxCommand::IFCS | TxCommand::TSE | TxCommand::EOP | TxCommand::VLE;
    let mut descriptor = intel_regs::desc::TxData {
        address: guest.buffer(&prototype).into(),
        options: IXSM | TXSM,
        special: 0x2005.into(),
        ..Default::default()
    };
    descriptor = descriptor.with_command(command, prototype.len() as u32);
    guest.queue(descriptor.to_bytes());
    let _ = guest.kick();
    let expected: Vec<_> = expected_segments(Kind::Ipv4Tcp, &prototype, 1460)
        .iter()
        .map(|frame| frame::tagged(frame, 0x2005))
        .collect();
    let sent: Vec<_> = guest.poll_all(64);
    assert_eq!(sent, expected);
}

#[test]
fn a_context_stays_until_the_next_one() {
    let mut guest = Guest::new();
    let prototype = Kind::Ipv4Tcp.prototype(&payload(2000));
    queue_segmented(&mut guest, Kind::Ipv4Tcp, &prototype, 1460, 4096, false);
    let _ = guest.kick();
    let first = guest.poll_all(64);
    let command = TxCommand::IFCS | TxCommand::TSE | TxCommand::EOP;
    guest.queue_data(&prototype, command, IXSM | TXSM);
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), first);
}

#[test]
fn payload_length_of_the_context_bounds_the_data_sent() {
    let mut guest = Guest::new();
    let prototype = Kind::Ipv4Tcp.prototype(&payload(3000));
    guest.queue_context(Kind::Ipv4Tcp.context(2000, 1460));
    guest.queue_data(&prototype, TxCommand::IFCS | TxCommand::TSE | TxCommand::EOP, IXSM | TXSM);
    let _ = guest.kick();
    let lengths: Vec<_> = guest.poll_all(64).iter().map(Vec::len).collect();
    assert_eq!(lengths, [54 + 1460, 54 + 540]);
}

#[test]
fn invalid_segmentation_is_dropped_and_reported() {
    let mut guest = Guest::new();
    for (mss, header) in [(0, 54), (1460, 0), (1460, 255)] {
        let mut context = Kind::Ipv4Tcp.context(100, mss);
        context.header_length = header;
        guest.queue_context(context);
        guest.queue_data(&[0; 200], TxCommand::IFCS | TxCommand::TSE | TxCommand::EOP | TxCommand::RS, 0);
    }
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
    assert_eq!(guest.nic.counters().transmit_bad_segmentation, 3);
    assert_eq!(guest.nic.faults(), Some(GuestFault::BadSegmentation { mss: 0, header: 54, length: 200 }));
    assert_eq!(guest.read(stats::TSCTFC), 3);
    assert_eq!(guest.tx_status(1), DD);
}

/// Sends a packet in this context and buffers of these sizes; returns the frames as they leave or, in loopback mode, as they
/// are received.
fn sent(
    packet: &[u8],
    context: TxContext,
    options: u8,
    buffer: usize,
    tag: Option<u16>,
    loopback: bool,
) -> Vec<Vec<u8>> {
    let mut control = Rctl::UPE | Rctl::MPE | Rctl::LPE | Rctl::SECRC;
    control.set(Rctl::LBM_MAC, loopback);
    let mut guest = Guest::with(control, 256);
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::FD | Ctrl::VME).bits());
    guest.queue_context(context);
    let segmented = context.command().contains(TxContextCommand::TSE);
    let command = TxCommand::IFCS | if segmented { TxCommand::TSE } else { TxCommand::empty() };
    let pieces: Vec<_> = packet.chunks(buffer).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let end = index + 1 == pieces.len();
        let mut command = command;
        command.set(TxCommand::EOP, end);
        command.set(TxCommand::VLE, end && tag.is_some());
        let address = guest.buffer(piece);
        let special = tag.unwrap_or(0).into();
        let data = TxData { address: address.into(), options, special, ..Default::default() };
        guest.queue(data.with_command(command, piece.len() as u32).to_bytes());
    }
    let _ = guest.kick();
    let frames = guest.poll_all(64);
    if loopback { std::iter::from_fn(|| guest.receive()).map(|(frame, _)| frame).collect() } else { frames }
}

proptest! {
    /// In loopback mode every frame is built of all its bytes.
    #[test]
    fn frames_lent_behind_a_head_are_those_that_would_be_built(
        kind in kinds(), length in 0usize..3000, mss in 60u16..2000, buffer in 30usize..3000, tag in any::<Option<u16>>(),
        segmented in any::<bool>(), options in 0u8..4,
        changes in proptest::collection::vec((0usize..16, prop_oneof![0u8..64, any::<u8>()]), 0..3),
    ) {
        let packet = kind.prototype(&payload(length));
        let context = kind.context(length, mss);
        let command = context.command() - if segmented { TxContextCommand::empty() } else { TxContextCommand::TSE };
        let mut bytes = context.with_command(command, length as u32).to_bytes();
        for (at, value) in changes {
            // Not the kind of the descriptor, nor whether it is segmented.
            if !(10..12).contains(&at) {
                bytes[at] = value;
            }
        }
        let TxDescriptor::Context(mut context) = TxDescriptor::parse(bytes) else { unreachable!() };
        // No more frames than the receive ring takes.
        if (1..12).contains(&context.maximum_segment_size.get()) {
            context.maximum_segment_size = 12.into();
        }
        let built = sent(&packet, context, options, buffer, tag, true);
        let mut lent = sent(&packet, context, options, buffer, tag, false);
        if let Some(tag) = tag {
            for frame in &mut lent {
                let inserted: Vec<u8> = frame.drain(12..16).collect();
                prop_assert_eq!(inserted, [&[0x81, 0][..], &tag.to_be_bytes()].concat());
            }
        }
        prop_assert_eq!(lent, built);
    }
}
