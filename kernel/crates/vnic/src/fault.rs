//! Faults of a guest's driver, for the log.

use base::time::Duration;
use base::{GuestPhysical, Instant};

/// One of the two descriptor rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingKind {
    /// The receive ring, `RDBAL` and so on.
    Receive,
    /// The transmit ring, `TDBAL` and so on.
    Transmit,
}

/// A fault of the guest's driver. Every occurrence is counted ([`crate::VnicCounters`]); each kind is reported
/// once.
///
/// ```
/// use vnic::{GuestFault, RingKind};
///
/// let fault = GuestFault::TailBeyondRing { ring: RingKind::Transmit, tail: 300, descriptors: 256 };
/// assert_eq!(fault.to_string(), "Transmit tail 300 is beyond the ring of 256 descriptors");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// A descriptor is not in the guest's memory. The ring is stopped until the guest sets it up again.
    #[error("{ring:?} descriptor {index} at guest address {at} is not memory of this guest; ring stopped")]
    DescriptorOutsideMemory {
        /// The ring.
        ring: RingKind,
        /// The descriptor's index in it.
        index: u32,
        /// The descriptor's address.
        at: GuestPhysical,
    },
    /// A buffer is not in the guest's memory. On receive the ring is stopped until the guest sets it up again; on
    /// transmit the packet is dropped.
    #[error("{ring:?} buffer of {length} bytes at guest address {at} is not memory of this guest")]
    BufferOutsideMemory {
        /// The ring.
        ring: RingKind,
        /// The buffer's address.
        at: GuestPhysical,
        /// The length of the attempted copy, in bytes.
        length: u32,
    },
    /// A tail register points beyond its ring. The ring is idle until the guest writes a valid tail.
    #[error("{ring:?} tail {tail} is beyond the ring of {descriptors} descriptors")]
    TailBeyondRing {
        /// The ring.
        ring: RingKind,
        /// The tail that the guest wrote.
        tail: u32,
        /// The ring's length, in descriptors.
        descriptors: u32,
    },
    /// A packet is longer than the NIC can send. It is dropped.
    #[error("transmit packet of {length} bytes is longer than the NIC can send")]
    PacketTooLong {
        /// Its length, in bytes.
        length: u32,
    },
    /// A packet has more descriptors than the model follows, or than its ring holds. It is dropped.
    #[error("transmit packet has more than {limit} descriptors, or more than its ring")]
    TooManyDescriptors {
        /// The limit.
        limit: u32,
    },
    /// A packet without `IFCS` does not end with its frame check sequence. It is dropped, unless the vNIC was told
    /// to insert one always.
    #[error(
        "transmit packet of {length} bytes has no IFCS, and its last four bytes are no frame check sequence: \
         dropped (always_insert_fcs = true in the configuration sends such packets)"
    )]
    BadFrameCheck {
        /// Its length, in bytes.
        length: u32,
    },
    /// The tail of an enabled ring without descriptors was moved. Lengths are multiples of 128 bytes
    /// [8254x 13.4.27, 13.4.38]; the bits below do not exist, so that a shorter ring has none.
    #[error("{ring:?} ring has no descriptors: its length must be a multiple of 128 bytes")]
    EmptyRing {
        /// The ring.
        ring: RingKind,
    },
    /// The TCP segmentation context does not fit the packet. It is dropped.
    #[error("TCP segmentation with MSS {mss} and a header of {header} bytes in a packet of {length}")]
    BadSegmentation {
        /// `MSS` of the context.
        mss: u32,
        /// `HDRLEN` of the context.
        header: u32,
        /// The packet's length, in bytes.
        length: u32,
    },
}

impl GuestFault {
    /// One bit per kind and ring, since each is reported once.
    fn bit(&self) -> u16 {
        let (kind, ring) = match self {
            Self::DescriptorOutsideMemory { ring, .. } => (0, *ring),
            Self::BufferOutsideMemory { ring, .. } => (2, *ring),
            Self::TailBeyondRing { ring, .. } => (4, *ring),
            Self::PacketTooLong { .. } => (6, RingKind::Receive),
            Self::TooManyDescriptors { .. } => (7, RingKind::Receive),
            Self::BadSegmentation { .. } => (8, RingKind::Receive),
            Self::BadFrameCheck { .. } => (9, RingKind::Receive),
            Self::EmptyRing { ring } => (10, *ring),
        };
        1 << (kind + u16::from(ring == RingKind::Transmit))
    }
}

/// Time between two reports of the same kind at least.
const AGAIN: Duration = Duration::from_secs(60);

/// Number of bits that [`GuestFault::bit`] uses: the most faults that can be pending.
const KINDS: usize = 12;

/// Faults pending to be reported.
#[derive(Default)]
pub(crate) struct Faults {
    seen: u16,
    /// The guest has been started anew since what was seen was last forgotten, and when that was.
    renewed: bool,
    cleared: Option<Instant>,
    waiting: heapless::Deque<GuestFault, KINDS>,
}

impl Faults {
    /// Records a fault, unless one of its kind was recorded before.
    pub(crate) fn note(&mut self, fault: GuestFault) {
        if self.seen & fault.bit() == 0 && self.waiting.push_back(fault).is_ok() {
            self.seen |= fault.bit();
        }
    }

    /// The guest has been started anew: what it does now is worth a report again, though not sooner than [`AGAIN`] after the last time,
    /// since a guest can restart itself.
    pub(crate) fn begin_life(&mut self) {
        self.renewed = true;
    }

    /// Takes note of the time.
    #[inline]
    pub(crate) fn pass(&mut self, now: Instant) {
        if self.renewed && self.cleared.is_none_or(|cleared| now.saturating_since(cleared) >= AGAIN) {
            (self.renewed, self.seen, self.cleared) = (false, 0, Some(now));
        }
    }

    /// True while none is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes and returns the oldest pending fault.
    pub(crate) fn take(&mut self) -> Option<GuestFault> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_reported_once_per_ring() {
        let mut faults = Faults::default();
        let transmit = GuestFault::TailBeyondRing { ring: RingKind::Transmit, tail: 9, descriptors: 8 };
        let receive = GuestFault::TailBeyondRing { ring: RingKind::Receive, tail: 9, descriptors: 8 };
        for _ in 0..3 {
            faults.note(transmit);
            faults.note(receive);
        }
        assert_eq!((faults.take(), faults.take(), faults.take()), (Some(transmit), Some(receive), None));
        faults.note(transmit);
        assert_eq!(faults.take(), None);
        faults.begin_life();
        for (time, again) in [(1, Some(transmit)), (2, None), (3, None)] {
            faults.pass(Instant(time));
            faults.note(transmit);
            assert_eq!(faults.take(), again);
            faults.begin_life();
        }
        faults.pass(Instant(1) + AGAIN);
        faults.note(transmit);
        assert_eq!(faults.take(), Some(transmit));
    }
}
