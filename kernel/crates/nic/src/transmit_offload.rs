//! Which checksums the NIC computes while it sends a frame.
//!
//! What the NIC is told is rebuilt from the frame's head, which nobody can change any more: no descriptor of a guest's reaches
//! it.

use base::{Checksums, LentFrame, TransportLayout};

const ETHERNET: usize = 14;
const TAG: [u8; 2] = [0x81, 0x00];
const TAGGED: usize = ETHERNET + 4;

/// The headers of a frame, which goes by reference, if the NIC can compute the checksum that is unfinished: that of a TCP
/// segment or UDP datagram which ends with the frame, behind one tag at most. All families can do these.
pub(crate) fn offloaded_checksum(frame: &LentFrame<'_>) -> Option<TransportLayout> {
    let Checksums::Unfinished(checksum) = frame.checksums else { return None };
    let layout = checksum.layout(frame)?;
    let plain = match layout.link_header() {
        ETHERNET => true,
        TAGGED => frame.head.get(ETHERNET - 2..ETHERNET) == Some(&TAG[..]),
        _ => false,
    };
    (plain && layout.end() == frame.length).then_some(layout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Span, UnfinishedChecksum};
    use std::vec::Vec;
    use testkit::frame::{self, Station, unfinished};

    fn asked(frame: &[u8], checksum: UnfinishedChecksum) -> bool {
        let checksums = Checksums::Unfinished(checksum);
        offloaded_checksum(&LentFrame { checksums, ..LentFrame::whole(frame) }).is_some()
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
            assert_eq!(offloaded_checksum(&head), None, "its checksum is there");
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
            let once = sent[12..14] != TAG;
            assert_eq!(asked(&twice, further), once, "two tags");
            let mut of_provider = twice;
            of_provider[12] = 0x88;
            of_provider[13] = 0xa8;
            assert!(!asked(&of_provider, further), "a tag of a provider");
        }
    }
}
