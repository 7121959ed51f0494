//! Segments that are left to a NIC that cuts them, and those that never are.

mod common;

use base::{Effects, MacAddress, Outbox, Port};
use common::segments::*;
use common::*;
use core::num::NonZeroU16;
use intel_regs::desc::{TxCommand, TxContext};
use intel_regs::{Ctrl, reg, stats};
use testkit::{bytes_of, frame};

/// Fetches all that the NIC has to send, while what is for this destination goes to a NIC that cuts. Each frame comes with what
/// it is to be cut into.
fn poll_before_cutter(guest: &mut Guest, destination: MacAddress) -> Vec<(Vec<u8>, Option<u16>)> {
    let (mut frames, mut outbox) = (Vec::new(), Outbox::new(0));
    outbox.set_cut_for(Some(destination));
    for _ in 0..10_000 {
        let mut port = guest.nic.port(&guest.memory);
        port.fetch(&mut outbox, 64, guest.now);
        while let Some(slot) = outbox.fetched() {
            let frame = outbox.frame(slot);
            let mss = frame.mss.map(NonZeroU16::get);
            frames.push((bytes_of(frame), mss));
            outbox.share(slot, 0);
        }
        let waits = outbox.is_full();
        port.settle(&mut outbox, guest.now);
        if !guest.nic.take_effects().contains(Effects::TX_KICK) && !waits {
            return frames;
        }
    }
    panic!("the NIC never ran out of work");
}

/// What the guest's driver reads of what was sent.
fn transmit_statistics(guest: &mut Guest) -> Vec<u32> {
    [stats::TSCTC, stats::GPTC, stats::TPT, stats::GOTCL, stats::TOTL]
        .map(|offset| guest.read(offset))
        .to_vec()
}

#[test]
fn a_packet_is_left_to_a_nic_that_cuts_or_cut_here_with_the_same_result() {
    for (kind, tag) in [(Kind::Ipv4Tcp, false), (Kind::Ipv6Tcp, false), (Kind::Ipv4Tcp, true)] {
        let run = |destination: MacAddress| {
            let mut guest = Guest::new();
            let prototype = kind.without_fin(&payload(20_000));
            if tag {
                guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::VME).bits());
            }
            queue_segmented(&mut guest, kind, &prototype, 1460, 4000, tag);
            let last =
                guest.queue_legacy(&frame_to(PEER, 60), TxCommand::EOP | TxCommand::IFCS | TxCommand::RS);
            queue_segmented(&mut guest, kind, &kind.without_fin(&payload(3000)), 900, 4000, tag);
            let _ = guest.kick();
            let frames = poll_before_cutter(&mut guest, destination);
            assert_eq!((guest.tx_status(last - 1), guest.tx_status(last)), (DD, DD));
            assert_eq!(guest.read(reg::TDH), guest.read(reg::TDT));
            (prototype, frames, transmit_statistics(&mut guest))
        };
        let (prototype, here, statistics) = run(MacAddress::BROADCAST);
        let tagged = |frame: Vec<u8>| if tag { frame::tagged(&frame, 0) } else { frame };
        let expected: Vec<_> = expected_segments(kind, &prototype, 1460).into_iter().map(tagged).collect();
        let sent: Vec<_> = here[..14].iter().map(|(frame, _)| frame.clone()).collect();
        assert_eq!((here.len(), sent == expected), (14 + 1 + 4, true));
        assert!(here.iter().all(|(_, mss)| mss.is_none()));

        let (prototype, whole_packets, by_nic) = run(PEER);
        let whole = kind.expected(&prototype, 0, 0, &prototype[kind.header()..], true);
        assert_eq!(
            whole_packets.iter().map(|(_, mss)| *mss).collect::<Vec<_>>(),
            [Some(1460), None, Some(900)]
        );
        assert!(whole_packets[0].0 == tagged(whole), "its head shows it as one frame");
        assert_eq!(by_nic, statistics, "the guest sees no difference");
    }
}

/// True if a packet in this context and buffers of this size is left to a NIC that cuts.
fn lent(context: TxContext, options: u8, packet: &[u8], buffer: usize) -> bool {
    let mut guest = Guest::new();
    guest.queue_context(context);
    let pieces: Vec<_> = packet.chunks(buffer).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let end = if index + 1 == pieces.len() { TxCommand::EOP } else { TxCommand::empty() };
        guest.queue_data(piece, TxCommand::IFCS | TxCommand::TSE | end, options);
    }
    let _ = guest.kick();
    let frames = poll_before_cutter(&mut guest, PEER);
    assert!(!frames.is_empty());
    frames.iter().any(|(_, mss)| mss.is_some())
}

#[test]
fn what_nics_may_do_otherwise_is_never_left_to_them() {
    let tcp = Kind::Ipv4Tcp;
    let packet = tcp.without_fin(&payload(5000));
    let changed = |at: usize, value: u8| {
        let mut packet = packet.clone();
        packet[at] = value;
        packet
    };
    let context = tcp.context(5000, 1000);
    assert!(lent(context, IXSM | TXSM, &packet, 4000));
    assert!(!lent(tcp.context(5000, 511), IXSM | TXSM, &packet, 4000), "small segments");
    assert!(!lent(tcp.context(5000, 5000), IXSM | TXSM, &packet, 4000), "one segment");
    let jumbo = tcp.without_fin(&payload(20_000));
    assert!(lent(tcp.context(20_000, 8900), IXSM | TXSM, &jumbo, 4000));
    assert!(!lent(tcp.context(20_000, 9000), IXSM | TXSM, &jumbo, 4000), "segments that no NIC carries");
    assert!(!lent(context, IXSM | TXSM, &packet, 1000), "short pieces");
    assert!(!lent(context, IXSM | TXSM, &packet, 100), "too many pieces");
    assert!(!lent(context, TXSM, &packet, 4000), "no IPv4 checksum");
    assert!(!lent(context, IXSM, &packet, 4000), "no TCP checksum");
    assert!(!lent(context, IXSM | TXSM, &changed(47, 0x12), 4000), "SYN");
    assert!(!lent(context, IXSM | TXSM, &changed(47, 0x19), 4000), "FIN");
    assert!(!lent(context, IXSM | TXSM, &changed(46, 0x60), 4000), "another length of the TCP header");
    assert!(!lent(context, IXSM | TXSM, &changed(14, 0x46), 4000), "another length of the IP header");
    assert!(!lent(context, IXSM | TXSM, &changed(23, 17), 4000), "another protocol");
    assert!(!lent(context, IXSM | TXSM, &changed(20, 0x20), 4000), "a fragment");
    let mut elsewhere = context;
    elsewhere.tu_checksum_offset += 2;
    assert!(!lent(elsewhere, IXSM | TXSM, &packet, 4000), "another checksum");
    let mut later = context;
    later.tu_checksum_end = 3000.into();
    assert!(!lent(later, IXSM | TXSM, &packet, 4000), "a sum of a part");
    let mut longer = context;
    longer.header_length += 4;
    assert!(!lent(longer, IXSM | TXSM, &packet, 4000), "other headers");
    let tagged = [&packet[..12], &[0x81, 0, 0, 5], &packet[12..]].concat();
    let mut further = tcp.context(5000, 1000);
    further.ip_checksum_start += 4;
    further.ip_checksum_offset += 4;
    further.tu_checksum_start += 4;
    further.tu_checksum_offset += 4;
    further.header_length += 4;
    further.ip_checksum_end = 37.into();
    assert!(lent(further, IXSM | TXSM, &tagged, 4000), "a tag");
    let provider = [&packet[..12], &[0x88, 0xa8, 0, 5], &packet[12..]].concat();
    assert!(!lent(further, IXSM | TXSM, &provider, 4000), "a tag of a provider");
    let udp = Kind::Ipv4Udp;
    assert!(!lent(udp.context(5000, 1000), IXSM | TXSM, &udp.prototype(&payload(5000)), 4000), "UDP");
    let long = [&packet[..], &[0; 60_500]].concat();
    assert!(!lent(tcp.context(65_500, 1000), IXSM | TXSM, &long, 4000), "no IP packet is so long");
    assert!(
        !lent(tcp.context(20_000, 1000), IXSM | TXSM, &tcp.without_fin(&payload(20_000)), 17_000),
        "a long buffer"
    );
}
