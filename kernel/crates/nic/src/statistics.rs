//! The NIC's own counters, from registers that are cleared by reading [8254x 13.7].

use crate::NicRegisters;
use intel_regs::stats;

/// Declares a counter for each register, and a 64-bit counter for each pair of registers.
macro_rules! statistics {
    (
        single { $($(#[$doc:meta])* $name:ident = $register:ident;)* }
        pair { $($(#[$wide_doc:meta])* $wide:ident = $low:ident, $high:ident;)* }
    ) => {
        /// What the NIC counted since the driver started it: the sums of the values read.
        ///
        /// ```
        /// let statistics = nic::HardwareStatistics { crc_errors: 3, late_collisions: 1, ..Default::default() };
        /// assert_eq!((statistics.errors(), statistics.dropped()), (4, 0));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        pub struct HardwareStatistics {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$wide_doc])* pub $wide: u64,)*
        }

        impl HardwareStatistics {
            /// All counts with their names, for the log.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)* $((stringify!($wide), self.$wide),)*].into_iter()
            }

            /// Reads the registers, which clears them, and adds their values. Of a pair the low half is read
            /// first: reading the high half clears both. A count that a defective NIC drives past its end
            /// stays there.
            pub(crate) fn collect<R: NicRegisters>(&mut self, registers: &mut R) {
                $(self.$name = self.$name.saturating_add(registers.read(stats::$register).into());)*
                $(
                    let low = registers.read(stats::$low);
                    let count = u64::from(registers.read(stats::$high)) << 32 | u64::from(low);
                    self.$wide = self.$wide.saturating_add(count);
                )*
            }
        }
    };
}

statistics! {
    single {
    /// Frames with a CRC error.
    crc_errors = CRCERRS;
    /// Frames with an alignment error.
    alignment_errors = ALGNERRC;
    /// Symbol errors.
    symbol_errors = SYMERRS;
    /// Frames with an error on the receive data lines.
    receive_errors = RXERRC;
    /// Frames lost because the receive FIFO was full.
    missed_packets = MPC;
    /// Frames for which there was no free receive descriptor when they came.
    receive_no_buffers = RNBC;
    /// Frames whose length field is wrong, or of a wrong length.
    receive_length_errors = RLEC;
    /// Frames too short, with a good CRC.
    receive_undersize = RUC;
    /// Frames too short, with a bad CRC.
    receive_fragments = RFC;
    /// Frames too long, with a good CRC.
    receive_oversize = ROC;
    /// Frames too long, with a bad CRC.
    receive_jabber = RJC;
    /// Frames dropped after 16 collisions.
    excessive_collisions = ECOL;
    /// Frames with a late collision.
    late_collisions = LATECOL;
    /// Transmissions without carrier sense.
    transmit_no_carrier = TNCRS;
    /// Frames received without error.
    good_packets_received = GPRC;
    /// Broadcast frames received.
    broadcast_packets_received = BPRC;
    /// Multicast frames received.
    multicast_packets_received = MPRC;
    /// Frames transmitted without error.
    good_packets_transmitted = GPTC;
    /// Frames that a management controller has transmitted through the NIC.
    management_packets_transmitted = MGTPTC;
    }
    pair {
    /// Bytes in frames received without error, CRC included.
    good_octets_received = GORCL, GORCH;
    /// Bytes in frames transmitted without error, CRC included.
    good_octets_transmitted = GOTCL, GOTCH;
    }
}

impl HardwareStatistics {
    /// Frames that were good and were lost in the NIC. One that finds no free descriptor is not: it waits in the FIFO, and
    /// is a missed packet only if that is full [8254x 13.7.5, 13.7.33].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.missed_packets
    }

    /// Frames that the NIC received damaged or could not send.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let received = self.crc_errors
            + self.alignment_errors
            + self.receive_length_errors
            + self.receive_undersize
            + self.receive_fragments
            + self.receive_oversize
            + self.receive_jabber;
        received + self.excessive_collisions + self.late_collisions
    }

    /// Frames of this driver that have left the NIC: [`good_packets_transmitted`](Self::good_packets_transmitted) does not tell
    /// them from those of a management controller [8254x 13.7.35, 13.7.40; I210 8.18.29].
    pub(crate) fn departed(&self) -> u64 {
        self.good_packets_transmitted.saturating_sub(self.management_packets_transmitted)
    }

    /// As `collect`, of what `departed` is made of alone.
    pub(crate) fn collect_departed<R: NicRegisters>(&mut self, registers: &mut R) {
        let mut add = |count: &mut u64, register| {
            *count = count.saturating_add(registers.read(register).into());
        };
        add(&mut self.good_packets_transmitted, stats::GPTC);
        add(&mut self.management_packets_transmitted, stats::MGTPTC);
    }

    /// Clears the registers without counting: their contents at start are not this driver's.
    pub(crate) fn discard<R: NicRegisters>(&self, registers: &mut R) {
        let mut ignored = *self;
        ignored.collect(registers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every register reads as this value.
    struct Constant(u32);

    impl NicRegisters for Constant {
        fn read(&mut self, _offset: u32) -> u32 {
            self.0
        }

        fn write(&mut self, _offset: u32, _value: u32) {}
    }

    #[test]
    fn a_count_past_its_end_neither_panics_nor_goes_back() {
        let mut statistics = HardwareStatistics::default();
        for _ in 0..3 {
            statistics.collect(&mut Constant(u32::MAX));
        }
        assert_eq!(statistics.good_octets_received, u64::MAX);
        assert_eq!(statistics.crc_errors, 3 * u64::from(u32::MAX));
        statistics.collect(&mut Constant(0));
        assert_eq!(statistics.good_octets_received, u64::MAX);
    }
}
