//! Events of a NIC, for the log.

use crate::NicError;
use base::LinkStatus;
use base::time::Duration;
use core::fmt;

/// Events kept until the kernel takes them; later ones are counted as lost.
const KEPT: usize = 16;

/// An event worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicEvent {
    /// The link came up, or its speed or duplex changed.
    LinkUp(LinkStatus),
    /// The link went down.
    LinkDown,
    /// Frames are waiting in the transmit ring, the link is up, and the NIC has completed none of them.
    TransmitHang {
        /// Frames in the ring.
        pending: usize,
        /// Time without progress.
        waited: Duration,
    },
    /// The NIC was reset and works again.
    Recovered {
        /// Frames that were in the transmit ring: they were given back, to be sent again.
        returned: usize,
        /// Frames that it had fetched, and that have not left it by its own count.
        in_doubt: usize,
    },
    /// The NIC did not work after a reset; the driver tries again at intervals.
    Failed(NicError),
    /// The EEPROM did not answer; the driver continues without it.
    EepromSilent(NicError),
    /// The PHY did not answer; it keeps its settings.
    PhySilent(NicError),
}

impl NicEvent {
    /// True when something is wrong with the NIC itself.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::LinkUp(_) | Self::LinkDown | Self::Recovered { .. } => false,
            Self::TransmitHang { .. } | Self::Failed(_) | Self::EepromSilent(_) | Self::PhySilent(_) => true,
        }
    }
}

impl fmt::Display for NicEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkUp(link) => write!(f, "link {link}"),
            Self::LinkDown => write!(f, "link down"),
            Self::TransmitHang { pending, waited } => {
                write!(f, "transmit hang: {pending} frames pending, no progress for {waited:?}")
            }
            Self::Recovered { returned, in_doubt } => {
                write!(f, "reset done: {returned} frames given back, {in_doubt} not known to have left")
            }
            Self::Failed(error) => write!(f, "NIC failed: {error}"),
            Self::EepromSilent(error) => write!(f, "continuing without the EEPROM: {error}"),
            Self::PhySilent(error) => write!(f, "PHY keeps its settings: {error}"),
        }
    }
}

/// The events not yet taken.
#[derive(Default)]
pub(crate) struct EventQueue {
    waiting: heapless::Deque<NicEvent, KEPT>,
    lost: u64,
}

impl EventQueue {
    pub(crate) fn push(&mut self, event: NicEvent) {
        self.lost += u64::from(self.waiting.push_back(event).is_err());
    }

    pub(crate) fn pop(&mut self) -> Option<NicEvent> {
        self.waiting.pop_front()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_are_kept_and_the_rest_counted() {
        let mut events = EventQueue::default();
        events.push(NicEvent::LinkDown);
        for pending in 0..KEPT + 2 {
            events.push(NicEvent::TransmitHang { pending, waited: Duration::ZERO });
        }
        assert_eq!(events.lost(), 3);
        assert_eq!(events.pop(), Some(NicEvent::LinkDown));
        assert_eq!(core::iter::from_fn(|| events.pop()).count(), KEPT - 1);
    }
}
