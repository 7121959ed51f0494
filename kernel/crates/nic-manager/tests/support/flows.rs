//! What guests send to the wire: frames with numbers, of flows that a team must keep in order whatever decides about them.

use base::{Instant, Outbox, Port};
use nic_manager::FrameKey;
use testkit::QueuePort;
use testkit::frame::{PROTOCOL_UDP, Station, checksum, in_ipv6, ipv4, tagged, udp};

/// Flows of each guest: two of its own address to two stations, one of another address, one in a VLAN, and to others two of IPv6, one of
/// fragments of IPv4, and one of fragments of IPv6 in a VLAN.
pub const FLOWS: usize = 8;

/// What precedes the number of a frame.
const MARK: [u8; 60] = [0x5a; 60];

/// A frame of a flow of a guest, which ends with its number.
pub fn frame(guest: usize, flow: usize, number: u32) -> Vec<u8> {
    let (own, to) = (1 + guest as u8, Station::number(100 + flow as u8));
    let from = Station::number(if flow == 2 { 50 + own } else { own });
    let payload = [&MARK[..], &number.to_be_bytes()].concat();
    let whole = udp(&from, &to, &payload);
    match flow {
        3 => tagged(&whole, 7),
        4 | 7 => in_ipv6(&whole),
        5 => fragment_v4(&from, &to, &payload, number),
        6 => tagged(&fragment_v6(&in_ipv6(&whole), number), 7),
        _ => whole,
    }
}

/// The number of a frame, unless it is one of the team's own.
pub fn number(frame: &[u8]) -> Option<u32> {
    let (rest, last) = frame.split_last_chunk()?;
    rest.ends_with(&MARK).then(|| u32::from_be_bytes(*last))
}

/// The bucket of the frames of a flow.
pub fn bucket(key: FrameKey, guest: usize, flow: usize) -> usize {
    let (mut port, mut outbox) = (QueuePort::new(), Outbox::new(0));
    port.arrive(&frame(guest, flow, 0));
    port.fetch(&mut outbox, 1, Instant::ZERO);
    let slot = outbox.fetched().expect("it was fetched");
    key.bucket(&outbox.frame(slot), guest + 1)
}

/// Of each two the first fragment, which has the ports, and one without them [RFC 791 3.1].
fn fragment_v4(from: &Station, to: &Station, payload: &[u8], number: u32) -> Vec<u8> {
    let (mut frame, field) = match number % 2 {
        0 => (udp(from, to, payload), 0x2000_u16),
        _ => (ipv4(from, to, PROTOCOL_UDP, payload), 9),
    };
    frame[20..22].copy_from_slice(&field.to_be_bytes());
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The same of IPv6: a header of its own says which fragment it is [RFC 8200 4.5].
fn fragment_v6(frame: &[u8], number: u32) -> Vec<u8> {
    let (header, rest) = frame.split_at(54);
    let field = if number.is_multiple_of(2) { 1_u16 } else { 9 << 3 };
    let [high, low] = field.to_be_bytes();
    let mut header = header.to_vec();
    let length = u16::from_be_bytes([header[18], header[19]]) + 8;
    header[18..20].copy_from_slice(&length.to_be_bytes());
    let next = core::mem::replace(&mut header[20], 44);
    let rest = if number.is_multiple_of(2) { rest } else { &rest[8..] };
    [&header[..], &[next, 0, high, low, 0, 0, 0, 1], rest].concat()
}
