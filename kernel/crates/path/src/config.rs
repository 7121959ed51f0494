//! Configuration of a switch, and the errors in it.

use crate::MAX_PORTS;
use base::MacAddress;
use base::time::Duration;

/// How long a frame waits for a vNIC, or for a physical NIC that takes nothing: ten slices of a core, long enough for a guest
/// that shares it with a few others to be scheduled again.
pub const HOLD: Duration = Duration::from_millis(20);

/// How long a frame that a physical NIC has given back unsent waits for it to take frames again: longer than most resets take,
/// and shorter than the time after which TCP sends again.
pub const RESEND_HOLD: Duration = Duration::from_millis(100);

/// How long a guest's ring stands still for a vNIC that takes no frames, two slices of a core: if both guests live
/// on one core, the other one gets a turn meanwhile. Then frames for that vNIC are dropped and counted, and those
/// for other destinations move on.
pub const PATIENCE: Duration = Duration::from_millis(4);

/// Maximum number of frames, and of bytes in them, that wait in one port's queue for one destination without making
/// the port stand still. However many destinations take nothing, the queue has room for new frames.
pub(crate) const HELD_FRAMES: usize = 4;
/// The same in bytes: one jumbo frame of 9 KB may wait, else short ones could shut it out of a busy vNIC.
pub(crate) const HELD_BYTES: usize = 9 * 1024;

/// What is attached to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A vNIC. Its address belongs to its guest: ports of others cannot take it over by sending from it. Between
    /// the ports of its guest it moves, as bonding demands.
    Guest {
        /// The vNIC's configured address.
        mac: MacAddress,
        /// The number of its guest, if the guest may have other ports at this switch.
        guest: Option<usize>,
    },
    /// A physical NIC. Frames never go from one uplink to another: Weir does not bridge physical networks, and
    /// two uplinks on the same network would form a loop.
    Uplink,
}

/// Configuration of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// What is attached to the port.
    pub attachment: Attachment,
    /// How long the port is not polled for the sake of a vNIC that takes no frames.
    pub patience: Duration,
}

impl PortConfig {
    /// The port of the vNIC with address `mac`, the only one of its guest, with the default times.
    #[must_use]
    pub fn guest(mac: MacAddress) -> Self {
        Self { attachment: Attachment::Guest { mac, guest: None }, patience: PATIENCE }
    }

    /// The port of a vNIC of the guest with this number.
    #[must_use]
    pub fn guest_numbered(mac: MacAddress, number: usize) -> Self {
        Self { attachment: Attachment::Guest { mac, guest: Some(number) }, ..Self::guest(mac) }
    }

    /// The port of a physical NIC, with the default times: reception never stands still.
    #[must_use]
    pub fn uplink() -> Self {
        Self { attachment: Attachment::Uplink, patience: Duration::ZERO }
    }
}

/// Why a switch cannot be built from a list of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There are too many ports.
    #[error("{0} ports requested: a switch has at most {MAX_PORTS}")]
    TooManyPorts(usize),
    /// Two vNICs have the same address.
    #[error("two vNICs have the address {0}")]
    DuplicateMac(MacAddress),
    /// A vNIC has a group address, which no single station can have.
    #[error("{0} is a group address: a vNIC needs an individual one")]
    GroupMac(MacAddress),
}
