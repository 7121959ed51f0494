//! The way of the last frame of each port: the next one most likely takes the same, and then nothing is to be found out.

use crate::FrameKey;
use base::LentFrame;

/// Ports of a switch.
const PORTS: usize = 16;

/// What is not known of a port of which no route is.
const UNKNOWN: Route = Route { key: None, bucket: 0, carrier: 0, foreign: false };

/// Bits that are the same in all frames from one address: without a tag, the address; with one, the end of the address, and the tag
/// but for the priority.
const ADDRESS: u64 = 0xffff_ffff_ffff;
const TAG: u64 = 0xff0f_ffff_ffff_ffff;

/// What a frame was, and who carries it.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) key: Option<u64>,
    /// Its bucket, and the place of the member that carries that.
    pub(super) bucket: u8,
    pub(super) carrier: u8,
    /// Its source is not the address of its vNIC.
    pub(super) foreign: bool,
}

/// The last route of each port.
pub(super) struct Routes([Route; PORTS]);

impl Routes {
    /// None is known.
    pub(super) fn new() -> Self {
        Self([UNKNOWN; PORTS])
    }

    /// The route of a frame from this port, if the last one from there had the same.
    #[inline]
    pub(super) fn find(&self, key: Option<u64>, port: usize) -> Option<Route> {
        let route = self.0[port % PORTS];
        (key.is_some() && route.key == key).then_some(route)
    }

    /// Takes note of the route of a frame.
    pub(super) fn note(&mut self, port: usize, route: Route) {
        self.0[port % PORTS] = route;
    }

    /// Who carries what has changed.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }
}

/// What decides about a frame's route: frames from one port with one key have the same one. Where there is none, each is looked at.
#[inline]
pub(super) fn key_of(kind: FrameKey, frame: &LentFrame<'_>) -> Option<u64> {
    let head = frame.head.first_chunk::<34>()?;
    let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
    let (start, end) = (word(6), word(8));
    match (kind, start >> 48) {
        // Both addresses of IPv4 [RFC 791 3.1].
        (FrameKey::IpHash, 0x0008) => Some(word(26)),
        (FrameKey::IpHash, _) => None,
        (_, 0x0081 | 0xa888) => Some(end & TAG),
        _ => Some(start & ADDRESS),
    }
}
