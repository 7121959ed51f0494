//! The wire between the physical NIC and the peer: a capture of every frame, in memory and as a pcap file.

use crate::Outcome;
use crate::failure::{ErrorContext, Failure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// `sll_pkttype` of a frame that the host itself sent [packet(7)].
const PACKET_OUTGOING: u8 = 4;
/// How often the capture looks whether it is to stop.
const POLL_INTERVAL: TimeVal = TimeVal::new(0, 100_000);

/// A frame that passed the tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// True for frames from Weir, false for frames from the peer.
    pub from_weir: bool,
    /// The frame from the destination address to the end of the payload.
    pub bytes: Vec<u8>,
}

/// A running capture of one tap interface.
pub struct Capture {
    frames: Arc<Mutex<Vec<CapturedFrame>>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures from now on, in memory and into a pcap file.
    ///
    /// # Errors
    /// The interface does not exist, or the file cannot be written.
    pub fn start(interface: &str, file: &Path) -> Outcome<Self> {
        let socket = packet_socket(interface)?;
        let mut file = BufWriter::new(File::create(file).context("capture file")?);
        file.write_all(&pcap_header()).context("capture file")?;
        let (frames, stop) = (Arc::default(), Arc::default());
        let (frames_too, stop_too) = (Arc::clone(&frames), Arc::clone(&stop));
        let worker = thread::spawn(move || capture(&socket, file, &frames_too, &stop_too));
        Ok(Self { frames, stop, worker: Some(worker) })
    }

    /// The frames captured so far.
    #[must_use]
    pub fn frames(&self) -> Vec<CapturedFrame> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The frames that Weir sent so far.
    #[must_use]
    pub fn from_weir(&self) -> Vec<Vec<u8>> {
        self.frames().into_iter().filter(|frame| frame.from_weir).map(|frame| frame.bytes).collect()
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

/// A socket that receives all frames of an interface, and sends raw frames.
fn packet_socket(interface: &str) -> Outcome<OwnedFd> {
    let address = nix::ifaddrs::getifaddrs()
        .context("listing interfaces")?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| Failure::Wrong(format!("there is no interface {interface}")))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .context("packet socket")?;
    bind(socket.as_raw_fd(), &address).context("binding the packet socket")?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &POLL_INTERVAL).context("packet socket")?;
    setsockopt(&socket, sockopt::RcvBuf, &(16 << 20)).context("packet socket")?;
    Ok(socket)
}

fn capture(socket: &OwnedFd, mut file: impl Write, frames: &Mutex<Vec<CapturedFrame>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, from)) => {
                let from_weir = from.is_none_or(|from| from.pkttype() != PACKET_OUTGOING);
                let bytes = buffer[..length].to_vec();
                let _ = file.write_all(&pcap_record(&bytes)).and_then(|()| file.flush());
                frames
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(CapturedFrame { from_weir, bytes });
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => return,
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// The header of a pcap file with microseconds and link type Ethernet.
fn pcap_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes());
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    header[16..20].copy_from_slice(&(1_u32 << 18).to_le_bytes());
    header[20..].copy_from_slice(&1_u32.to_le_bytes());
    header
}

fn pcap_record(frame: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(16 + frame.len());
    for part in [seconds, now.subsec_micros(), length, length] {
        record.extend_from_slice(&part.to_le_bytes());
    }
    record.extend_from_slice(frame);
    record
}

/// Sends a raw frame from the peer.
///
/// # Errors
/// The interface does not exist, or refuses the frame.
pub fn send_frame(interface: &str, frame: &[u8]) -> Outcome {
    let socket = packet_socket(interface)?;
    nix::sys::socket::send(socket.as_raw_fd(), frame, MsgFlags::empty()).context("sending a frame")?;
    Ok(())
}
