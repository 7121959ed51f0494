//! Layouts of the advanced descriptors of 82576, I210 and I350: 16 bytes each, little endian
//! [I210 7.1.4.2, 7.2.2.3].

use crate::desc::SIZE;
use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Receive descriptor as software writes it [I210 7.1.4.2.1].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RxRead {
    /// Address of the packet buffer.
    pub packet_address: U64,
    /// Address of the header buffer; bit 0 becomes `DD` and is written as 0.
    pub header_address: U64,
}

/// Receive descriptor as hardware writes it back [I210 7.1.4.2.2].
///
/// ```
/// use intel_regs::advanced::{ExtendedStatus, RxWriteBack};
///
/// let mut bytes = [0; 16];
/// bytes[8] = 0b11;
/// bytes[12..14].copy_from_slice(&60u16.to_le_bytes());
/// let written = RxWriteBack::from_bytes(bytes);
/// let status = ExtendedStatus::from_bits_truncate(written.status_and_error.get());
/// assert_eq!((status, written.length.get()), (ExtendedStatus::DD | ExtendedStatus::EOP, 60));
/// ```
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RxWriteBack {
    /// Packet type, header length, and whether the header was split from the payload.
    pub packet_information: U32,
    /// The RSS hash, or the fragment checksum.
    pub hash: U32,
    /// [`ExtendedStatus`] in bits 19:0, [`ExtendedError`] in bits 31:20, both in place.
    pub status_and_error: U32,
    /// `PKT_LEN`: bytes written to the packet buffer.
    pub length: U16,
    /// VLAN tag control information of a stripped tag.
    pub vlan: U16,
}

/// Transmit data descriptor [I210 7.2.2.3].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TxAdvanced {
    /// Address of the buffer.
    pub address: U64,
    /// `DTALEN` in bits 15:0, `DTYP` in bits 23:20, `DCMD` ([`crate::desc::TxCommand`]) in bits 31:24.
    pub command_and_length: U32,
    /// `STA` ([`crate::desc::TxStatus`]) in bits 3:0, `PAYLEN` in bits 31:14.
    pub status_and_payload: U32,
}

/// Transmit context descriptor [I210 7.2.2.2].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TxAdvancedContext {
    /// `IPLEN` in bits 8:0, `MACLEN` in bits 15:9, the tag to insert in bits 31:16.
    pub vlan_and_lengths: U32,
    /// The launch time (I210); reserved on the others.
    pub launch_time: U32,
    /// `TUCMD` ([`ContextKind`]) in bits 19:9, `DTYP` in bits 23:20, `DEXT` in bit 29.
    pub command_and_kind: U32,
    /// `IDX` in bits 6:4, `L4LEN` in bits 15:8, `MSS` in bits 31:16; the last two are for segmentation.
    pub mss_and_index: U32,
}

const _: () = assert!(size_of::<TxAdvancedContext>() == SIZE);
const _: () = assert!(size_of::<RxRead>() == SIZE);
const _: () = assert!(size_of::<RxWriteBack>() == SIZE);
const _: () = assert!(size_of::<TxAdvanced>() == SIZE);

/// `DTYP` of an advanced context descriptor [I210 7.2.2.2].
pub const DTYP_ADVANCED_CONTEXT: u32 = 2;
/// Position of `MACLEN` in `vlan_and_lengths`.
pub const MACLEN_SHIFT: u32 = 9;
/// Position of `L4LEN` in `mss_and_index`.
pub const L4LEN_SHIFT: u32 = 8;
/// Position of `MSS` in `mss_and_index`.
pub const MSS_SHIFT: u32 = 16;
/// Position of `POPTS` ([`crate::desc::TxOptions`]) in `status_and_payload`.
pub const POPTS_SHIFT: u32 = 8;
/// `DTYP` of an advanced data descriptor [I210 7.2.2.3].
pub const DTYP_ADVANCED_DATA: u32 = 3;
/// `TSE` in `DCMD`, in place: the NIC cuts the frame. Legacy descriptors have it elsewhere.
pub const DCMD_TSE: u32 = 1 << 31;
/// Mask of `DTALEN`.
pub const DTALEN_MASK: u32 = 0xffff;
/// Position of `PAYLEN` in `status_and_payload`.
pub const PAYLEN_SHIFT: u32 = 14;

bitflags! {
    /// `TUCMD` of a context descriptor, in place [I210 7.2.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ContextKind: u32 {
        /// The packet is IPv4; clear for IPv6.
        const IPV4 = 1 << 10;
        /// `L4T` 01b: TCP; 00b is UDP.
        const L4T_TCP = 1 << 11;
    }

    /// Extended status of a received frame [I210 7.1.4.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ExtendedStatus: u32 {
        /// Descriptor done.
        const DD = 1 << 0;
        /// End of packet.
        const EOP = 1 << 1;
        /// Ignore checksum indication; reserved in later editions.
        const IXSM = 1 << 2;
        /// The UDP checksum was calculated.
        const UDPCS = 1 << 4;
        /// The TCP or UDP checksum was calculated (`L4I`).
        const L4CS = 1 << 5;
        /// The IP checksum was calculated.
        const IPCS = 1 << 6;
    }

    /// Extended error of a received frame, in the same word as the status [I210 7.1.4.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ExtendedError: u32 {
        /// TCP, UDP or SCTP checksum error.
        const L4E = 1 << 29;
        /// IP checksum error.
        const IPE = 1 << 30;
        /// The frame arrived damaged.
        const RXE = 1 << 31;
    }
}

impl RxWriteBack {
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

impl TxAdvanced {
    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

impl TxAdvancedContext {
    /// The descriptor's bytes in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        zerocopy::transmute!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_offsets_of_the_manual() {
        let written = RxWriteBack {
            status_and_error: U32::new(0x1122_3344),
            length: U16::new(0x5566),
            vlan: U16::new(0x7788),
            ..Default::default()
        };
        assert_eq!(written.to_bytes()[8..], [0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77]);
        let sent = TxAdvanced { status_and_payload: U32::new(60 << PAYLEN_SHIFT), ..Default::default() };
        assert_eq!(sent.to_bytes()[12..], [0x00, 0x00, 0x0f, 0x00]);
        let context = TxAdvancedContext {
            vlan_and_lengths: U32::new(0x1122_3344),
            command_and_kind: U32::new(0x5566_7788),
            ..Default::default()
        };
        assert_eq!(context.to_bytes()[..4], [0x44, 0x33, 0x22, 0x11]);
        assert_eq!(context.to_bytes()[8..12], [0x88, 0x77, 0x66, 0x55]);
    }
}
