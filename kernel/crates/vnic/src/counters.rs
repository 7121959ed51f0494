//! Counters for the operator, independent of the statistics registers, which the guest can clear.

/// Frames accepted, frames sent, and frames dropped by reason. Counters never decrease.
///
/// ```
/// let counters = vnic::VnicCounters { received: 5, receive_runt: 2, receive_filtered: 9, ..Default::default() };
/// assert_eq!(counters.dropped(), 2);
/// assert!(counters.named().contains(&("receive_filtered", 9)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnicCounters {
    /// Frames accepted for the guest: in its receive ring or in the receive FIFO.
    pub received: u64,
    /// Bytes of those frames, without frame check sequence.
    pub received_bytes: u64,
    /// Frames taken from the guest's transmit ring and forwarded.
    pub transmitted: u64,
    /// Bytes of those frames, without frame check sequence.
    pub transmitted_bytes: u64,
    /// Frames that the guest sent to itself in loopback mode.
    pub looped_back: u64,

    /// Arrivals dropped: the guest has not enabled its receiver.
    pub receive_disabled: u64,
    /// Arrivals dropped: the link is down.
    pub receive_link_down: u64,
    /// Arrivals dropped: in loopback mode the guest's receiver is disconnected from the wire.
    pub receive_in_loopback: u64,
    /// Arrivals that the guest's address and VLAN filters rejected.
    pub receive_filtered: u64,
    /// Arrivals dropped: longer than the guest allows.
    pub receive_oversized: u64,
    /// Arrivals dropped: shorter than an Ethernet header.
    pub receive_runt: u64,
    /// Arrivals dropped: MAC control frames that the guest did not ask for.
    pub receive_flow_control: u64,
    /// Arrivals dropped: the receive ring is stopped after a fault of the guest.
    pub receive_ring_stopped: u64,
    /// Frames lost from the receive FIFO when the guest reset its NIC.
    pub receive_lost_in_reset: u64,
    /// Looped-back frames dropped for lack of room; frames from the wire wait at their sender instead, which counts
    /// those that it drops.
    pub receive_missed: u64,

    /// Packets not sent: longer than the NIC or its caller can carry.
    pub transmit_oversized: u64,
    /// Packets not sent: shorter than an Ethernet header.
    pub transmit_runt: u64,
    /// Packets not sent: spread over more descriptors than the model follows.
    pub transmit_too_many_descriptors: u64,
    /// Packets not sent: the frame check sequence that the guest supplied is wrong.
    pub transmit_bad_fcs: u64,
    /// Packets not sent: the TCP segmentation context is invalid.
    pub transmit_bad_segmentation: u64,
    /// Packets not sent: a buffer is not in the guest's memory.
    pub transmit_buffer_outside_memory: u64,
    /// Packets abandoned half-sent: the guest reset its NIC or moved its ring.
    pub transmit_abandoned: u64,
    /// Transmit descriptors of a reserved type, which carry no data.
    pub transmit_reserved_descriptor: u64,

    /// Times a ring was stopped because a descriptor is not in the guest's memory.
    pub descriptor_outside_memory: u64,
    /// Times the receive ring was stopped because a buffer is not in the guest's memory.
    pub receive_buffer_outside_memory: u64,
    /// Tail writes that point beyond their ring.
    pub tail_beyond_ring: u64,
    /// Accesses to offsets without a register.
    pub unknown_register: u64,
}

/// The number of counters: [`VnicCounters::named`] does not compile when it omits one.
const COUNTS: usize = size_of::<VnicCounters>() / size_of::<u64>();

impl VnicCounters {
    /// Frames dropped, in both directions and for all reasons. Frames that the guest's filters rejected are not
    /// included.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let received = self.receive_disabled
            + self.receive_link_down
            + self.receive_in_loopback
            + self.receive_oversized
            + self.receive_runt
            + self.receive_flow_control
            + self.receive_ring_stopped
            + self.receive_lost_in_reset
            + self.receive_missed;
        let transmitted = self.transmit_oversized
            + self.transmit_runt
            + self.transmit_too_many_descriptors
            + self.transmit_bad_fcs
            + self.transmit_bad_segmentation
            + self.transmit_buffer_outside_memory
            + self.transmit_abandoned;
        received + transmitted
    }

    /// All counters with their names, for the log.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); COUNTS] {
        [
            ("received", self.received),
            ("received_bytes", self.received_bytes),
            ("transmitted", self.transmitted),
            ("transmitted_bytes", self.transmitted_bytes),
            ("looped_back", self.looped_back),
            ("receive_disabled", self.receive_disabled),
            ("receive_link_down", self.receive_link_down),
            ("receive_in_loopback", self.receive_in_loopback),
            ("receive_filtered", self.receive_filtered),
            ("receive_oversized", self.receive_oversized),
            ("receive_runt", self.receive_runt),
            ("receive_flow_control", self.receive_flow_control),
            ("receive_ring_stopped", self.receive_ring_stopped),
            ("receive_lost_in_reset", self.receive_lost_in_reset),
            ("receive_missed", self.receive_missed),
            ("transmit_oversized", self.transmit_oversized),
            ("transmit_runt", self.transmit_runt),
            ("transmit_too_many_descriptors", self.transmit_too_many_descriptors),
            ("transmit_bad_fcs", self.transmit_bad_fcs),
            ("transmit_bad_segmentation", self.transmit_bad_segmentation),
            ("transmit_buffer_outside_memory", self.transmit_buffer_outside_memory),
            ("transmit_abandoned", self.transmit_abandoned),
            ("transmit_reserved_descriptor", self.transmit_reserved_descriptor),
            ("descriptor_outside_memory", self.descriptor_outside_memory),
            ("receive_buffer_outside_memory", self.receive_buffer_outside_memory),
            ("tail_beyond_ring", self.tail_beyond_ring),
            ("unknown_register", self.unknown_register),
        ]
    }
}
