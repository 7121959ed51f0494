//! The choice of the member that carries a frame.

use base::{LentFrame, NicInfo, Ticket};

/// Where a frame came in: what the choice depends on beside the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The port of the switch.
    pub port: usize,
    /// The VLAN whose tag it has, if any.
    pub vlan: Option<u16>,
}

impl Ingress {
    /// Where a frame came in that is offered with this ticket.
    #[must_use]
    pub fn of(frame: &LentFrame<'_>, ticket: &Ticket) -> Self {
        Self { port: ticket.source(), vlan: frame.vlan() }
    }
}

/// The place of the member that carries frames that came in there: always the same one while the same members can send, so that
/// the frames keep their order and a switch on the wire sees each address at one of its ports. `None` while no member can
/// send.
///
/// ```
/// use base::{LinkStatus, NicCondition, NicInfo};
/// use nic_manager::{Ingress, choose};
///
/// let link = LinkStatus { up: true, ..LinkStatus::DOWN };
/// let ready = NicInfo { condition: NicCondition::Ready, link, ..NicInfo::STARTING };
/// let ingress = Ingress { port: 3, vlan: None };
/// assert_eq!(choose(&[NicInfo::STARTING, ready], ingress), Some(1));
/// assert_eq!(choose(&[NicInfo::STARTING], ingress), None);
/// ```
#[must_use]
pub fn choose(members: &[NicInfo], ingress: Ingress) -> Option<usize> {
    let able = || (0..).zip(members).filter(|(_, info)| info.can_send()).map(|(place, _)| place);
    let turn = match able().count() {
        0 | 1 => 0,
        count => (ingress.port + usize::from(ingress.vlan.unwrap_or_default())) % count,
    };
    able().nth(turn)
}
