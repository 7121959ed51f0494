//! Layouts of the receive and transmit descriptors: 16 bytes each, little endian [8254x 3.2.3, 3.3].

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Size of every descriptor, in bytes.
pub const SIZE: usize = 16;
/// Offset in every transmit descriptor of the byte whose low half is `STA`.
pub const TX_STATUS_OFFSET: usize = 12;
/// Offset in the receive descriptor of the 8 bytes that hardware writes back.
pub const RX_WRITE_BACK_OFFSET: usize = 8;
/// Offset in the receive descriptor of `STATUS`.
pub const RX_STATUS_OFFSET: usize = 12;

/// Receive descriptor, `RDESC` [8254x 3.2.3, table 3-1].
///
/// ```
/// use intel_regs::desc::{RxDescriptor, RxStatus};
///
/// let posted = RxDescriptor { address: 0x10_0000.into(), ..Default::default() };
/// let mut bytes = posted.to_bytes();
/// bytes[12] |= (RxStatus::DD | RxStatus::EOP).bits();
/// assert_eq!(RxDescriptor::from_bytes(bytes).status, 0b11);
/// ```
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RxDescriptor {
    /// Address of the buffer.
    pub address: U64,
    /// Bytes written to the buffer.
    pub length: U16,
    /// Packet checksum, starting at `RXCSUM.PCSS`.
    pub checksum: U16,
    /// [`RxStatus`].
    pub status: u8,
    /// [`RxErrors`].
    pub errors: u8,
    /// VLAN tag control information of a stripped tag.
    pub special: U16,
}

/// Legacy transmit descriptor, `TDESC` with `DEXT` clear [8254x 3.3.3, table 3-8].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TxLegacy {
    /// Address of the buffer.
    pub address: U64,
    /// Bytes in the buffer.
    pub length: U16,
    /// `CSO`: where the checksum is stored, with [`TxCommand::IC`].
    pub checksum_offset: u8,
    /// [`TxCommand`].
    pub command: u8,
    /// [`TxStatus`], in bits 3:0.
    pub status: u8,
    /// `CSS`: where the checksum starts.
    pub checksum_start: u8,
    /// VLAN tag control information to insert, with [`TxCommand::VLE`].
    pub special: U16,
}

/// TCP/IP context descriptor: `DEXT` set, `DTYP` 0000b [8254x 3.3.6].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TxContext {
    /// `IPCSS`: IP checksum start.
    pub ip_checksum_start: u8,
    /// `IPCSO`: IP checksum offset.
    pub ip_checksum_offset: u8,
    /// `IPCSE`: IP checksum end, inclusive; 0 is the end of the packet.
    pub ip_checksum_end: U16,
    /// `TUCSS`: TCP/UDP checksum start.
    pub tu_checksum_start: u8,
    /// `TUCSO`: TCP/UDP checksum offset.
    pub tu_checksum_offset: u8,
    /// `TUCSE`: TCP/UDP checksum end, inclusive; 0 is the end of the packet.
    pub tu_checksum_end: U16,
    /// `PAYLEN` in bits 19:0, `DTYP` in bits 23:20, `TUCMD` ([`TxContextCommand`]) in bits 31:24.
    pub command_and_length: U32,
    /// [`TxStatus`], in bits 3:0.
    pub status: u8,
    /// `HDRLEN`: bytes of header, repeated in every segment.
    pub header_length: u8,
    /// `MSS`: bytes of payload in each segment but the last.
    pub maximum_segment_size: U16,
}

/// TCP/IP data descriptor: `DEXT` set, `DTYP` 0001b [8254x 3.3.7].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TxData {
    /// Address of the buffer.
    pub address: U64,
    /// `DTALEN` in bits 19:0, `DTYP` in bits 23:20, `DCMD` ([`TxCommand`]) in bits 31:24.
    pub command_and_length: U32,
    /// [`TxStatus`], in bits 3:0.
    pub status: u8,
    /// [`TxOptions`]; valid in the first data descriptor of a packet.
    pub options: u8,
    /// VLAN tag control information to insert, with [`TxCommand::VLE`].
    pub special: U16,
}

const _: () = assert!(size_of::<RxDescriptor>() == SIZE);
const _: () = assert!(size_of::<TxLegacy>() == SIZE);
const _: () = assert!(size_of::<TxContext>() == SIZE);
const _: () = assert!(size_of::<TxData>() == SIZE);

/// Mask of `PAYLEN` and `DTALEN` in `command_and_length`.
pub const LENGTH_MASK: u32 = 0x000f_ffff;
/// Position of `DTYP` in `command_and_length`.
pub const DTYP_SHIFT: u32 = 20;
/// Mask of `DTYP`, before the shift.
pub const DTYP_MASK: u32 = 0xf;
/// `DTYP` of a context descriptor.
pub const DTYP_CONTEXT: u32 = 0;
/// `DTYP` of a data descriptor.
pub const DTYP_DATA: u32 = 1;
/// Position of `TUCMD` and `DCMD` in `command_and_length`.
pub const COMMAND_SHIFT: u32 = 24;

/// A transmit descriptor of any kind.
///
/// ```
/// use intel_regs::desc::{TxCommand, TxData, TxDescriptor, TxOptions};
///
/// let data = TxData { address: 0x4000.into(), options: TxOptions::TXSM.bits(), ..Default::default() }
///     .with_command(TxCommand::EOP | TxCommand::RS, 1514);
/// let TxDescriptor::Data(parsed) = TxDescriptor::parse(data.to_bytes()) else { panic!("a data descriptor") };
/// assert_eq!((parsed.address.get(), parsed.length()), (0x4000, 1514));
/// assert!(parsed.command().contains(TxCommand::DEXT | TxCommand::EOP));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum TxDescriptor {
    /// `DEXT` clear.
    Legacy(TxLegacy),
    /// `DEXT` set, `DTYP` 0000b.
    Context(TxContext),
    /// `DEXT` set, `DTYP` 0001b.
    Data(TxData),
    /// `DEXT` set and this reserved `DTYP`.
    Reserved(u8),
}

impl TxDescriptor {
    /// Parses a descriptor, whose kind `DEXT` and `DTYP` determine [8254x 3.3.2].
    #[must_use]
    pub fn parse(bytes: [u8; SIZE]) -> Self {
        let legacy: TxLegacy = zerocopy::transmute!(bytes);
        if !TxCommand::from_bits_retain(legacy.command).contains(TxCommand::DEXT) {
            return Self::Legacy(legacy);
        }
        let data: TxData = zerocopy::transmute!(bytes);
        match (data.command_and_length.get() >> DTYP_SHIFT) & DTYP_MASK {
            DTYP_CONTEXT => Self::Context(zerocopy::transmute!(bytes)),
            DTYP_DATA => Self::Data(data),
            other => Self::Reserved(other.to_le_bytes()[0]),
        }
    }
}

impl RxDescriptor {
    /// The descriptor in `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SIZE]) -> Self {
        zerocopy::transmute!(bytes)
    }

    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

impl TxLegacy {
    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

impl TxContext {
    /// `PAYLEN`: bytes of payload after the header, in all segments together.
    #[must_use]
    pub fn payload_length(&self) -> u32 {
        self.command_and_length.get() & LENGTH_MASK
    }

    /// `TUCMD`.
    #[must_use]
    pub fn command(&self) -> TxContextCommand {
        TxContextCommand::from_bits_retain((self.command_and_length.get() >> COMMAND_SHIFT) as u8)
    }

    /// Sets `PAYLEN`, `DTYP` and `TUCMD`; `DEXT` is added to `command`.
    #[must_use]
    pub fn with_command(mut self, command: TxContextCommand, payload_length: u32) -> Self {
        let bits = u32::from((command | TxContextCommand::DEXT).bits()) << COMMAND_SHIFT;
        self.command_and_length.set(bits | DTYP_CONTEXT << DTYP_SHIFT | payload_length & LENGTH_MASK);
        self
    }

    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

impl TxData {
    /// `DTALEN`: bytes in the buffer.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.command_and_length.get() & LENGTH_MASK
    }

    /// `DCMD`.
    #[must_use]
    pub fn command(&self) -> TxCommand {
        TxCommand::from_bits_retain((self.command_and_length.get() >> COMMAND_SHIFT) as u8)
    }

    /// Sets `DTALEN`, `DTYP` and `DCMD`; `DEXT` is added to `command`.
    #[must_use]
    pub fn with_command(mut self, command: TxCommand, length: u32) -> Self {
        let bits = u32::from((command | TxCommand::DEXT).bits()) << COMMAND_SHIFT;
        self.command_and_length.set(bits | DTYP_DATA << DTYP_SHIFT | length & LENGTH_MASK);
        self
    }

    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

bitflags! {
    /// Receive status, `STATUS` [8254x 3.2.3.1, table 3-2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct RxStatus: u8 {
        /// Descriptor done.
        const DD = 1 << 0;
        /// End of packet.
        const EOP = 1 << 1;
        /// Ignore checksum indication.
        const IXSM = 1 << 2;
        /// The packet is 802.1Q and its tag is in `special`.
        const VP = 1 << 3;
        /// The UDP checksum was calculated [82574 7.1]; reserved on the 8254x.
        const UDPCS = 1 << 4;
        /// The TCP or UDP checksum was calculated.
        const TCPCS = 1 << 5;
        /// The IP checksum was calculated.
        const IPCS = 1 << 6;
        /// Passed in-exact filter: software must check the destination address.
        const PIF = 1 << 7;
    }

    /// Receive errors, `ERRORS` [8254x 3.2.3.2, table 3-3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct RxErrors: u8 {
        /// CRC or alignment error.
        const CE = 1 << 0;
        /// Symbol error.
        const SE = 1 << 1;
        /// Sequence error.
        const SEQ = 1 << 2;
        /// Carrier extension error.
        const CXE = 1 << 4;
        /// TCP or UDP checksum error.
        const TCPE = 1 << 5;
        /// IP checksum error.
        const IPE = 1 << 6;
        /// RX data error.
        const RXE = 1 << 7;
    }

    /// `CMD` of legacy and `DCMD` of data descriptors [8254x 3.3.3.1, 3.3.7.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct TxCommand: u8 {
        /// End of packet.
        const EOP = 1 << 0;
        /// Insert FCS.
        const IFCS = 1 << 1;
        /// Legacy: insert checksum. In a data descriptor this bit is [`TxCommand::TSE`].
        const IC = 1 << 2;
        /// Data: TCP segmentation enable.
        const TSE = 1 << 2;
        /// Report status.
        const RS = 1 << 3;
        /// Report packet sent; reserved on the 82540EM.
        const RPS = 1 << 4;
        /// Extension: the descriptor is not a legacy descriptor.
        const DEXT = 1 << 5;
        /// VLAN packet enable.
        const VLE = 1 << 6;
        /// Interrupt delay enable.
        const IDE = 1 << 7;
    }

    /// `TUCMD` of context descriptors [8254x 3.3.6.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct TxContextCommand: u8 {
        /// The packet is TCP; clear for UDP.
        const TCP = 1 << 0;
        /// The packet is IPv4; clear for IPv6.
        const IP = 1 << 1;
        /// TCP segmentation enable.
        const TSE = 1 << 2;
        /// Report status.
        const RS = 1 << 3;
        /// Extension, always set.
        const DEXT = 1 << 5;
        /// Interrupt delay enable.
        const IDE = 1 << 7;
    }

    /// `STA` of transmit descriptors [8254x 3.3.3.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct TxStatus: u8 {
        /// Descriptor done.
        const DD = 1 << 0;
        /// Excess collisions.
        const EC = 1 << 1;
        /// Late collision.
        const LC = 1 << 2;
    }

    /// `POPTS` of data descriptors [8254x 3.3.7.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct TxOptions: u8 {
        /// Insert the IP checksum.
        const IXSM = 1 << 0;
        /// Insert the TCP or UDP checksum.
        const TXSM = 1 << 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_transmit_descriptor_are_distinguished() {
        let legacy = TxLegacy { command: TxCommand::EOP.bits(), ..Default::default() };
        assert!(matches!(TxDescriptor::parse(legacy.to_bytes()), TxDescriptor::Legacy(_)));
        let context = TxContext::default().with_command(TxContextCommand::TCP, 7);
        let TxDescriptor::Context(parsed) = TxDescriptor::parse(context.to_bytes()) else {
            panic!("context")
        };
        assert_eq!(parsed.payload_length(), 7);
        let data = TxData::default().with_command(TxCommand::EOP, 0xf_ffff);
        let TxDescriptor::Data(parsed) = TxDescriptor::parse(data.to_bytes()) else { panic!("data") };
        assert_eq!((parsed.length(), parsed.command()), (0xf_ffff, TxCommand::EOP | TxCommand::DEXT));
        let mut reserved = data.to_bytes();
        reserved[10] |= 0x20;
        assert!(matches!(TxDescriptor::parse(reserved), TxDescriptor::Reserved(3)));
    }

    #[test]
    fn fields_have_the_offsets_of_the_manual() {
        let descriptor = RxDescriptor {
            length: U16::new(0x1122),
            checksum: U16::new(0x3344),
            status: 0x55,
            errors: 0x66,
            special: U16::new(0x7788),
            ..Default::default()
        };
        assert_eq!(descriptor.to_bytes()[8..], [0x22, 0x11, 0x44, 0x33, 0x55, 0x66, 0x88, 0x77]);
    }
}
