//! Packets that are to be cut into segments, and what they are cut into.

use super::Guest;
use intel_regs::desc::{TxCommand, TxContext, TxContextCommand};
use testkit::frame::{self, Station};

pub const IXSM: u8 = 1;
pub const TXSM: u8 = 2;
pub const ETHERNET: usize = 14;

/// The protocols that can be segmented, as a driver describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ipv4Tcp,
    Ipv4Udp,
    Ipv6Tcp,
}

impl Kind {
    pub fn ip_header(self) -> usize {
        if self == Self::Ipv6Tcp { 40 } else { 20 }
    }

    pub fn transport_header(self) -> usize {
        if self == Self::Ipv4Udp { 8 } else { 20 }
    }

    pub fn header(self) -> usize {
        ETHERNET + self.ip_header() + self.transport_header()
    }

    pub fn protocol(self) -> u8 {
        if self == Self::Ipv4Udp { 17 } else { 6 }
    }

    pub fn checksum_offset(self) -> usize {
        ETHERNET + self.ip_header() + if self == Self::Ipv4Udp { 6 } else { 16 }
    }

    /// `POPTS`; an IPv6 header has no checksum to insert.
    pub fn options(self) -> u8 {
        if self == Self::Ipv6Tcp { TXSM } else { IXSM | TXSM }
    }

    pub fn context(self, payload: usize, mss: u16) -> TxContext {
        let transport = (ETHERNET + self.ip_header()) as u8;
        let mut command = TxContextCommand::TSE;
        command.set(TxContextCommand::IP, self != Self::Ipv6Tcp);
        command.set(TxContextCommand::TCP, self != Self::Ipv4Udp);
        TxContext {
            ip_checksum_start: ETHERNET as u8,
            ip_checksum_offset: ETHERNET as u8 + 10,
            ip_checksum_end: (u16::from(transport) - 1).into(),
            tu_checksum_start: transport,
            tu_checksum_offset: self.checksum_offset() as u8,
            header_length: self.header() as u8,
            maximum_segment_size: mss.into(),
            ..Default::default()
        }
        .with_command(command, payload as u32)
    }

    /// The sum of the pseudo header, with this length.
    pub fn pseudo(self, frame: &[u8], length: usize) -> u16 {
        let addresses = if self == Self::Ipv6Tcp { &frame[22..54] } else { &frame[26..34] };
        !frame::checksum(&[addresses, &[0, self.protocol()], &(length as u16).to_be_bytes()].concat())
    }

    /// A packet as a driver submits it for segmentation, with FIN and PSH set.
    pub fn prototype(self, payload: &[u8]) -> Vec<u8> {
        let (a, b) = (Station::number(1), Station::number(2));
        let mut frame = match self {
            Self::Ipv4Udp => frame::udp(&a, &b, payload),
            _ => frame::tcp(&a, &b, 0xffff_f000, payload),
        };
        if self == Self::Ipv6Tcp {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
            header.extend([0xfd; 16]);
            header.extend([0xfe; 16]);
            frame.splice(ETHERNET..ETHERNET + 20, header);
            frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        } else {
            frame[16..18].fill(0);
            frame[24..26].fill(0);
        }
        if self != Self::Ipv4Udp {
            frame[ETHERNET + self.ip_header() + 13] |= 0x09;
        }
        let at = self.checksum_offset();
        let pseudo = self.pseudo(&frame, 0);
        frame[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        frame
    }

    /// The same without FIN.
    pub fn without_fin(self, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.prototype(payload);
        frame[ETHERNET + self.ip_header() + 13] &= !0x01;
        frame
    }

    /// The expected frame of segment `number`, whose payload `piece` starts at `offset`.
    pub fn expected(
        self,
        prototype: &[u8],
        number: usize,
        offset: usize,
        piece: &[u8],
        last: bool,
    ) -> Vec<u8> {
        let mut frame = [&prototype[..self.header()], piece].concat();
        let transport = ETHERNET + self.ip_header();
        let length = frame.len();
        if self == Self::Ipv6Tcp {
            frame[18..20].copy_from_slice(&((length - 54) as u16).to_be_bytes());
        } else {
            frame[16..18].copy_from_slice(&((length - ETHERNET) as u16).to_be_bytes());
            let identification =
                u16::from_be_bytes([prototype[18], prototype[19]]).wrapping_add(number as u16);
            frame[18..20].copy_from_slice(&identification.to_be_bytes());
            let sum = frame::checksum(&frame[ETHERNET..transport]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        if self == Self::Ipv4Udp {
            frame[transport + 4..][..2].copy_from_slice(&((length - transport) as u16).to_be_bytes());
        } else {
            let sequence = 0xffff_f000u32.wrapping_add(offset as u32);
            frame[transport + 4..][..4].copy_from_slice(&sequence.to_be_bytes());
            if !last {
                frame[transport + 13] &= !0x09;
            }
        }
        let at = self.checksum_offset();
        let pseudo = self.pseudo(&frame, length - transport);
        frame[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        let sum = frame::checksum(&frame[transport..]);
        let sum = if sum == 0 && self == Self::Ipv4Udp { 0xffff } else { sum };
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}

pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// Queues a packet for segmentation, in buffers of `buffer` bytes.
pub fn queue_segmented(guest: &mut Guest, kind: Kind, prototype: &[u8], mss: u16, buffer: usize, tag: bool) {
    guest.queue_context(kind.context(prototype.len() - kind.header(), mss));
    let mut command = TxCommand::IFCS | TxCommand::TSE;
    command.set(TxCommand::VLE, tag);
    let pieces: Vec<_> = prototype.chunks(buffer).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let end = if index + 1 == pieces.len() { TxCommand::EOP | TxCommand::RS } else { TxCommand::empty() };
        guest.queue_data(piece, command | end, if index == 0 { kind.options() } else { 0 });
    }
}

pub fn expected_segments(kind: Kind, prototype: &[u8], mss: u16) -> Vec<Vec<u8>> {
    let payload = &prototype[kind.header()..];
    let count = payload.len().div_ceil(mss.into());
    payload
        .chunks(mss.into())
        .enumerate()
        .map(|(number, piece)| {
            kind.expected(prototype, number, number * usize::from(mss), piece, number + 1 == count)
        })
        .collect()
}
