//! Transmit descriptors as the two halves of which they consist [8254x 3.3.3.1, 3.3.6, 3.3.7].

/// Descriptors of a packet that is cut: one context and 59 buffers.
pub const PACKET: u32 = 60;
/// Length of one buffer, the longest that a descriptor can have.
pub const LONGEST: u64 = 16_288;

/// Command bits in a descriptor's second half: the packet ends here.
pub const EOP: u64 = 1 << 24;
/// The NIC adds the frame check sequence.
pub const IFCS: u64 = 1 << 25;
/// The packet is cut.
pub const TSE: u64 = 1 << 26;
/// The descriptor is not of the legacy kind.
pub const DEXT: u64 = 1 << 29;
/// It is no context, but data.
pub const DATA: u64 = 1 << 20;
/// `TUCMD`: TCP, IPv4, segmentation.
const CUT: u64 = 1 << 24 | 1 << 25 | 1 << 26;

/// A context. `offsets` is the first half.
#[must_use]
pub fn context(offsets: u64, payload: u64, header: u64, mss: u64) -> [u64; 2] {
    [offsets, payload | DEXT | CUT | header << 40 | mss << 48]
}

/// The descriptor with this number of packets of 59 times the same buffer, which are to be cut into segments of one byte.
#[must_use]
pub fn cut(index: u32, buffer: u64) -> [u64; 2] {
    match index % PACKET {
        // IPCSS 14, IPCSO 24, TUCSS 34, TUCSO 50; HDRLEN 54, MSS 1.
        0 => context(14 | 24 << 8 | 34 << 32 | 50 << 40, 59 * LONGEST - 54, 54, 1),
        59 => [buffer, LONGEST | DATA | DEXT | TSE | IFCS | EOP],
        _ => [buffer, LONGEST | DATA | DEXT | TSE | IFCS],
    }
}
