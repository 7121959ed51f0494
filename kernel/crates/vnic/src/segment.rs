//! Checksum insertion and TCP segmentation: what changes in the headers of each frame [8254x 3.5, 3.6].

use crate::checksum;
use intel_regs::desc::{TxContext, TxContextCommand, TxOptions};

/// A checksum to insert: the complement of the sum of a range, put at `offset`.
#[derive(Clone, Copy, Debug)]
struct Insertion {
    start: usize,
    offset: usize,
    /// The last byte of the range; `None` for the end of the frame.
    end: Option<usize>,
    /// A sum of 0 is sent as FFFFh: UDP takes 0 for no checksum [RFC 768].
    never_zero: bool,
}

impl Insertion {
    fn new(start: u8, offset: u8, end: u16) -> Self {
        let end = Some(usize::from(end)).filter(|end| *end != 0);
        Self { start: start.into(), offset: offset.into(), end, never_zero: false }
    }

    /// Inserts the checksum. A range or place outside the frame changes nothing.
    fn apply(&self, frame: &mut [u8]) {
        let end = self.end.map_or(frame.len(), |last| frame.len().min(last + 1));
        let Some(sum) = frame.get(self.start..end).map(checksum::sum) else { return };
        let value = if self.never_zero && sum == 0xffff { 0xffff } else { !sum };
        put(frame, self.offset, value);
    }
}

/// The checksums to insert into a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checksums {
    ip: Option<Insertion>,
    transport: Option<Insertion>,
}

impl Checksums {
    /// Of a legacy descriptor: from `CSS` to the end, put at `CSO` [8254x 3.3.3].
    pub(crate) fn legacy(start: u8, offset: u8) -> Self {
        Self { ip: None, transport: Some(Insertion::new(start, offset, 0)) }
    }

    /// Of a data descriptor with these options, in this context [8254x 3.6].
    pub(crate) fn context(context: &TxContext, options: TxOptions) -> Self {
        let ip = Insertion::new(
            context.ip_checksum_start,
            context.ip_checksum_offset,
            context.ip_checksum_end.get(),
        );
        let mut transport = Insertion::new(
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

    /// Inserts the checksums into a whole frame, without tag.
    pub(crate) fn apply(&self, frame: &mut [u8]) {
        for insertion in [self.ip, self.transport].into_iter().flatten() {
            insertion.apply(frame);
        }
    }
}

/// How a packet is cut into frames [8254x 3.5].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segmentation {
    /// Bytes of header that each frame begins with.
    pub(crate) header: usize,
    /// Bytes of payload in each frame but the last.
    pub(crate) mss: usize,
    /// Bytes of payload in all frames.
    pub(crate) payload: usize,
    ip_start: usize,
    transport_start: usize,
    transport_checksum: usize,
    ipv4: bool,
    tcp: bool,
}

/// One frame of a packet that is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// Where its payload begins in that of the packet.
    pub(crate) offset: usize,
    /// It is the last.
    pub(crate) last: bool,
}

/// `FIN` and `PSH`, which only the last segment keeps.
const FIN_PSH: u8 = 0x09;
/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;

impl Segmentation {
    /// Of a packet of `length` bytes in this context. What `PAYLEN` and the buffers say may differ: the
    /// smaller counts.
    pub(crate) fn new(context: &TxContext, length: usize) -> Self {
        let header = usize::from(context.header_length);
        let payload = (context.payload_length() as usize).min(length.saturating_sub(header));
        Self {
            header,
            mss: context.maximum_segment_size.get().into(),
            payload,
            ip_start: context.ip_checksum_start.into(),
            transport_start: context.tu_checksum_start.into(),
            transport_checksum: context.tu_checksum_offset.into(),
            ipv4: context.command().contains(TxContextCommand::IP),
            tcp: context.command().contains(TxContextCommand::TCP),
        }
    }

    /// Brings the headers of a frame, which begins with the packet's own, up to date [8254x 3.5.9]. With
    /// `transport_checksum` its field holds the sum of the pseudo header without length, which is added.
    pub(crate) fn update(&self, frame: &mut [u8], segment: Segment, transport_checksum: bool) {
        let length = frame.len();
        let after = |start: usize| length.saturating_sub(start) as u16;
        if self.ipv4 {
            put(frame, self.ip_start + 2, after(self.ip_start));
            let identification = get(frame, self.ip_start + 4).wrapping_add(segment.number as u16);
            put(frame, self.ip_start + 4, identification);
        } else {
            // The manual says MSS + HDRLEN - IPCSS; the field does not count the IPv6 header [RFC 8200 3].
            put(frame, self.ip_start + 4, after(self.ip_start + IPV6_HEADER));
        }
        if self.tcp {
            let at = self.transport_start + 4;
            if let Some(field) = frame.get_mut(at..at + 4) {
                let first = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
                field.copy_from_slice(&first.wrapping_add(segment.offset as u32).to_be_bytes());
            }
            if let Some(flags) = frame.get_mut(self.transport_start + 13).filter(|_| !segment.last) {
                *flags &= !FIN_PSH;
            }
        } else {
            put(frame, self.transport_start + 4, after(self.transport_start));
        }
        if transport_checksum {
            let pseudo = checksum::add(get(frame, self.transport_checksum), after(self.transport_start));
            put(frame, self.transport_checksum, pseudo);
        }
    }
}

fn get(frame: &[u8], offset: usize) -> u16 {
    frame.get(offset..offset + 2).map_or(0, |field| u16::from_be_bytes([field[0], field[1]]))
}

fn put(frame: &mut [u8], offset: usize, value: u16) {
    if let Some(field) = frame.get_mut(offset..offset + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}
