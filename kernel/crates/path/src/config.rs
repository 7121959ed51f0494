//! Configuration of a switch, and the errors in it.

use crate::MAX_PORTS;
use base::MacAddress;
use base::time::Duration;

/// How long a frame from a guest waits for its destination: long enough for a guest that shares a core to be
/// scheduled again.
pub const GUEST_HOLD: Duration = Duration::from_millis(20);

/// How long a frame from the wire waits for a guest: just enough to deliver a short burst without loss. A slow
/// guest must not hold up reception for the others.
pub const UPLINK_HOLD: Duration = Duration::from_millis(1);

/// What is attached to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A vNIC. Its address always belongs to this port: another port cannot take it over by sending from it.
    Guest {
        /// The vNIC's configured address.
        mac: MacAddress,
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
    /// How long frames from this port wait for a destination that accepts no more before they are dropped and
    /// counted.
    pub hold: Duration,
}

impl PortConfig {
    /// The port of the vNIC with address `mac`, with the default hold time.
    #[must_use]
    pub fn guest(mac: MacAddress) -> Self {
        Self { attachment: Attachment::Guest { mac }, hold: GUEST_HOLD }
    }

    /// The port of a physical NIC, with the default hold time.
    #[must_use]
    pub fn uplink() -> Self {
        Self { attachment: Attachment::Uplink, hold: UPLINK_HOLD }
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
