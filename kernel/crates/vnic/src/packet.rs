//! One packet of the guest, gathered from its descriptors and cut into frames one at a time.

use crate::fault::{GuestFault, RingKind};
use crate::segment::{Checksums, Segmentation};
use alloc::vec::Vec;
use base::{GuestMemory, GuestPhysical};
use intel_regs::desc::{TxCommand, TxContext, TxDescriptor, TxOptions, TxStatus};

/// Most descriptors of a packet that the model follows.
pub(crate) const MAX_DESCRIPTORS: usize = 256;

/// One descriptor of the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its index in the ring.
    pub(crate) index: u32,
    address: u64,
    length: u32,
    /// Its status byte once done, when the guest wants it written back.
    pub(crate) report: Option<u8>,
    /// The guest allows its interrupt to be delayed.
    pub(crate) delayed: bool,
    /// It was of a reserved type.
    pub(crate) reserved: bool,
}

impl Entry {
    /// What the model keeps of a descriptor.
    pub(crate) fn new(index: u32, descriptor: &TxDescriptor) -> Self {
        let empty = Self { index, address: 0, length: 0, report: None, delayed: false, reserved: false };
        let done = |status: u8| Some(status | TxStatus::DD.bits());
        match descriptor {
            TxDescriptor::Legacy(legacy) => {
                let command = TxCommand::from_bits_retain(legacy.command);
                Self {
                    address: legacy.address.get(),
                    length: u32::from(legacy.length.get()),
                    report: done(legacy.status).filter(|_| command.contains(TxCommand::RS)),
                    delayed: command.contains(TxCommand::IDE),
                    ..empty
                }
            }
            TxDescriptor::Data(data) => Self {
                address: data.address.get(),
                length: data.length(),
                report: done(data.status).filter(|_| data.command().contains(TxCommand::RS)),
                delayed: data.command().contains(TxCommand::IDE),
                ..empty
            },
            TxDescriptor::Context(context) => {
                // RS and IDE stand at the same place in TUCMD as in DCMD.
                let command = TxCommand::from_bits_retain(context.command().bits());
                Self {
                    report: done(context.status).filter(|_| command.contains(TxCommand::RS)),
                    delayed: command.contains(TxCommand::IDE),
                    ..empty
                }
            }
            TxDescriptor::Reserved(_) => Self { reserved: true, ..empty },
        }
    }
}

/// Why a packet is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Runt,
    Oversized { length: usize },
    BadSegmentation { mss: usize, header: usize, length: usize },
    BadFrameCheck,
    Outside(GuestFault),
}

/// A packet and how far it has been sent. Kept from poll to poll, with its descriptors as they were when
/// the packet was taken: the guest cannot change its mind half-way.
#[derive(Default)]
pub(crate) struct Packet {
    /// Its descriptors, in ring order.
    pub(crate) entries: Vec<Entry>,
    /// Bytes in all buffers.
    pub(crate) length: usize,
    /// Tag to insert.
    pub(crate) tag: Option<u16>,
    /// The card appends the frame check sequence.
    pub(crate) insert_fcs: bool,
    /// Checksums to insert.
    pub(crate) checksums: Checksums,
    /// How to cut the packet, when it is to be cut.
    pub(crate) segmentation: Option<Segmentation>,
    /// Type of the first descriptor with data and its `POPTS`.
    first: Option<TxOptions>,
}

impl Packet {
    /// Room for the descriptors of any packet.
    pub(crate) fn new() -> Self {
        Self { entries: Vec::with_capacity(MAX_DESCRIPTORS), ..Self::default() }
    }

    /// Forgets the packet, but not its memory.
    pub(crate) fn clear(&mut self) {
        let mut entries = core::mem::take(&mut self.entries);
        entries.clear();
        *self = Self { entries, ..Self::default() };
    }

    /// True when no more descriptors can be followed.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_DESCRIPTORS
    }

    /// Adds a descriptor; there must be room. Returns true when it ends the packet.
    pub(crate) fn add(&mut self, index: u32, descriptor: &TxDescriptor, context: &TxContext) -> bool {
        let entry = Entry::new(index, descriptor);
        self.length = self.length.saturating_add(entry.length as usize);
        self.entries.push(entry);
        match descriptor {
            TxDescriptor::Legacy(legacy) => {
                let command = TxCommand::from_bits_retain(legacy.command);
                // VLE, IFCS and IC count in the last descriptor of a packet [8254x 3.3.3.1].
                if command.contains(TxCommand::EOP) {
                    self.insert_fcs = command.contains(TxCommand::IFCS);
                    self.tag = command.contains(TxCommand::VLE).then_some(legacy.special.get());
                    if command.contains(TxCommand::IC) {
                        self.checksums = Checksums::legacy(legacy.checksum_start, legacy.checksum_offset);
                    }
                }
                command.contains(TxCommand::EOP)
            }
            TxDescriptor::Data(data) => {
                let command = data.command();
                // POPTS counts in the first data descriptor of a packet [8254x 3.3.7.3].
                let options = *self.first.get_or_insert(TxOptions::from_bits_retain(data.options));
                if command.contains(TxCommand::EOP) {
                    self.insert_fcs = command.intersects(TxCommand::IFCS | TxCommand::TSE);
                    self.tag = command.contains(TxCommand::VLE).then_some(data.special.get());
                    self.checksums = Checksums::context(context, options);
                    self.segmentation =
                        command.contains(TxCommand::TSE).then(|| Segmentation::new(context, self.length));
                }
                command.contains(TxCommand::EOP)
            }
            TxDescriptor::Context(_) | TxDescriptor::Reserved(_) => false,
        }
    }

    /// Copies from byte `offset` of the packet into `into`.
    pub(crate) fn gather<M: GuestMemory>(
        &self,
        memory: &M,
        mut offset: usize,
        mut into: &mut [u8],
    ) -> Result<(), GuestFault> {
        for entry in &self.entries {
            let length = entry.length as usize;
            if offset >= length {
                offset -= length;
                continue;
            }
            let (piece, rest) = into.split_at_mut(into.len().min(length - offset));
            let at = GuestPhysical(entry.address).checked_add(offset as u64);
            if at.is_none_or(|at| memory.read(at, piece).is_err()) {
                let at = GuestPhysical(entry.address);
                return Err(GuestFault::BufferOutsideMemory {
                    ring: RingKind::Transmit,
                    at,
                    length: entry.length,
                });
            }
            into = rest;
            if into.is_empty() {
                break;
            }
            offset = 0;
        }
        Ok(())
    }
}
