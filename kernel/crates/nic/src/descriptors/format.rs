//! What the rings need from a descriptor format.

use crate::verified::ReportedChecksums;
use base::TransportLayout;
use intel_regs::desc::{RX_WRITE_BACK_OFFSET, SIZE, TX_STATUS_OFFSET};

/// Offset in a receive descriptor of the half that the NIC writes back.
pub(crate) const WRITE_BACK: usize = RX_WRITE_BACK_OFFSET;

/// Offset of `STA` in a transmit descriptor.
pub(crate) const TX_STATUS: usize = TX_STATUS_OFFSET;

/// A format of descriptors.
///
/// In both formats the fields that the rings use are in the same places: the buffer address in the first half,
/// the write-back of a received frame in the second half, and `STA` of a sent frame in the byte at
/// [`intel_regs::desc::TX_STATUS_OFFSET`].
pub trait DescriptorFormat {
    /// True if the NICs can be trusted to cut TCP segments.
    const SEGMENTS: bool;

    /// Parses the second half of a receive descriptor; `None` while the NIC has not written it back.
    fn received(half: u64) -> Option<ReceivedBuffer>;

    /// A transmit descriptor for this part of a frame.
    fn data(part: FramePart) -> [u8; SIZE];

    /// The transmit descriptor that must precede those of a frame with these headers whose TCP or UDP checksum the NIC
    /// is to compute, or which it is to cut, too. The NIC does not write it back.
    fn context(layout: &TransportLayout, cut: Option<CutPlan>) -> [u8; SIZE];
}

/// A part of a frame that the NIC is to send.
#[derive(Clone, Copy, Debug)]
pub struct FramePart {
    /// Where it is.
    pub address: u64,
    /// Its length in bytes.
    pub length: u16,
    /// That of the whole frame, or of the payload of one that is cut.
    pub frame: u32,
    /// The frame ends with it.
    pub last: bool,
    /// What the NIC is to do with the frame. The same in all parts of it.
    pub offload: Offload,
}

/// What the NIC is to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    Nothing,
    /// Compute its TCP or UDP checksum.
    Checksum,
    /// Cut it into segments, and compute the checksums of each.
    Segments {
        /// Those of IPv4, too.
        ipv4: bool,
    },
}

/// How a TCP segment is cut.
#[derive(Clone, Copy, Debug)]
pub struct CutPlan {
    /// Bytes of its TCP header.
    pub tcp_header: usize,
    /// Bytes of payload in each segment but the last.
    pub mss: u16,
}

/// What the NIC reports in one receive descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedBuffer {
    /// Bytes in its buffer.
    pub length: u16,
    /// True when a frame ends in it.
    pub ends_frame: bool,
    /// True when that frame must not be passed on.
    pub damaged: bool,
    /// What the NIC says of that frame's checksums.
    pub checksums: ReportedChecksums,
}
