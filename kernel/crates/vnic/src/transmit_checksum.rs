//! Checksum insertion into frames that a guest sends [8254x 3.3.3, 3.6].

use crate::ethernet::put_word;
use base::{Checksums, UnfinishedChecksum, internet_checksum};
use intel_regs::desc::{TxContext, TxContextCommand, TxOptions};

/// A checksum to insert: the complement of the sum of a range, stored at `offset`.
#[derive(Clone, Copy, Debug)]
struct ChecksumInsertion {
    start: usize,
    offset: usize,
    /// The last byte of the range; `None` for the end of the frame.
    end: Option<usize>,
    /// A checksum of 0 is sent as FFFFh: in UDP, 0 stands for no checksum [RFC 768].
    never_zero: bool,
}

impl ChecksumInsertion {
    fn new(start: u8, offset: u8, end: u16) -> Self {
        let end = Some(usize::from(end)).filter(|end| *end != 0);
        Self { start: start.into(), offset: offset.into(), end, never_zero: false }
    }

    /// Inserts the checksum. A range or an offset outside the frame changes nothing.
    fn apply(&self, frame: &mut [u8]) {
        let end = self.end.map_or(frame.len(), |last| frame.len().min(last + 1));
        let Some(sum) = frame.get(self.start..end).map(internet_checksum::sum) else { return };
        let value = if self.never_zero && sum == 0xffff { 0xffff } else { !sum };
        put_word(frame, self.offset, value);
    }
}

/// The checksums to insert into a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TransmitChecksums {
    ip: Option<ChecksumInsertion>,
    transport: Option<ChecksumInsertion>,
}

impl TransmitChecksums {
    /// The checksum that a legacy descriptor asks for: from `CSS` to the end, stored at `CSO` [8254x 3.3.3].
    pub(crate) fn legacy(start: u8, offset: u8) -> Self {
        Self { ip: None, transport: Some(ChecksumInsertion::new(start, offset, 0)) }
    }

    /// The checksums that a data descriptor with these options asks for, in this context [8254x 3.6].
    pub(crate) fn context(context: &TxContext, options: TxOptions) -> Self {
        let ip = ChecksumInsertion::new(
            context.ip_checksum_start,
            context.ip_checksum_offset,
            context.ip_checksum_end.get(),
        );
        let mut transport = ChecksumInsertion::new(
            context.tu_checksum_start,
            context.tu_checksum_offset,
            context.tu_checksum_end.get(),
        );
        transport.never_zero = !context.command().contains(TxContextCommand::TCP);
        Self {
            ip: options.contains(TxOptions::IXSM).then_some(ip),
            transport: options.contains(TxOptions::TXSM).then_some(transport),
        }
    }

    /// True when the TCP or UDP checksum is to be inserted.
    pub(crate) fn has_transport(&self) -> bool {
        self.transport.is_some()
    }

    /// Inserts the checksums into a frame of this length without a tag, of which these are the first bytes, as far as they show
    /// them: whoever sends the frame does the rest, if the result says so. `None` when more would have to be seen of the
    /// frame; then something may be changed.
    pub(crate) fn apply_to_head(&self, head: &mut [u8], length: usize) -> Option<Checksums> {
        if head.len() >= length {
            self.apply(head);
            return Some(Checksums::Unknown);
        }
        if let Some(ip) = &self.ip {
            let shown = ip.end.is_some_and(|last| last < head.len()) && ip.offset + 2 <= head.len();
            shown.then(|| ip.apply(head))?;
        }
        let Some(transport) = &self.transport else { return Some(Checksums::Unknown) };
        let to_the_end = transport.end.is_none_or(|last| last + 1 >= length);
        let shown = to_the_end && transport.offset + 2 <= head.len();
        let unfinished = UnfinishedChecksum::new(transport.start, transport.offset, transport.never_zero);
        unfinished.filter(|_| shown).map(Checksums::Unfinished)
    }

    /// Inserts the checksums into a whole frame without a tag.
    pub(crate) fn apply(&self, frame: &mut [u8]) {
        if let Some(ip) = &self.ip {
            ip.apply(frame);
        }
        if let Some(transport) = &self.transport {
            transport.apply(frame);
        }
    }
}
