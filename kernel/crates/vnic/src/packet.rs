//! One packet that the guest sends, gathered from its descriptors.

use crate::fault::{GuestFault, RingKind};
use crate::flight::StatusReport;
use crate::segmentation::Segmentation;
use crate::transmit_checksum::TransmitChecksums;
use alloc::vec::Vec;
use base::{GuestMemory, GuestPhysical, GuestSpans, Span};
use intel_regs::desc::{TxCommand, TxContext, TxDescriptor, TxOptions};

/// Maximum number of descriptors in a packet.
pub(crate) const MAX_DESCRIPTORS: usize = 256;

/// What the model keeps of one descriptor of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketDescriptor {
    address: u64,
    pub(crate) length: u32,
    /// What is to be done when it is done.
    pub(crate) report: StatusReport,
    /// The descriptor has a reserved type.
    pub(crate) reserved: bool,
}

impl PacketDescriptor {
    /// Extracts the needed fields of a descriptor.
    pub(crate) fn new(descriptor: &TxDescriptor) -> Self {
        let empty = Self { address: 0, length: 0, report: StatusReport::NONE, reserved: false };
        match descriptor {
            TxDescriptor::Legacy(legacy) => {
                let command = TxCommand::from_bits_retain(legacy.command);
                Self {
                    address: legacy.address.get(),
                    length: u32::from(legacy.length.get()),
                    report: StatusReport::new(command, legacy.status),
                    ..empty
                }
            }
            TxDescriptor::Data(data) => Self {
                address: data.address.get(),
                length: data.length(),
                report: StatusReport::new(data.command(), data.status),
                ..empty
            },
            TxDescriptor::Context(context) => {
                let command = TxCommand::from_bits_retain(context.command().bits());
                Self { report: StatusReport::new(command, context.status), ..empty }
            }
            TxDescriptor::Reserved(_) => Self { reserved: true, ..empty },
        }
    }
}

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransmitDrop {
    Runt,
    Oversized { length: usize },
    BadSegmentation { mss: usize, header: usize, length: usize },
    BadFrameCheck,
    Outside(GuestFault),
}

/// A packet. Kept from poll to poll with its descriptors as they were when the packet was loaded, so that the
/// guest cannot change them half-way.
#[derive(Default)]
pub(crate) struct TransmitPacket {
    /// Its descriptors, in ring order.
    pub(crate) descriptors: Vec<PacketDescriptor>,
    /// Bytes in all buffers together.
    pub(crate) length: usize,
    /// The tag to insert.
    pub(crate) tag: Option<u16>,
    /// The NIC appends the frame check sequence; otherwise the guest supplies it.
    pub(crate) insert_fcs: bool,
    /// The checksums to insert.
    pub(crate) checksums: TransmitChecksums,
    /// How to cut the packet, if it is segmented.
    pub(crate) segmentation: Option<Segmentation>,
    /// `POPTS` of the first data descriptor.
    first: Option<TxOptions>,
}

impl TransmitPacket {
    /// An empty packet with room for the descriptors of any packet.
    pub(crate) fn new() -> Self {
        Self { descriptors: Vec::with_capacity(MAX_DESCRIPTORS), ..Self::default() }
    }

    /// Empties the packet and keeps its allocation.
    pub(crate) fn clear(&mut self) {
        let mut descriptors = core::mem::take(&mut self.descriptors);
        descriptors.clear();
        *self = Self { descriptors, ..Self::default() };
    }

    /// True when no more descriptors can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.descriptors.len() >= MAX_DESCRIPTORS
    }

    /// Adds a descriptor; there must be room. Returns true when it ends the packet.
    pub(crate) fn add(&mut self, descriptor: &TxDescriptor, context: &TxContext) -> bool {
        let kept = PacketDescriptor::new(descriptor);
        self.length = self.length.saturating_add(kept.length as usize);
        self.descriptors.push(kept);
        match descriptor {
            TxDescriptor::Legacy(legacy) => {
                let command = TxCommand::from_bits_retain(legacy.command);
                // VLE, IFCS and IC are valid in the last descriptor of a packet [8254x 3.3.3.1].
                if command.contains(TxCommand::EOP) {
                    self.insert_fcs = command.contains(TxCommand::IFCS);
                    self.tag = command.contains(TxCommand::VLE).then_some(legacy.special.get());
                    if command.contains(TxCommand::IC) {
                        self.checksums =
                            TransmitChecksums::legacy(legacy.checksum_start, legacy.checksum_offset);
                    }
                }
                command.contains(TxCommand::EOP)
            }
            TxDescriptor::Data(data) => {
                let command = data.command();
                // POPTS is valid in the first data descriptor of a packet [8254x 3.3.7.3].
                let options = *self.first.get_or_insert(TxOptions::from_bits_retain(data.options));
                if command.contains(TxCommand::EOP) {
                    self.insert_fcs = command.intersects(TxCommand::IFCS | TxCommand::TSE);
                    self.tag = command.contains(TxCommand::VLE).then_some(data.special.get());
                    self.checksums = TransmitChecksums::context(context, options);
                    self.segmentation =
                        command.contains(TxCommand::TSE).then(|| Segmentation::new(context, self.length));
                }
                command.contains(TxCommand::EOP)
            }
            TxDescriptor::Context(_) | TxDescriptor::Reserved(_) => false,
        }
    }

    /// Fills `into` with the packet's bytes, starting at `offset`.
    pub(crate) fn gather<M: GuestMemory>(
        &self,
        memory: &M,
        offset: usize,
        mut into: &mut [u8],
    ) -> Result<(), GuestFault> {
        self.buffers(offset, into.len(), |at, length| {
            let (piece, rest) = core::mem::take(&mut into).split_at_mut(length);
            into = rest;
            memory.read(at, piece).is_ok()
        })
    }

    /// Passes the memory of `length` bytes of the packet, starting at `offset`, to `take`, until it returns false.
    pub(crate) fn spans<M: GuestSpans>(
        &self,
        memory: &M,
        offset: usize,
        length: usize,
        mut take: impl FnMut(Span) -> bool,
    ) -> Result<(), GuestFault> {
        self.buffers(offset, length, |at, length| memory.spans(at, length, &mut take).is_ok())
    }

    /// Passes the parts of the buffers in which `length` bytes of the packet are, starting at `offset`, to `use_part`,
    /// which returns false for a part that is not in the guest's memory.
    fn buffers(
        &self,
        mut offset: usize,
        mut length: usize,
        mut use_part: impl FnMut(GuestPhysical, usize) -> bool,
    ) -> Result<(), GuestFault> {
        // A packet that is not segmented has no header of its own: nothing is done for it.
        if length == 0 {
            return Ok(());
        }
        for buffer in &self.descriptors {
            let whole = buffer.length as usize;
            if offset >= whole {
                offset -= whole;
                continue;
            }
            let part = length.min(whole - offset);
            let at = GuestPhysical(buffer.address).checked_add(offset as u64);
            if at.is_none_or(|at| !use_part(at, part)) {
                let at = GuestPhysical(buffer.address);
                let length = buffer.length;
                return Err(GuestFault::BufferOutsideMemory { ring: RingKind::Transmit, at, length });
            }
            (offset, length) = (0, length - part);
            if length == 0 {
                break;
            }
        }
        Ok(())
    }
}
