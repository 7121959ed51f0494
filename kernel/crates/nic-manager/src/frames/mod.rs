//! Frames that a team sends of its own, and those from the wire that it looks at itself.
//!
//! * [`beacon`]: what members send to each other to find out which of them is cut off.
//! * [`probe`](mod@probe): questions to the gateway, and its answers.
//! * [`announcement`](mod@announcement): what tells switches that an address is behind another port now.
//! * [`duplicate`]: the same frame at two members.
//! * [`reflected`], [`echo`]: frames of local guests that come back from the wire.
//!
//! Everything here takes bytes that any station may have sent, of any length.

pub mod announcement;
mod arp;
pub mod beacon;
pub mod duplicate;
pub mod echo;
pub mod probe;
pub mod reflected;
mod siphash;

pub use announcement::{announcement, is_announcement_of_move};
pub use beacon::{Beacon, BeaconFilter, BeaconKey, BeaconRefusal};
pub use duplicate::DuplicateFilter;
pub use echo::EchoFilter;
pub use probe::{is_answer, probe};
pub use reflected::{LocalAddress, Provenance, provenance};

use base::MacAddress;
use base::frame::HEAD;

/// Bytes of the two addresses.
const ADDRESSES: usize = 12;
/// EtherTypes of the tags of customers and of providers [IEEE 802.1Q 9.5]. Weir sends the first.
const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
/// Length of a tag with its EtherType.
const TAG: usize = 4;
/// Length of an EtherType.
const ETHER_TYPE: usize = 2;
/// Shortest frame, without the frame check sequence [IEEE 802.3 4.2.3.3].
const SHORTEST: usize = 60;

/// A frame that Weir itself sends. It is all head ([`base::LentFrame::whole`]), and padded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFrame(heapless::Vec<u8, HEAD>);

impl OwnFrame {
    /// The frame between these addresses, with a tag for the VLAN, if there is one, of priority 0 like most guests'
    /// frames: a beacon is to fare as they do.
    fn new<const N: usize>(
        [destination, source]: [MacAddress; 2],
        vlan: Option<u16>,
        ether_type: u16,
        payload: &[u8; N],
    ) -> Self {
        const { assert!(ADDRESSES + TAG + ETHER_TYPE + N <= HEAD) };
        let mut bytes = heapless::Vec::new();
        bytes.extend(destination.0.into_iter().chain(source.0));
        if let Some(vlan) = vlan {
            bytes.extend(TAGS[0].into_iter().chain((vlan & 0xfff).to_be_bytes()));
        }
        bytes.extend(ether_type.to_be_bytes());
        bytes.extend(payload.iter().copied());
        bytes.extend(core::iter::repeat_n(0, SHORTEST.saturating_sub(bytes.len())));
        Self(bytes)
    }

    /// Its bytes, without the frame check sequence.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The VLAN of a frame by its first tag, and what follows the addresses and that tag: its EtherType and payload. There
/// is no VLAN without a tag, or if that gives a priority only [IEEE 802.1Q 9.6]; nothing follows in a frame that ends
/// before.
///
/// ```
/// use nic_manager::frames::untag;
///
/// let frame = [&[0; 12][..], &[0x81, 0x00, 0xe0, 0x2a, 0x08, 0x06, 0]].concat();
/// assert_eq!(untag(&frame), (Some(42), &[0x08, 0x06, 0][..]));
/// ```
#[must_use]
pub fn untag(frame: &[u8]) -> (Option<u16>, &[u8]) {
    let rest = frame.get(ADDRESSES..).unwrap_or_default();
    match rest {
        [first, second, high, low, inner @ ..] if TAGS.contains(&[*first, *second]) => {
            let vlan = u16::from_be_bytes([high & 0xf, *low]);
            (Some(vlan).filter(|vlan| *vlan != 0), inner)
        }
        _ => (None, rest),
    }
}

/// A hash of these pairs of words, in their order, which nobody can foresee who does not know the key.
#[inline]
fn hash_of(pairs: impl IntoIterator<Item = (u64, u64)>, [start, multiplier]: [u64; 2]) -> u64 {
    pairs.into_iter().fold(start, |hash, (a, b)| {
        let (low, high) = (hash ^ a).carrying_mul(multiplier ^ b, 0);
        low ^ high
    })
}

/// The payload of a frame of this EtherType, behind at most one tag.
fn payload(frame: &[u8], ether_type: u16) -> Option<&[u8]> {
    untag(frame).1.strip_prefix(&ether_type.to_be_bytes())
}
