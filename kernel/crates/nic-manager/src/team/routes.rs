//! The ways of the last frames of each port: the next one most likely takes the same, and then nothing is to be found out.

use super::carriers::Carriers;
use crate::FrameKey;
use crate::bucket::of_v4;

/// Ports of a switch.
pub(super) const PORTS: usize = 16;

/// Types of frames of which each may have a way: IPv4, IPv6 and the common tag differ in the last bits of their
/// first byte.
const TYPES: usize = 4;

/// The place of no member.
pub(super) const NOBODY: u8 = u8::MAX;

/// Of the tag that follows the type, all but the priority.
const TAG: u64 = 0xff0f_0000_0000_0000;

/// Of the addresses of IPv4 the source [RFC 791 3.1].
const SOURCE_V4: u64 = u32::MAX as u64;

/// What the start of a frame must have for its route to be known.
type Head = [u8; 34];

/// Frames that take the same route.
#[derive(Clone, Copy)]
struct KnownFrames {
    /// The source address, and the type.
    start: u64,
    /// What else they have in common, under a mask.
    rest: u64,
    mask: u64,
    /// The place of the member that carries them, if that does not follow from their IP addresses.
    carrier: u8,
    /// Their source is not the address of their vNIC.
    foreign: bool,
}

/// None that there are.
const NONE: KnownFrames = KnownFrames { start: 0, rest: 0, mask: 0, carrier: NOBODY, foreign: false };

impl KnownFrames {
    /// The place of the member that carries a frame with this head if it is one of these.
    #[inline]
    fn carrier(&self, head: &Head, kind: FrameKey, carriers: &Carriers) -> Option<u8> {
        if self.start != start(head) {
            return None;
        }
        if self.mask == 0 {
            return Some(self.carrier);
        }
        let rest = rest(kind, head);
        let same = (self.rest ^ rest) & self.mask == 0;
        same.then(|| if kind == FrameKey::IpHash { carriers.get(of_v4(rest)) } else { self.carrier })
    }
}

/// The last routes of each port. Frames from one port with one source address, type and tag have the same; where IP addresses decide,
/// it follows from these, for IPv4.
pub(super) struct Routes {
    /// Those of the last frame from each port, unless its source was another address than that of its vNIC.
    last: [KnownFrames; PORTS],
    known: [KnownFrames; PORTS * TYPES],
}

impl Routes {
    /// None is known.
    pub(super) fn new() -> Self {
        Self { last: [NONE; PORTS], known: [NONE; PORTS * TYPES] }
    }

    /// The place of the member that carries a frame with this head from this port, if it is like the last one from there; else of no
    /// member.
    #[inline]
    pub(super) fn find(&self, kind: FrameKey, head: &[u8], port: usize, carriers: &Carriers) -> u8 {
        let Some(head) = head.first_chunk() else { return NOBODY };
        self.last[port % PORTS].carrier(head, kind, carriers).unwrap_or(NOBODY)
    }

    /// The same if it is like the last one of its type, and whether its source is not the address of its vNIC.
    pub(super) fn recall(
        &mut self,
        kind: FrameKey,
        head: &[u8],
        port: usize,
        carriers: &Carriers,
    ) -> Option<(u8, bool)> {
        let head = head.first_chunk()?;
        let known = &self.known[place(head, port)];
        let carrier = known.carrier(head, kind, carriers)?;
        if !known.foreign {
            self.last[port % PORTS] = *known;
        }
        Some((carrier, known.foreign))
    }

    /// Takes note of who carries a frame with this head, if others like it can be told from the rest.
    pub(super) fn note(&mut self, kind: FrameKey, head: &[u8], port: usize, (carrier, foreign): (u8, bool)) {
        let Some(head) = head.first_chunk() else { return };
        let start = start(head);
        let mask = match (kind, start >> 48) {
            (FrameKey::IpHash, 0x0008) => SOURCE_V4,
            (FrameKey::IpHash, _) => return,
            (_, 0x0081 | 0xa888) => TAG,
            _ => 0,
        };
        self.known[place(head, port)] = KnownFrames { start, rest: rest(kind, head), mask, carrier, foreign };
    }

    /// Who carries what has changed.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }
}

fn place(head: &Head, port: usize) -> usize {
    port % PORTS * TYPES + usize::from(head[12]) % TYPES
}

fn start(head: &Head) -> u64 {
    word(head, 6)
}

/// Both addresses of IPv4, or from the end of the source address on what a tag is in.
fn rest(kind: FrameKey, head: &Head) -> u64 {
    word(head, if kind == FrameKey::IpHash { 26 } else { 8 })
}

fn word(head: &Head, at: usize) -> u64 {
    u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default())
}
