//! Advanced descriptors of the 82576, I210 and I350 [I210 7.1.4.2, 7.2.2.3]. These NICs support legacy
//! descriptors too, but QEMU's model of the 82576 does not.

use super::{CutPlan, DescriptorFormat, FramePart, Offload, ReceivedBuffer, WRITE_BACK};
use crate::verified::ReportedChecksums;
use base::TransportLayout;
use base::bits::low_u32;
use intel_regs::advanced::{
    ContextKind, DCMD_TSE, DTALEN_MASK, DTYP_ADVANCED_CONTEXT, DTYP_ADVANCED_DATA, ExtendedError,
    ExtendedStatus, L4LEN_SHIFT, MACLEN_SHIFT, MSS_SHIFT, PAYLEN_SHIFT, POPTS_SHIFT, RxWriteBack, TxAdvanced,
    TxAdvancedContext,
};
use intel_regs::desc::{COMMAND_SHIFT, DTYP_SHIFT, SIZE, TxCommand, TxOptions};

/// The NIC's report on checksums [I210 7.1.4.2.2].
fn checksums(status: ExtendedStatus, errors: ExtendedError) -> ReportedChecksums {
    let calculated = |bits| status.intersects(bits) && !status.contains(ExtendedStatus::IXSM);
    let ip = (calculated(ExtendedStatus::IPCS), errors.contains(ExtendedError::IPE));
    let transport =
        (calculated(ExtendedStatus::L4CS | ExtendedStatus::UDPCS), errors.contains(ExtendedError::L4E));
    ReportedChecksums::new(ip, transport)
}

/// The advanced format.
pub enum AdvancedFormat {}

impl DescriptorFormat for AdvancedFormat {
    const SEGMENTS: bool = true;

    fn received(half: u64) -> Option<ReceivedBuffer> {
        let mut bytes = [0; SIZE];
        bytes[WRITE_BACK..].copy_from_slice(&half.to_le_bytes());
        let descriptor = RxWriteBack::from_bytes(bytes);
        let written = descriptor.status_and_error.get();
        let status = ExtendedStatus::from_bits_retain(written);
        let errors = ExtendedError::from_bits_retain(written);
        let ends_frame = status.contains(ExtendedStatus::EOP);
        status.contains(ExtendedStatus::DD).then(|| ReceivedBuffer {
            length: descriptor.length.get(),
            ends_frame,
            // The error bits are valid only in the last descriptor of a frame [I210 7.1.4.1].
            damaged: ends_frame && errors.contains(ExtendedError::RXE),
            checksums: if ends_frame { checksums(status, errors) } else { ReportedChecksums::default() },
        })
    }

    /// `PAYLEN` and `POPTS` count in the first descriptor of a frame. `PAYLEN` is the length without the headers if the NIC cuts
    /// it [I210 7.2.2.3.11].
    fn data(part: FramePart) -> [u8; SIZE] {
        let (cut, options) = match part.offload {
            Offload::Nothing => (0, TxOptions::empty()),
            Offload::Checksum => (0, TxOptions::TXSM),
            Offload::Segments { ipv4: true } => (DCMD_TSE, TxOptions::TXSM | TxOptions::IXSM),
            Offload::Segments { ipv4: false } => (DCMD_TSE, TxOptions::TXSM),
        };
        let end = if part.last { TxCommand::EOP | TxCommand::RS } else { TxCommand::empty() };
        let command = u32::from((TxCommand::DEXT | TxCommand::IFCS | end).bits()) << COMMAND_SHIFT;
        let length = u32::from(part.length) & DTALEN_MASK;
        let options = u32::from(options.bits()) << POPTS_SHIFT;
        let descriptor = TxAdvanced {
            address: part.address.into(),
            command_and_length: (command | cut | DTYP_ADVANCED_DATA << DTYP_SHIFT | length).into(),
            status_and_payload: (part.frame << PAYLEN_SHIFT | options).into(),
        };
        descriptor.to_bytes()
    }

    /// It is context 0 of the queue, which the data descriptors name [I210 7.2.2.2].
    fn context(layout: &TransportLayout, cut: Option<CutPlan>) -> [u8; SIZE] {
        let mut kind = ContextKind::empty();
        kind.set(ContextKind::IPV4, layout.is_ipv4());
        kind.set(ContextKind::L4T_TCP, !layout.is_udp());
        let command =
            u32::from(TxCommand::DEXT.bits()) << COMMAND_SHIFT | DTYP_ADVANCED_CONTEXT << DTYP_SHIFT;
        let link = low_u32(layout.link_header() as u64) << MACLEN_SHIFT;
        let segments = cut.map_or(0, |CutPlan { tcp_header, mss }| {
            u32::from(mss) << MSS_SHIFT | low_u32(tcp_header as u64) << L4LEN_SHIFT
        });
        let descriptor = TxAdvancedContext {
            vlan_and_lengths: (link | low_u32(layout.ip_header() as u64)).into(),
            command_and_kind: (command | kind.bits()).into(),
            mss_and_index: segments.into(),
            ..TxAdvancedContext::default()
        };
        descriptor.to_bytes()
    }
}
