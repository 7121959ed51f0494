//! The two formats of descriptors. Rings do not know which one they hold.

mod advanced;
mod legacy;

pub use advanced::AdvancedFormat;
pub use legacy::LegacyFormat;

use intel_regs::desc::SIZE;

/// A format of descriptors. Both keep what the rings look at in the same places: the buffer address in
/// the first half, what the NIC writes of a received frame in the second, and `STA` of a sent one in the
/// byte at [`intel_regs::desc::TX_STATUS_OFFSET`].
pub trait DescriptorFormat {
    /// What the NIC says in the second half of a receive descriptor, or `None` while it has not written it.
    fn received(half: u64) -> Option<ReceivedBuffer>;

    /// A transmit descriptor for `length` bytes at `address`, of a frame of `frame` bytes; `last` when the
    /// frame ends with them.
    fn data(address: u64, length: usize, frame: usize, last: bool) -> [u8; SIZE];
}

/// What the NIC says of one receive descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedBuffer {
    /// Bytes in its buffer.
    pub length: usize,
    /// True when a frame ends in it.
    pub ends_frame: bool,
    /// True when that frame is unfit to be passed on.
    pub damaged: bool,
}
