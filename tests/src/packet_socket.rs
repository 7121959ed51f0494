//! A packet socket: all frames of an interface, as they are on the wire.

use crate::Outcome;
use crate::failure::{ErrorContext, Failure};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind,
    getsockopt, recvmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal};
use nix::{cmsg_space, libc};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// The socket option that has the system say more of each frame [packet(7)].
#[derive(Clone, Copy)]
struct AuxiliaryData;

/// The socket option that tells how many frames came in and were dropped since the last call [packet(7)].
#[derive(Clone, Copy)]
struct Statistics;

nix::getsockopt_impl!(
    Statistics,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats,
    sockopt::GetStruct<libc::tpacket_stats>
);
nix::setsockopt_impl!(AuxiliaryData, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool, sockopt::SetBool);

/// `sll_pkttype` of a frame that the host itself sent [packet(7)].
const PACKET_OUTGOING: u8 = 4;
/// How long a call waits for a frame.
const TIMEOUT: TimeVal = TimeVal::new(0, 100_000);
/// Room for what the system says beside a frame: `struct tpacket_auxdata`.
type AuxiliaryBytes = [u8; 20];
/// Bytes of the two addresses, behind which a tag is, and of the tag.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// A socket that receives all frames of an interface, and sends raw frames.
pub struct PacketSocket(OwnedFd);

/// A frame that passed the interface.
pub struct PassedFrame<'a> {
    /// From the destination address to the end of the payload, with its tag.
    pub bytes: &'a [u8],
    /// True if the host sent it, and did not receive it.
    pub is_sent: bool,
    /// When it passed, by the host's clock, since 1970.
    pub time: Option<Duration>,
}

impl PacketSocket {
    /// One on this interface.
    ///
    /// # Errors
    /// The interface does not exist, or the system refuses.
    pub fn open(interface: &str) -> Outcome<Self> {
        let address = nix::ifaddrs::getifaddrs()
            .context("listing interfaces")?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .ok_or_else(|| Failure::Wrong(format!("there is no interface {interface}")))?;
        let socket =
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                .context("packet socket")?;
        bind(socket.as_raw_fd(), &address).context("binding the packet socket")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TIMEOUT).context("packet socket")?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("packet socket")?;
        setsockopt(&socket, AuxiliaryData, &true).context("packet socket")?;
        setsockopt(&socket, sockopt::RcvBuf, &(16 << 20)).context("packet socket")?;
        Ok(Self(socket))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The interface refuses it.
    pub fn send(&self, frame: &[u8]) -> nix::Result<()> {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty()).map(|_| ())
    }

    /// Frames since the last call for which the system had no room.
    ///
    /// # Errors
    /// The system refuses.
    pub fn dropped(&self) -> nix::Result<u32> {
        getsockopt(&self.0, Statistics).map(|statistics| statistics.tp_drops)
    }

    /// Receives a frame. The system has taken out its tag and gives it beside the frame: it is put in again.
    ///
    /// # Errors
    /// `EAGAIN` if none has come in time.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> nix::Result<PassedFrame<'a>> {
        let mut space = cmsg_space!(TimeSpec, AuxiliaryBytes);
        let (into, mut tag, mut time) = (&mut buffer[TAG..], None, None);
        let mut parts = [IoSliceMut::new(into)];
        let message =
            recvmsg::<LinkAddr>(self.0.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
        let (length, is_sent) =
            (message.bytes, message.address.is_some_and(|from| from.pkttype() == PACKET_OUTGOING));
        for part in message.cmsgs()? {
            match part {
                ControlMessageOwned::ScmTimestampns(at) => time = Some(at.into()),
                ControlMessageOwned::Unknown(other) => tag = tag_in(&other.data_bytes),
                _ => {}
            }
        }
        let Some(tag) = tag else {
            return Ok(PassedFrame { bytes: &buffer[TAG..TAG + length], is_sent, time });
        };
        buffer.copy_within(TAG..TAG + ADDRESSES, 0);
        buffer[ADDRESSES..ADDRESSES + TAG].copy_from_slice(&tag);
        Ok(PassedFrame { bytes: &buffer[..length + TAG], is_sent, time })
    }
}

/// The tag in a `struct tpacket_auxdata`, if there is one: status, two lengths of 32 bits, two offsets of 16 bits, tag control
/// information and EtherType of 16 bits each, in the order of the machine's bytes.
fn tag_in(auxiliary: &[u8]) -> Option<[u8; TAG]> {
    let auxiliary: &AuxiliaryBytes = auxiliary.try_into().ok()?;
    let [s0, s1, s2, s3, .., c0, c1, t0, t1] = *auxiliary;
    let status = u32::from_ne_bytes([s0, s1, s2, s3]);
    let [control, ether_type] = [[c0, c1], [t0, t1]].map(|bytes| u16::from_ne_bytes(bytes).to_be_bytes());
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some([
        ether_type[0],
        ether_type[1],
        control[0],
        control[1],
    ])
}
