//! The link status, from STATUS [8254x 13.4.2].

use core::fmt;
use intel_regs::Status;

/// Speed of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplex {
    /// One direction at a time.
    Half,
    /// Both directions at once.
    Full,
}

/// Status of a link; speed and duplex are meaningful only while it is up.
///
/// ```
/// use nic::{Duplex, LinkSpeed, LinkStatus};
///
/// let link = LinkStatus { up: true, speed: LinkSpeed::Mbps100, duplex: Duplex::Half };
/// assert_eq!(link.to_string(), "up, 100 Mb/s, half duplex");
/// assert_eq!(LinkStatus::DOWN.to_string(), "down");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// The link status in STATUS. While LU is clear the other fields are meaningless.
    pub(crate) fn from_status(status: Status) -> Self {
        if !status.contains(Status::LU) {
            return Self::DOWN;
        }
        let speed = if status.contains(Status::SPEED_1000) {
            LinkSpeed::Mbps1000
        } else if status.contains(Status::SPEED_100) {
            LinkSpeed::Mbps100
        } else {
            LinkSpeed::Mbps10
        };
        let duplex = if status.contains(Status::FD) { Duplex::Full } else { Duplex::Half };
        Self { up: true, speed, duplex }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_gives_speed_and_duplex_while_the_link_is_up() {
        let gigabit = LinkStatus::from_status(Status::LU | Status::FD | Status::SPEED_1000);
        assert_eq!(gigabit, LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full });
        // 10b and 11b both mean 1000 Mb/s [8254x 13.4.2].
        let also = LinkStatus::from_status(Status::LU | Status::FD | Status::SPEED_1000 | Status::SPEED_100);
        assert_eq!(also, gigabit);
        assert_eq!(LinkStatus::from_status(Status::LU | Status::SPEED_100).speed, LinkSpeed::Mbps100);
        assert_eq!(LinkStatus::from_status(Status::FD | Status::SPEED_1000), LinkStatus::DOWN);
    }
}
