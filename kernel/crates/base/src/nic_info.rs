//! What is known of a physical NIC: the values on which decisions about it are made, without its driver.

use crate::Instant;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Speed of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LinkSpeed {
    /// 10 Mb/s.
    Mbps10,
    /// 100 Mb/s.
    Mbps100,
    /// 1000 Mb/s.
    Mbps1000,
}

impl LinkSpeed {
    /// Megabits per second.
    #[must_use]
    pub fn megabits(self) -> u32 {
        match self {
            Self::Mbps10 => 10,
            Self::Mbps100 => 100,
            Self::Mbps1000 => 1000,
        }
    }
}

/// Duplex of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Duplex {
    /// One direction at a time.
    Half,
    /// Both directions at once.
    Full,
}

/// Status of a link; speed and duplex are meaningful only while it is up.
///
/// ```
/// use base::{Duplex, LinkSpeed, LinkStatus};
///
/// let link = LinkStatus { up: true, speed: LinkSpeed::Mbps100, duplex: Duplex::Half };
/// assert_eq!(link.to_string(), "up, 100 Mb/s, half duplex");
/// assert_eq!(LinkStatus::DOWN.to_string(), "down");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkStatus {
    /// True while there is a link partner.
    pub up: bool,
    /// Speed of the link.
    pub speed: LinkSpeed,
    /// Duplex of the link.
    pub duplex: Duplex,
}

impl LinkStatus {
    /// A link that is down.
    pub const DOWN: Self = Self { up: false, speed: LinkSpeed::Mbps10, duplex: Duplex::Half };
}

impl fmt::Display for LinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.up {
            return write!(f, "down");
        }
        let duplex = match self.duplex {
            Duplex::Half => "half",
            Duplex::Full => "full",
        };
        write!(f, "up, {} Mb/s, {duplex} duplex", self.speed.megabits())
    }
}

/// Whether a NIC can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NicCondition {
    /// It has not worked yet, and is being reset for the first time.
    Starting,
    /// It works.
    Ready,
    /// It has worked, and is being reset.
    Resetting,
    /// It does not work; it is reset again from time to time.
    Failed,
}

impl fmt::Display for NicCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Resetting => "resetting",
            Self::Failed => "failed",
        })
    }
}

/// Frames that wait in a NIC's transmit ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct QueueDepth {
    /// How many there are.
    pub frames: usize,
    /// Bytes in them.
    pub bytes: usize,
}

/// What passes a NIC now, in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ByteRates {
    /// To the wire.
    pub sent: u64,
    /// From the wire.
    pub received: u64,
}

/// What is known of a physical NIC at one moment.
///
/// ```
/// use base::{LinkStatus, NicCondition, NicInfo};
///
/// let mut nic = NicInfo::STARTING;
/// assert!(!nic.can_send());
/// nic.condition = NicCondition::Ready;
/// nic.link = LinkStatus { up: true, ..LinkStatus::DOWN };
/// assert!(nic.can_send());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NicInfo {
    /// Whether it can be used.
    pub condition: NicCondition,
    /// Its link; down unless it is ready.
    pub link: LinkStatus,
    /// What it has not sent yet.
    pub queued: QueueDepth,
    /// What passes it; nothing unless it is ready.
    pub rates: ByteRates,
    /// Since when it has made no progress with what it has not sent, if there is something.
    pub waits_since: Option<Instant>,
    /// Bytes that it has sent since Weir began.
    pub sent_bytes: u64,
    /// Frames that it has received.
    pub received_frames: u64,
    /// Bytes in them.
    pub received_bytes: u64,
    /// Damaged frames that it has reported, and errors of the NIC itself, since Weir began.
    pub errors: u64,
}

impl NicInfo {
    /// A NIC of which nothing is known yet.
    pub const STARTING: Self = Self {
        condition: NicCondition::Starting,
        link: LinkStatus::DOWN,
        queued: QueueDepth { frames: 0, bytes: 0 },
        rates: ByteRates { sent: 0, received: 0 },
        waits_since: None,
        sent_bytes: 0,
        received_frames: 0,
        received_bytes: 0,
        errors: 0,
    };

    /// True if frames that it is given reach the wire, as far as it knows.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.condition == NicCondition::Ready && self.link.up
    }
}

/// What becomes of the frames that a NIC had when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RetiredFrames {
    /// Frames that it has given back, to be sent again.
    pub returned: usize,
    /// Frames that it had fetched, and that have not left it by its own count. They are lost; if its driver holds frames back, they
    /// are among those that it has given back, and may arrive twice.
    pub in_doubt: usize,
}
