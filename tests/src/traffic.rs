//! Numbered datagrams, sent and received: the counterpart of the micro-guests `nic_blast` and `nic_sink`, for the
//! peer on the wire and for Linux guests. And a stream.

use crate::failure::ErrorContext;
use crate::{Failure, Outcome, debug, require};
use micro::numbered::{ACKNOWLEDGED, LAST, Sequence, is_acknowledged, write};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

pub use micro::numbered::{Fault, PORT};

/// Timeout for a datagram or an acknowledgement. Generous: the other end may still be booting.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);
/// Timeout for the acknowledgement of the first datagram, which is repeated until the receiver is ready.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout for an acknowledgement where datagrams may be lost.
const LOSS_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of faults that are listed in the report; all are counted.
const FAULTS_LISTED: usize = 8;

/// What has arrived of a run of datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkTally {
    /// How many were sent.
    pub count: u32,
    /// What was not as it should be, in order.
    pub faults: Vec<Fault>,
}

impl SinkTally {
    /// The numbers that did not arrive.
    ///
    /// # Errors
    /// One was duplicated, late or damaged.
    pub fn missing(&self) -> Outcome<Vec<u32>> {
        let mut missing = Vec::new();
        for fault in &self.faults {
            let Fault::Missing { from, to } = fault else {
                return Err(Failure::Wrong(format!("not only missing: {:?}", self.faults)));
            };
            missing.extend(*from..*to);
        }
        Ok(missing)
    }
}

/// Receives datagrams until the sender announces the end, acknowledging one in eight; returns how many were
/// received.
///
/// # Errors
/// A timeout, or a datagram that was missing, duplicated, late or damaged.
pub fn sink(socket: &UdpSocket) -> Outcome<u32> {
    let SinkTally { count, faults } = receive_run(socket)?;
    let listed = &faults[..faults.len().min(FAULTS_LISTED)];
    require!(faults.is_empty(), "{} faults among {count} datagrams: {listed:?}", faults.len());
    Ok(count)
}

/// The same, with faults as part of the result.
///
/// # Errors
/// A timeout.
pub fn receive_run(socket: &UdpSocket) -> Outcome<SinkTally> {
    set_timeout(socket, SILENCE_TIMEOUT)?;
    let mut sequence = Sequence::default();
    let mut faults: Vec<Fault> = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let (length, from) =
            receive(socket, &mut buffer).context(format!("waiting for {}", sequence.next()))?;
        let answer = match sequence.take(&buffer[..length]) {
            Ok(next) if !is_acknowledged(next) => continue,
            Ok(next) => next,
            Err(Fault::End { count }) => {
                socket.send_to(&LAST.to_be_bytes(), from).context("acknowledging the end")?;
                if sequence.next() < count {
                    faults.push(Fault::Missing { from: sequence.next(), to: count });
                }
                return Ok(SinkTally { count, faults });
            }
            Err(fault) => {
                faults.push(fault);
                sequence.next()
            }
        };
        socket.send_to(&answer.to_be_bytes(), from).context("acknowledging")?;
    }
}

/// Sends `count` datagrams, at most `window` ahead of the acknowledgements, and then the end. The receiver may
/// still be booting.
///
/// # Errors
/// An acknowledgement was not received.
pub fn blast(socket: &UdpSocket, to: SocketAddr, count: u32, window: u32) -> Outcome {
    require!(
        window >= ACKNOWLEDGED,
        "window {window} is too small: one datagram in {ACKNOWLEDGED} is acknowledged"
    );
    let mut payload = [0; 1472];
    send_first(socket, to, &mut payload)?;
    set_timeout(socket, SILENCE_TIMEOUT)?;
    let mut acknowledged = 1;
    for number in 1..count {
        while number - acknowledged >= window {
            let answer = acknowledgement(socket).context(format!("acknowledgement after {acknowledged}"))?;
            acknowledged = answer.min(number);
        }
        let length = write(&mut payload, number);
        socket.send_to(&payload[..length], to).context(format!("sending {number}"))?;
    }
    send_last(socket, to, &mut payload, count)?;
    while acknowledgement(socket).context("acknowledgement of the end")? != LAST {}
    Ok(())
}

/// The same where datagrams and acknowledgements may be lost: goes on when none has come for long. Returns how often that was
/// so.
///
/// # Errors
/// The first or the last datagram was not acknowledged.
pub fn blast_with_losses(socket: &UdpSocket, to: SocketAddr, count: u32, window: u32) -> Outcome<u32> {
    let mut payload = [0; 1472];
    send_first(socket, to, &mut payload)?;
    set_timeout(socket, LOSS_TIMEOUT)?;
    let (mut acknowledged, mut stalls) = (1, 0);
    for number in 1..count {
        while number - acknowledged >= window {
            acknowledged = acknowledgement(socket).map_or_else(
                |_| {
                    stalls += 1;
                    number
                },
                |answer| answer.clamp(acknowledged, number),
            );
        }
        let length = write(&mut payload, number);
        socket.send_to(&payload[..length], to).context(format!("sending {number}"))?;
    }
    for _ in 0..SILENCE_TIMEOUT.as_secs() {
        send_last(socket, to, &mut payload, count)?;
        loop {
            match acknowledgement(socket) {
                Ok(LAST) => return Ok(stalls),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    Err(Failure::Wrong("the end was not acknowledged".into()))
}

fn send_last(socket: &UdpSocket, to: SocketAddr, payload: &mut [u8; 1472], count: u32) -> Outcome {
    let length = write(payload, LAST);
    payload[8..12].copy_from_slice(&count.to_be_bytes());
    socket.send_to(&payload[..length], to).context("sending the end").map(drop)
}

/// Sends `count` datagrams of `bytes` each, without acknowledgements.
///
/// # Errors
/// The system refuses one.
pub fn pour(socket: &UdpSocket, to: SocketAddr, count: u32, bytes: usize) -> Outcome {
    let payload = [0; 1472];
    for number in 0..count {
        socket.send_to(&payload[..bytes.min(1472)], to).context(format!("sending {number}"))?;
    }
    Ok(())
}

fn set_timeout(socket: &UdpSocket, limit: Duration) -> Outcome {
    socket.set_read_timeout(Some(debug::timeout(limit))).context("UDP timeout")
}

/// Sends number 0 until it is acknowledged.
fn send_first(socket: &UdpSocket, to: SocketAddr, payload: &mut [u8; 1472]) -> Outcome {
    set_timeout(socket, FIRST_TIMEOUT)?;
    let length = write(payload, 0);
    let mut answer = Ok(0);
    for _ in 0..debug::timeout(SILENCE_TIMEOUT).as_millis() / FIRST_TIMEOUT.as_millis() {
        socket.send_to(&payload[..length], to).context("sending 0")?;
        answer = acknowledgement(socket);
        if answer.is_ok() {
            break;
        }
    }
    answer.map(drop).context("acknowledgement of 0")
}

/// Receives a datagram. A socket with a timeout does not wait on after an interruption, such as that of a machine which is
/// stopped and goes on (signal(7)).
///
/// # Errors
/// That of the socket, as a timeout.
pub fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends all of `bytes` in pieces that are longer than a frame, which the system leaves to its NIC to cut. Returns how many there
/// were.
///
/// # Errors
/// Of reading and sending.
pub fn stream(bytes: &mut impl Read, mut to: TcpStream) -> Outcome<u64> {
    let (mut sent, mut piece) = (0, vec![0; 64 << 10]);
    loop {
        let length = bytes.read(&mut piece).context("reading")?;
        to.write_all(&piece[..length]).context("sending")?;
        sent += length as u64;
        if length == 0 {
            return Ok(sent);
        }
    }
}

fn acknowledgement(socket: &UdpSocket) -> io::Result<u32> {
    let mut answer = [0; 4];
    receive(socket, &mut answer)?;
    Ok(u32::from_be_bytes(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_over_loopback_is_complete() {
        let (source, drain) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = drain.local_addr().unwrap();
        let receiver = std::thread::spawn(move || sink(&drain).unwrap());
        blast(&source, to, 3000, 16).unwrap();
        assert_eq!(receiver.join().unwrap(), 3000);
    }

    #[test]
    fn a_stream_arrives_whole() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let sender = std::thread::spawn(move || stream(&mut io::repeat(7).take(200_000), to).unwrap());
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        assert_eq!((sender.join().unwrap(), received.len()), (200_000, 200_000));
    }

    #[test]
    fn a_missing_datagram_fails_the_run() {
        let (source, drain) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = drain.local_addr().unwrap();
        let mut payload = [0; 1472];
        for number in [0, 2, LAST] {
            let length = write(&mut payload, number);
            if number == LAST {
                payload[8..12].copy_from_slice(&3_u32.to_be_bytes());
            }
            source.send_to(&payload[..length], to).unwrap();
        }
        sink(&drain).expect_err("number 1 is missing");
    }
}
