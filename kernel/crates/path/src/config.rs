//! What a switch is built from, and what can be wrong with it.

use crate::MAX_PORTS;
use base::MacAddress;
use base::time::Duration;

/// How long a frame from a guest waits for its destination: long enough for a guest that shares a core
/// to be scheduled again.
pub const GUEST_HOLD: Duration = Duration::from_millis(20);

/// How long a frame from the wire waits for a guest: as little as keeps a short burst whole, since one
/// slow guest must not keep the others from the wire.
pub const UPLINK_HOLD: Duration = Duration::from_millis(1);

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A vNIC. Its address belongs to this port for good: no other port can take it by sending from it.
    Guest {
        /// The vNIC's configured address.
        mac: MacAddress,
    },
    /// A physical NIC. Frames never go from one uplink to another: Weir is no bridge between wires, and
    /// two uplinks on one network would make a loop.
    Uplink,
}

/// A port of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// What is behind the port.
    pub attachment: Attachment,
    /// How long frames that came from this port wait for a destination that takes no more, before they
    /// are dropped and counted.
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

/// Why no switch can be built from a list of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There are too many ports.
    #[error("{0} ports asked for, a switch has at most {MAX_PORTS}")]
    TooManyPorts(usize),
    /// Two vNICs have one address.
    #[error("two vNICs have the address {0}")]
    DuplicateMac(MacAddress),
    /// A vNIC has an address that no single station can have.
    #[error("{0} is a group address: no vNIC can have it")]
    GroupMac(MacAddress),
}
