//! The ways of the last frames of each port: the next one most likely takes the same, and then nothing is to be found out.

use crate::FrameKey;

/// Ports of a switch, and types of frames of which each may have a way: IPv4, IPv6 and the common tag differ in the last bits of their
/// first byte.
const PORTS: usize = 16;
const TYPES: usize = 4;

/// The place of no member.
const NOBODY: u8 = u8::MAX;

/// Of the tag that follows the type, all but the priority.
const TAG: u64 = 0xff0f_0000_0000_0000;

/// What the start of a frame must have for its route to be known.
type Head = [u8; 34];

/// Where frames go.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Their bucket, and the place of the member that carries that.
    pub(super) bucket: u8,
    pub(super) carrier: u8,
    /// Their source is not the address of their vNIC.
    pub(super) foreign: bool,
}

/// Nobody is known to carry them.
const UNKNOWN: Route = Route { bucket: 0, carrier: NOBODY, foreign: false };

/// Frames that take the same route.
#[derive(Clone, Copy)]
struct KnownFrames {
    /// The source address, and the type.
    start: u64,
    /// What else decides, under a mask.
    rest: u64,
    mask: u64,
    route: Route,
}

/// The last routes of each port. Frames from one port with one source address, type and tag have the same; where IP addresses decide,
/// those with the same ones.
pub(super) struct Routes([KnownFrames; PORTS * TYPES]);

impl Routes {
    /// None is known.
    pub(super) fn new() -> Self {
        Self([KnownFrames { start: 0, rest: 0, mask: 0, route: UNKNOWN }; PORTS * TYPES])
    }

    /// The route of a frame with this head from this port, if the last one like it from there had the same; else to nobody.
    #[inline]
    pub(super) fn find(&self, kind: FrameKey, head: &[u8], port: usize) -> Route {
        let Some(head) = head.first_chunk() else { return UNKNOWN };
        let known = &self.0[place(head, port)];
        let same = known.start == start(head)
            && (known.mask == 0 || (known.rest ^ rest(kind, head)) & known.mask == 0);
        if same { known.route } else { UNKNOWN }
    }

    /// Takes note of the route of a frame with this head, if others like it can be told from the rest.
    pub(super) fn note(&mut self, kind: FrameKey, head: &[u8], port: usize, route: Route) {
        let Some(head) = head.first_chunk() else { return };
        let start = start(head);
        let mask = match (kind, start >> 48) {
            // Both addresses of IPv4 [RFC 791 3.1].
            (FrameKey::IpHash, 0x0008) => u64::MAX,
            (FrameKey::IpHash, _) => return,
            (_, 0x0081 | 0xa888) => TAG,
            _ => 0,
        };
        self.0[place(head, port)] = KnownFrames { start, rest: rest(kind, head), mask, route };
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
