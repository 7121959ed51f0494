//! Ping from the peer, once or all the time.

use crate::Outcome;
use crate::failure::Context;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const IDENTIFIER: u16 = 0x5765;
const PAUSE: Duration = Duration::from_millis(200);

/// What became of a number of pings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Echo requests sent.
    pub sent: u16,
    /// Sequence numbers without an answer in time.
    pub missed: Vec<u16>,
    /// The longest time to an answer.
    pub slowest: Duration,
}

/// A raw ICMP socket; needs the namespace's own rights only.
struct Echo {
    socket: OwnedFd,
    to: SockaddrIn,
}

impl Echo {
    fn open(to: Ipv4Addr) -> Outcome<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
            .context("raw ICMP socket")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))
            .context("raw ICMP socket")?;
        Ok(Self { socket, to: SocketAddrV4::new(to, 0).into() })
    }

    /// Sends one request of `size` data bytes and waits for its answer, whole and equal.
    fn ping(&self, sequence: u16, size: usize, limit: Duration) -> Outcome<Option<Duration>> {
        let request = message(8, sequence, size);
        let start = Instant::now();
        match sendto(self.socket.as_raw_fd(), &request, &self.to, MsgFlags::empty()) {
            // No answer to ARP yet, or none within its patience: a miss like any other.
            Ok(_) | Err(Errno::EHOSTUNREACH) => {}
            Err(error) => return Err(error).context("sending an echo request"),
        }
        let wanted = message(0, sequence, size);
        let mut buffer = [0; 1 << 16];
        while start.elapsed() < limit {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                // A raw socket gives the IPv4 header too, 20 bytes without options.
                Ok(length) if buffer.get(20..length) == Some(&wanted) => return Ok(Some(start.elapsed())),
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::EHOSTUNREACH) => {}
                Err(error) => return Err(error).context("waiting for an echo reply"),
            }
        }
        Ok(None)
    }
}

/// Pings `count` times, with `size` data bytes each, allowing each answer `limit`.
///
/// # Errors
/// The socket does not work.
pub fn ping(to: Ipv4Addr, count: u16, size: usize, limit: Duration) -> Outcome<Tally> {
    let echo = Echo::open(to)?;
    let mut tally = Tally::default();
    for sequence in 0..count {
        tally.count(sequence, echo.ping(sequence, size, limit)?);
    }
    Ok(tally)
}

/// Pings until a first answer comes, or `limit` is over; whether it came.
///
/// # Errors
/// The socket does not work.
pub fn answers(to: Ipv4Addr, limit: Duration) -> Outcome<bool> {
    let echo = Echo::open(to)?;
    let start = Instant::now();
    for sequence in 0.. {
        if echo.ping(sequence, 56, Duration::from_secs(1))?.is_some() {
            return Ok(true);
        }
        if start.elapsed() > limit {
            break;
        }
    }
    Ok(false)
}

impl Tally {
    fn count(&mut self, sequence: u16, answer: Option<Duration>) {
        self.sent += 1;
        match answer {
            Some(time) => self.slowest = self.slowest.max(time),
            None => self.missed.push(sequence),
        }
    }
}

/// Pings in the background, five times a second, until it is stopped.
pub struct Pinger {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<Outcome<Tally>>>,
}

impl Pinger {
    /// Starts; each answer may take `limit`.
    ///
    /// # Errors
    /// The socket does not work.
    pub fn start(to: Ipv4Addr, limit: Duration) -> Outcome<Self> {
        let echo = Echo::open(to)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_too = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            let mut tally = Tally::default();
            while !stop_too.load(Ordering::Relaxed) {
                tally.count(tally.sent, echo.ping(tally.sent, 56, limit)?);
                thread::sleep(PAUSE);
            }
            Ok(tally)
        });
        Ok(Self { stop, worker: Some(worker) })
    }

    /// Stops and tells what became of the pings.
    ///
    /// # Errors
    /// The socket did not work.
    pub fn stop(mut self) -> Outcome<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        match self.worker.take().map(JoinHandle::join) {
            Some(Ok(tally)) => tally,
            _ => Ok(Tally::default()),
        }
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An echo message with its checksum [RFC 792].
fn message(kind: u8, sequence: u16, size: usize) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&IDENTIFIER.to_be_bytes());
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend((0..size).map(|index| index as u8 ^ sequence as u8));
    let sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let check = !((folded & 0xffff) + (folded >> 16)) as u16;
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_message_is_summed_as_rfc_1071_says() {
        // 0800 + 5765 + 0001 = 5f66, and its complement.
        assert_eq!(message(8, 1, 0), [8, 0, 0xa0, 0x99, 0x57, 0x65, 0, 1]);
    }
}
