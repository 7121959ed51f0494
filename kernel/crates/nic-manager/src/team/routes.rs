//! The ways of the last frames of each port: the next one most likely takes the same, and then nothing is to be found out.

use crate::FrameKey;

/// Ports of a switch.
pub(super) const PORTS: usize = 16;

/// Types of frames of which each may have a way: IPv4, IPv6 and the common tag differ in the last bits of their
/// first byte.
const TYPES: usize = 4;

/// The place of no member.
pub(super) const NOBODY: u8 = u8::MAX;

/// Of the tag that follows the type, all but the priority.
const TAG: u64 = 0xff0f_0000_0000_0000;

/// What the start of a frame must have for its route to be known.
type Head = [u8; 34];

/// Frames that take the same route.
#[derive(Clone, Copy)]
struct KnownFrames {
    /// The source address, and the type.
    start: u64,
    /// What else decides, under a mask.
    rest: u64,
    mask: u64,
    /// The member that carries them. It is to be asked for with [`Routes::find_foreign`] if the source is not the address of their vNIC.
    carrier: u8,
    foreign: u8,
}

/// None that there are.
const NONE: KnownFrames = KnownFrames { start: 0, rest: 0, mask: 0, carrier: NOBODY, foreign: NOBODY };

/// The last routes of each port. Frames from one port with one source address, type and tag have the same; where IP addresses decide,
/// those with the same ones.
pub(super) struct Routes([KnownFrames; PORTS * TYPES]);

impl Routes {
    /// None is known.
    pub(super) fn new() -> Self {
        Self([NONE; PORTS * TYPES])
    }

    /// The place of the member that carries a frame with this head from this port, if the last one like it from there went the same way
    /// and has the address of its vNIC; else of no member.
    #[inline]
    pub(super) fn find(&self, kind: FrameKey, head: &[u8], port: usize) -> u8 {
        self.known(kind, head, port).map_or(NOBODY, |known| known.carrier)
    }

    /// The same for a frame whose source is not the address of its vNIC.
    pub(super) fn find_foreign(&self, kind: FrameKey, head: &[u8], port: usize) -> u8 {
        self.known(kind, head, port).map_or(NOBODY, |known| known.foreign)
    }

    #[inline]
    fn known(&self, kind: FrameKey, head: &[u8], port: usize) -> Option<&KnownFrames> {
        let head = head.first_chunk()?;
        let known = &self.0[place(head, port)];
        let same = known.start == start(head)
            && (known.mask == 0 || (known.rest ^ rest(kind, head)) & known.mask == 0);
        same.then_some(known)
    }

    /// Takes note of who carries a frame with this head, if others like it can be told from the rest.
    pub(super) fn note(&mut self, kind: FrameKey, head: &[u8], port: usize, (carrier, foreign): (u8, bool)) {
        let Some(head) = head.first_chunk() else { return };
        let start = start(head);
        let mask = match (kind, start >> 48) {
            // Both addresses of IPv4 [RFC 791 3.1].
            (FrameKey::IpHash, 0x0008) => u64::MAX,
            (FrameKey::IpHash, _) => return,
            (_, 0x0081 | 0xa888) => TAG,
            _ => 0,
        };
        let (carrier, foreign) = if foreign { (NOBODY, carrier) } else { (carrier, NOBODY) };
        self.0[place(head, port)] = KnownFrames { start, rest: rest(kind, head), mask, carrier, foreign };
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

fn rest(kind: FrameKey, head: &Head) -> u64 {
    word(head, if kind == FrameKey::IpHash { 26 } else { 8 })
}

fn word(head: &Head, at: usize) -> u64 {
    u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default())
}
