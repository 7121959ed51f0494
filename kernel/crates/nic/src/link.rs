//! The link status, from STATUS [8254x 13.4.2].

use base::{Duplex, LinkSpeed, LinkStatus};
use intel_regs::Status;

/// The link status in STATUS. While LU is clear the other fields are meaningless.
pub(crate) fn from_status(status: Status) -> LinkStatus {
    if !status.contains(Status::LU) {
        return LinkStatus::DOWN;
    }
    let speed = if status.contains(Status::SPEED_1000) {
        LinkSpeed::Mbps1000
    } else if status.contains(Status::SPEED_100) {
        LinkSpeed::Mbps100
    } else {
        LinkSpeed::Mbps10
    };
    let duplex = if status.contains(Status::FD) { Duplex::Full } else { Duplex::Half };
    LinkStatus { up: true, speed, duplex }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_gives_speed_and_duplex_while_the_link_is_up() {
        let gigabit = from_status(Status::LU | Status::FD | Status::SPEED_1000);
        assert_eq!(gigabit, LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full });
        // 10b and 11b both mean 1000 Mb/s [8254x 13.4.2].
        let also = from_status(Status::LU | Status::FD | Status::SPEED_1000 | Status::SPEED_100);
        assert_eq!(also, gigabit);
        assert_eq!(from_status(Status::LU | Status::SPEED_100).speed, LinkSpeed::Mbps100);
        assert_eq!(from_status(Status::FD | Status::SPEED_1000), LinkStatus::DOWN);
    }
}
