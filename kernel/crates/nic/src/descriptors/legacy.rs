//! Legacy descriptors, shared by the 8254x and the 82574 [8254x 3.2.3, 3.3.3; 82574 7.1, 7.2], and those of frames whose
//! checksum the NIC computes [8254x 3.3.6, 3.3.7].

use super::{CutPlan, DescriptorFormat, FramePart, Offload, ReceivedBuffer, WRITE_BACK};
use crate::verified::ReportedChecksums;
use base::TransportLayout;
use base::bits::low_u8;
use intel_regs::desc::{
    RxDescriptor, RxErrors, RxStatus, SIZE, TxCommand, TxContext, TxContextCommand, TxData, TxLegacy,
    TxOptions,
};

/// Errors that keep a frame from being passed on. Wrong IP, TCP and UDP checksums are left to its receiver.
const DAMAGE: RxErrors =
    RxErrors::CE.union(RxErrors::SE).union(RxErrors::SEQ).union(RxErrors::CXE).union(RxErrors::RXE);

/// The NIC's report on checksums, which means nothing with IXSM [8254x 3.2.3.1, 3.2.3.2].
fn checksums(status: RxStatus, errors: RxErrors) -> ReportedChecksums {
    let calculated = |bits| status.intersects(bits) && !status.contains(RxStatus::IXSM);
    let ip = (calculated(RxStatus::IPCS), errors.contains(RxErrors::IPE));
    let transport = (calculated(RxStatus::TCPCS | RxStatus::UDPCS), errors.contains(RxErrors::TCPE));
    ReportedChecksums::new(ip, transport)
}

/// The legacy format.
pub enum LegacyFormat {}

impl DescriptorFormat for LegacyFormat {
    /// The 8254x write descriptors back too early around frames that they cut (Linux's e1000 has workarounds for it), and a
    /// descriptor that is done says that memory is the guest's again. The 82574 shares the format.
    const SEGMENTS: bool = false;

    fn received(half: u64) -> Option<ReceivedBuffer> {
        let mut bytes = [0; SIZE];
        bytes[WRITE_BACK..].copy_from_slice(&half.to_le_bytes());
        let descriptor = RxDescriptor::from_bytes(bytes);
        let status = RxStatus::from_bits_retain(descriptor.status);
        let errors = RxErrors::from_bits_retain(descriptor.errors);
        let ends_frame = status.contains(RxStatus::EOP);
        status.contains(RxStatus::DD).then(|| ReceivedBuffer {
            length: descriptor.length.get(),
            ends_frame,
            // The error bits are valid only in the last descriptor of a frame [8254x 3.2.3.2].
            damaged: ends_frame && errors.intersects(DAMAGE),
            checksums: if ends_frame { checksums(status, errors) } else { ReportedChecksums::default() },
        })
    }

    fn data(part: FramePart) -> [u8; SIZE] {
        let end = if part.last { TxCommand::EOP | TxCommand::RS } else { TxCommand::empty() };
        let (address, command) = (part.address.into(), TxCommand::IFCS | end);
        if part.offload != Offload::Nothing {
            let data = TxData { address, options: TxOptions::TXSM.bits(), ..TxData::default() };
            return data.with_command(command, part.length.into()).to_bytes();
        }
        let (length, command) = (part.length.into(), command.bits());
        TxLegacy { address, length, command, ..TxLegacy::default() }.to_bytes()
    }

    /// `TUCSE` 0 is the end of the packet. What is said of the IP checksum means nothing: no data descriptor asks for it.
    fn context(layout: &TransportLayout, _cut: Option<CutPlan>) -> [u8; SIZE] {
        let kind = if layout.is_udp() { TxContextCommand::empty() } else { TxContextCommand::TCP };
        let context = TxContext {
            tu_checksum_start: low_u8(layout.start() as u64),
            tu_checksum_offset: low_u8(layout.checksum_field().start as u64),
            ..TxContext::default()
        };
        context.with_command(kind, 0).to_bytes()
    }
}
