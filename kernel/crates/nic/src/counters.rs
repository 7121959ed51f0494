//! What the driver itself counts; what the NIC counts is in [`crate::HardwareStatistics`].

/// Counts of what has passed through the rings of a NIC since its driver was constructed.
///
/// `tx_queued` = `tx_done` + `tx_returned` + the frames in the transmit ring.
///
/// ```
/// let counters = nic::QueueCounters { rx_runt: 2, tx_too_long: 1, ..Default::default() };
/// assert_eq!(counters.dropped(), 3);
/// assert!(counters.named().contains(&("rx_runt", 2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueueCounters {
    /// Frames handed to the caller.
    pub rx_frames: u64,
    /// Bytes in them.
    pub rx_bytes: u64,
    /// Received frames dropped: the NIC marked them as damaged.
    pub rx_errors: u64,
    /// Received frames dropped: shorter than an Ethernet header.
    pub rx_runt: u64,
    /// Received frames dropped: longer than [`crate::MAX_FRAME`].
    pub rx_too_long: u64,
    /// Received frames dropped: they were in the ring when the NIC was reset.
    pub rx_lost: u64,
    /// Frames put into the transmit ring.
    pub tx_queued: u64,
    /// Bytes in them.
    pub tx_bytes: u64,
    /// Frames the NIC reported as transmitted: it has fetched them. If frames are [held back](crate::NicDriver::hold_back), those
    /// that have left it, too.
    pub tx_done: u64,
    /// Of these, frames that were still in the NIC when it was stopped, by its own count of those that have left it.
    pub tx_in_doubt: u64,
    /// Frames that were in the transmit ring when the NIC was stopped: they were given back, to be sent again.
    pub tx_returned: u64,
    /// Frames dropped: shorter than an Ethernet header.
    pub tx_runt: u64,
    /// Frames dropped: longer than [`crate::MAX_FRAME`].
    pub tx_too_long: u64,
    /// Times that the transmit ring had no room for a frame; the frame stayed with the caller.
    pub tx_ring_full: u64,
    /// Writes of TDT: batches handed to the NIC.
    pub tx_batches: u64,
}

impl QueueCounters {
    /// Frames dropped or lost, in both directions and for all reasons.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let received = self.rx_errors + self.rx_runt + self.rx_too_long + self.rx_lost;
        received + self.tx_in_doubt + self.tx_runt + self.tx_too_long
    }

    /// All counts with their names, for the log.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("rx_frames", self.rx_frames),
            ("rx_bytes", self.rx_bytes),
            ("rx_errors", self.rx_errors),
            ("rx_runt", self.rx_runt),
            ("rx_too_long", self.rx_too_long),
            ("rx_lost", self.rx_lost),
            ("tx_queued", self.tx_queued),
            ("tx_bytes", self.tx_bytes),
            ("tx_done", self.tx_done),
            ("tx_in_doubt", self.tx_in_doubt),
            ("tx_returned", self.tx_returned),
            ("tx_runt", self.tx_runt),
            ("tx_too_long", self.tx_too_long),
            ("tx_ring_full", self.tx_ring_full),
            ("tx_batches", self.tx_batches),
        ]
    }
}

/// Counts of one NIC since its driver was constructed, apart from what has passed through its rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DriverCounters {
    /// Interrupts for which this NIC had a cause.
    pub interrupts: u64,
    /// Changes of link state, speed or duplex.
    pub link_changes: u64,
    /// Transmit hangs detected.
    pub transmit_hangs: u64,
    /// Resets after construction, whether or not the NIC recovered.
    pub resets: u64,
}

impl DriverCounters {
    /// All counts with their names, for the log.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("interrupts", self.interrupts),
            ("link_changes", self.link_changes),
            ("transmit_hangs", self.transmit_hangs),
            ("resets", self.resets),
        ]
    }
}
