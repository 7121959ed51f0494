//! Which frames NICs are asked to work on.

use base::{Checksums, LentFrame, Span, UnfinishedChecksum};
use testkit::frame::{self, Station, unfinished};

fn asked(frame: &[u8], checksum: UnfinishedChecksum) -> bool {
    let checksums = Checksums::Unfinished(checksum);
    LentFrame { checksums, ..LentFrame::whole(frame) }.offloadable().is_some()
}

fn frames() -> Vec<Vec<u8>> {
    let (a, b) = (Station::number(1), Station::number(2));
    let plain = [frame::tcp(&a, &b, 1, &[7; 90]), frame::udp(&a, &b, &[7; 90])];
    let both = plain.iter().flat_map(|frame| [frame.clone(), frame::in_ipv6(frame)]);
    both.flat_map(|frame| [frame::tagged(&frame, 3), frame]).collect()
}

#[test]
fn whole_segments_and_datagrams_are_for_the_nic() {
    for frame in frames() {
        let (sent, checksum) = unfinished(&frame);
        assert!(asked(&sent, checksum));
        let head = LentFrame { pieces: &[Span::EMPTY], ..LentFrame::whole(&frame) };
        assert_eq!(head.offloadable(), None, "its checksum is there");
    }
}

#[test]
fn everything_else_is_for_software() {
    for frame in frames() {
        let (sent, checksum) = unfinished(&frame);
        let (start, field) = (checksum.start(), checksum.field().start);
        for (start, field, udp) in [
            (start - 1, field, checksum.is_udp()),
            (start + 1, field, checksum.is_udp()),
            (start, field - 2, checksum.is_udp()),
            (start, field + 1, checksum.is_udp()),
            (start, field, !checksum.is_udp()),
        ] {
            assert!(!asked(&sent, UnfinishedChecksum::new(start, field, udp).unwrap()));
        }
        let longer = [&sent[..], &[0]].concat();
        assert!(!asked(&longer, checksum), "something follows the packet");
        let twice = frame::tagged(&sent, 1);
        let further = checksum.after(4).unwrap();
        let once = sent[12..14] != [0x81, 0x00];
        assert_eq!(asked(&twice, further), once, "two tags");
        let mut of_provider = twice;
        of_provider[12] = 0x88;
        of_provider[13] = 0xa8;
        assert!(!asked(&of_provider, further), "a tag of a provider");
    }
}
