//! The registers of one queue. All families have them in the same order; they differ in the first offset and in
//! which of the registers exist.

/// Registers of a receive queue, as offsets in the memory-mapped window.
///
/// ```
/// use intel_regs::{igb, queue::ReceiveQueue, reg};
///
/// assert_eq!(ReceiveQueue::at(reg::RDBAL).rdt(), reg::RDT);
/// assert_eq!(igb::receive_queue(1).rdt(), 0xc058);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveQueue(u32);

/// Registers of a transmit queue, as offsets in the memory-mapped window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitQueue(u32);

impl ReceiveQueue {
    /// The queue whose first register, `RDBAL`, is at `base`.
    #[must_use]
    pub const fn at(base: u32) -> Self {
        Self(base)
    }

    /// Receive Descriptor Base Address Low [8254x 13.4.25, 82574 10.2.5, I210 8.10.4].
    #[must_use]
    pub const fn rdbal(self) -> u32 {
        self.0
    }

    /// Receive Descriptor Base Address High [8254x 13.4.26, 82574 10.2.5, I210 8.10.5].
    #[must_use]
    pub const fn rdbah(self) -> u32 {
        self.0 + 0x04
    }

    /// Receive Descriptor Length, in bytes, a multiple of 128 [8254x 13.4.27, 82574 10.2.5, I210 8.10.6].
    #[must_use]
    pub const fn rdlen(self) -> u32 {
        self.0 + 0x08
    }

    /// Split and Replication Receive Control, [`crate::igb::srrctl`]; not on 8254x and 82574 [I210 8.10.2].
    #[must_use]
    pub const fn srrctl(self) -> u32 {
        self.0 + 0x0c
    }

    /// Receive Descriptor Head [8254x 13.4.28, 82574 10.2.5, I210 8.10.7].
    #[must_use]
    pub const fn rdh(self) -> u32 {
        self.0 + 0x10
    }

    /// Receive Descriptor Tail [8254x 13.4.29, 82574 10.2.5, I210 8.10.8].
    #[must_use]
    pub const fn rdt(self) -> u32 {
        self.0 + 0x18
    }

    /// Receive Descriptor Control [8254x 13.4.46, 82574 10.2.5, I210 8.10.9].
    #[must_use]
    pub const fn rxdctl(self) -> u32 {
        self.0 + 0x28
    }
}

impl TransmitQueue {
    /// The queue whose first register, `TDBAL`, is at `base`.
    #[must_use]
    pub const fn at(base: u32) -> Self {
        Self(base)
    }

    /// Transmit Descriptor Base Address Low [8254x 13.4.36, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn tdbal(self) -> u32 {
        self.0
    }

    /// Transmit Descriptor Base Address High [8254x 13.4.37, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn tdbah(self) -> u32 {
        self.0 + 0x04
    }

    /// Transmit Descriptor Length, in bytes, a multiple of 128 [8254x 13.4.38, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn tdlen(self) -> u32 {
        self.0 + 0x08
    }

    /// Transmit Descriptor Head [8254x 13.4.39, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn tdh(self) -> u32 {
        self.0 + 0x10
    }

    /// Transmit Descriptor Tail [8254x 13.4.40, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn tdt(self) -> u32 {
        self.0 + 0x18
    }

    /// Transmit Descriptor Control [8254x 13.4.43, 82574 10.2.6, I210 8.12].
    #[must_use]
    pub const fn txdctl(self) -> u32 {
        self.0 + 0x28
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{e1000e, igb, reg};

    #[test]
    fn queue_registers_have_the_order_of_the_register_table() {
        let (receive, transmit) = (ReceiveQueue::at(reg::RDBAL), TransmitQueue::at(reg::TDBAL));
        assert_eq!(
            [receive.rdbah(), receive.rdlen(), receive.rdh(), receive.rdt(), receive.rxdctl()],
            [reg::RDBAH, reg::RDLEN, reg::RDH, reg::RDT, reg::RXDCTL]
        );
        assert_eq!(
            [transmit.tdbah(), transmit.tdlen(), transmit.tdh(), transmit.tdt(), transmit.txdctl()],
            [reg::TDBAH, reg::TDLEN, reg::TDH, reg::TDT, reg::TXDCTL]
        );
    }

    #[test]
    fn queues_have_the_offsets_of_the_manuals() {
        assert_eq!((e1000e::receive_queue(1).rdt(), e1000e::transmit_queue(1).tdt()), (0x2918, 0x3918));
        assert_eq!((igb::receive_queue(0).srrctl(), igb::receive_queue(3).rdt()), (0xc00c, 0xc0d8));
        assert_eq!((igb::transmit_queue(0).tdt(), igb::transmit_queue(15).txdctl()), (0xe018, 0xe3e8));
    }
}
