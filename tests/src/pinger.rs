//! Ping from the peer, a number of times or in the background.

use crate::failure::ErrorContext;
use crate::{Outcome, debug};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The identifier of the first socket; each has its own, since all of them get all replies.
const IDENTIFIER: u16 = 0x5765;
static SOCKETS: AtomicU16 = AtomicU16::new(0);
/// Time between two pings in the background.
const PERIOD: Duration = Duration::from_millis(200);

/// The result of a number of pings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of echo requests sent.
    pub sent: u16,
    /// Sequence numbers that were not answered in time.
    pub missed: Vec<u16>,
    /// The longest response time.
    pub slowest: Duration,
}

/// A raw ICMP socket, for which the rights in the network namespace suffice.
struct Echo {
    socket: OwnedFd,
    to: SockaddrIn,
    identifier: u16,
}

impl Echo {
    fn open(to: Ipv4Addr) -> Outcome<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
            .context("raw ICMP socket")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))
            .context("raw ICMP socket")?;
        let identifier = IDENTIFIER.wrapping_add(SOCKETS.fetch_add(1, Ordering::Relaxed));
        Ok(Self { socket, to: SocketAddrV4::new(to, 0).into(), identifier })
    }

    /// Sends one request with `size` data bytes and waits for a reply with the same data.
    fn ping(&self, sequence: u16, size: usize, limit: Duration) -> Outcome<Option<Duration>> {
        let limit = debug::timeout(limit);
        let echo = IcmpEchoHeader { id: self.identifier, seq: sequence };
        let request = message(Icmpv4Type::EchoRequest, echo, size);
        let start = Instant::now();
        match sendto(self.socket.as_raw_fd(), &request, &self.to, MsgFlags::empty()) {
            // ARP is not answered: a missed ping like any other.
            Ok(_) | Err(Errno::EHOSTUNREACH) => {}
            Err(error) => return Err(error).context("sending an echo request"),
        }
        let expected = message(Icmpv4Type::EchoReply, echo, size);
        let mut buffer = [0; 1 << 16];
        while start.elapsed() < limit {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                // A raw socket delivers the IPv4 header as well, 20 bytes without options.
                Ok(length) if buffer.get(20..length) == Some(&expected) => return Ok(Some(start.elapsed())),
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::EHOSTUNREACH) => {}
                Err(error) => return Err(error).context("waiting for an echo reply"),
            }
        }
        Ok(None)
    }
}

/// Pings `count` times with `size` data bytes each; `limit` is the timeout for each reply.
///
/// # Errors
/// The socket fails.
pub fn ping(to: Ipv4Addr, count: u16, size: usize, limit: Duration) -> Outcome<Tally> {
    let echo = Echo::open(to)?;
    let mut tally = Tally::default();
    for sequence in 0..count {
        tally.count(sequence, echo.ping(sequence, size, limit)?);
    }
    Ok(tally)
}

/// Pings until the first reply or until `limit` has passed, and returns whether there was a reply.
///
/// # Errors
/// The socket fails.
pub fn answers(to: Ipv4Addr, limit: Duration) -> Outcome<bool> {
    let limit = debug::timeout(limit);
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

/// Pings in the background until it is stopped.
pub struct Pinger {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<Outcome<Tally>>>,
}

impl Pinger {
    /// Starts, with at most five pings a second; `limit` is the timeout for each reply.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn start(to: Ipv4Addr, limit: Duration) -> Outcome<Self> {
        Self::every(PERIOD, to, limit)
    }

    /// The same with so much time from each reply to the next ping.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn every(period: Duration, to: Ipv4Addr, limit: Duration) -> Outcome<Self> {
        let echo = Echo::open(to)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_too = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            let mut tally = Tally::default();
            while !stop_too.load(Ordering::Relaxed) {
                tally.count(tally.sent, echo.ping(tally.sent, 56, limit)?);
                thread::sleep(period);
            }
            Ok(tally)
        });
        Ok(Self { stop, worker: Some(worker) })
    }

    /// Stops and returns the result of all pings.
    ///
    /// # Errors
    /// The socket failed.
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
fn message(kind: fn(IcmpEchoHeader) -> Icmpv4Type, echo: IcmpEchoHeader, size: usize) -> Vec<u8> {
    let [_, low] = echo.seq.to_be_bytes();
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(size).map(|byte| byte ^ low).collect();
    [&Icmpv4Header::with_checksum(kind(echo), &data).to_bytes(), &data[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_message_has_the_checksum_of_rfc_1071() {
        // 0800 + 5765 + 0001 = 5f66, and its complement.
        let echo = IcmpEchoHeader { id: 0x5765, seq: 1 };
        assert_eq!(message(Icmpv4Type::EchoRequest, echo, 0), [8, 0, 0xa0, 0x99, 0x57, 0x65, 0, 1]);
    }
}
