//! The wire between the physical NIC and the peer: a capture of every frame, in memory and as a pcap file.

use crate::failure::ErrorContext;
use crate::packet_socket::PacketSocket;
use crate::{Outcome, frame, namespace, pcap};
use nix::errno::Errno;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of the frames that every NIC counts as too long: more than 16384 bytes [8254x 13.4.22].
const OVERSIZE: usize = 16_400;
/// The longest that a tap takes: with its header, 65535 bytes.
const MAX_MTU: &str = "65521";

/// A frame that passed a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// True for frames from Weir, false for frames from the peer. On a cable between switches, true for frames to the
    /// peer's.
    pub from_weir: bool,
    /// When it passed, by the host's clock, since 1970.
    pub time: Duration,
    /// The frame from the destination address to the end of the payload.
    pub bytes: Vec<u8>,
}

/// Frames, in memory and in a pcap file.
pub struct FrameLog {
    frames: Mutex<Vec<CapturedFrame>>,
    file: Mutex<BufWriter<File>>,
    /// Frames that are missing.
    lost: AtomicU32,
}

impl FrameLog {
    /// An empty one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(file: &Path) -> Outcome<Self> {
        let mut file = BufWriter::new(File::create(file).context("capture file")?);
        file.write_all(&pcap::header()).context("capture file")?;
        Ok(Self { frames: Mutex::default(), file: Mutex::new(file), lost: AtomicU32::new(0) })
    }

    /// Adds a frame.
    pub fn record(&self, from_weir: bool, time: Duration, bytes: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // What is checked is in memory.
        let _ = file.write_all(&pcap::record(time, bytes)).and_then(|()| file.flush());
        let frame = CapturedFrame { from_weir, time, bytes: bytes.to_vec() };
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }
}

/// A running capture of one wire.
pub struct Capture {
    log: Arc<FrameLog>,
    socket: Option<Arc<PacketSocket>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures the frames of an interface from now on, in memory and into a pcap file.
    ///
    /// # Errors
    /// The interface does not exist, or the file cannot be written.
    pub fn start(interface: &str, file: &Path) -> Outcome<Self> {
        let socket = Arc::new(PacketSocket::open(interface)?);
        let (log, stop) = (Arc::new(FrameLog::create(file)?), Arc::default());
        let (log_too, stop_too, socket_too) = (Arc::clone(&log), Arc::clone(&stop), Arc::clone(&socket));
        let worker = thread::spawn(move || capture(&socket_too, &log_too, &stop_too));
        Ok(Self { log, socket: Some(socket), stop, worker: Some(worker) })
    }

    /// What is recorded in this log.
    #[must_use]
    pub fn of(log: Arc<FrameLog>) -> Self {
        Self { log, socket: None, stop: Arc::default(), worker: None }
    }

    /// Another view of what this one captures.
    #[must_use]
    pub fn shared(&self) -> Self {
        let (log, socket) = (Arc::clone(&self.log), self.socket.clone());
        Self { log, socket, stop: Arc::default(), worker: None }
    }

    /// How many frames it lacks that have passed so far, because the host was too busy.
    #[must_use]
    pub fn lost(&self) -> u32 {
        let new = self.socket.as_ref().map_or(0, |socket| socket.dropped().unwrap_or(1));
        self.log.lost.fetch_add(new, Ordering::Relaxed) + new
    }

    /// The frames captured so far.
    #[must_use]
    pub fn frames(&self) -> Vec<CapturedFrame> {
        self.log.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The frames captured so far that came from Weir, or did not, and for which a condition holds.
    #[must_use]
    pub fn select(&self, from_weir: bool, condition: impl Fn(&[u8]) -> bool) -> Vec<CapturedFrame> {
        let frames = self.log.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames
            .iter()
            .filter(|frame| frame.from_weir == from_weir && condition(&frame.bytes))
            .cloned()
            .collect()
    }

    /// The frames that Weir sent so far.
    #[must_use]
    pub fn from_weir(&self) -> Vec<Vec<u8>> {
        self.select(true, |_| true).into_iter().map(|frame| frame.bytes).collect()
    }

    /// The frames that Weir sent so far with this source address.
    #[must_use]
    pub fn sent_by(&self, mac: &str) -> Vec<CapturedFrame> {
        self.select(true, |bytes| frame::source(bytes) == mac)
    }

    /// The frames that Weir sent so far of this type, tagged or not.
    #[must_use]
    pub fn of_type(&self, ether_type: u16) -> Vec<CapturedFrame> {
        self.select(true, |bytes| frame::ether_type(bytes) == Some(ether_type))
    }

    /// The numbers of the [numbered datagrams](crate::traffic) that Weir sent so far, in their order on the wire.
    #[must_use]
    pub fn numbers(&self) -> Vec<u32> {
        self.select(true, |_| true).iter().filter_map(|frame| frame::number(&frame.bytes)).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// The longest time between two of these frames that follow each other; zero if there are not two.
#[must_use]
pub fn longest_gap(frames: &[CapturedFrame]) -> Duration {
    let gaps = frames.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time));
    gaps.max().unwrap_or_default()
}

fn capture(socket: &PacketSocket, log: &FrameLog, stop: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        match socket.receive(&mut buffer) {
            Ok(frame) => log.record(!frame.is_sent, frame.time.unwrap_or_else(now), frame.bytes),
            // An interface that goes down says so, once.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => {}
            Err(_) => {
                log.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// The time since 1970, as captures have it.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sends a raw frame from the peer.
///
/// # Errors
/// The interface does not exist, or refuses the frame.
pub fn send_frame(interface: &str, frame: &[u8]) -> Outcome {
    send_frames(interface, frame, 1)
}

/// Sends a raw frame from the peer a number of times.
///
/// # Errors
/// As [`send_frame`].
pub fn send_frames(interface: &str, frame: &[u8], count: u32) -> Outcome {
    send_copies(&[interface], frame, count)
}

/// The same on several interfaces, on one immediately after the other.
///
/// # Errors
/// As [`send_frame`].
pub fn send_copies(interfaces: &[&str], frame: &[u8], count: u32) -> Outcome {
    let sockets =
        interfaces.iter().map(|interface| PacketSocket::open(interface)).collect::<Outcome<Vec<_>>>()?;
    for socket in (0..count).flat_map(|_| &sockets) {
        socket.send(frame).context("sending a frame")?;
    }
    Ok(())
}

/// Makes the NIC on this tap count receive errors: it gets so many broadcast frames that are too long for it.
///
/// # Errors
/// As [`send_frame`].
pub fn send_oversize(tap: &str, count: u32) -> Outcome {
    namespace::ip(&["link", "set", "dev", tap, "mtu", MAX_MTU])?;
    let mut frame = vec![0xff; OVERSIZE];
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    send_frames(tap, &frame, count)
}
