//! Interrupt causes, the bits of `ICR`, `ICS`, `IMS` and `IMC`.

bitflags::bitflags! {
    /// Interrupt causes [8254x 13.4.17, table 13-63].
    ///
    /// ```
    /// use intel_regs::Interrupt;
    ///
    /// let causes = Interrupt::from_bits_retain(0x84);
    /// assert_eq!(causes, Interrupt::RXT0 | Interrupt::LSC);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Interrupt: u32 {
        /// Transmit descriptor written back.
        const TXDW = 1 << 0;
        /// Transmit queue empty.
        const TXQE = 1 << 1;
        /// Link status change.
        const LSC = 1 << 2;
        /// Receive sequence error.
        const RXSEQ = 1 << 3;
        /// Receive descriptor minimum threshold reached.
        const RXDMT0 = 1 << 4;
        /// Receiver overrun.
        const RXO = 1 << 6;
        /// Receiver timer interrupt.
        const RXT0 = 1 << 7;
        /// MDIO access complete.
        const MDAC = 1 << 9;
        /// Receiving /C/ ordered sets.
        const RXCFG = 1 << 10;
        /// PHY interrupt.
        const PHYINT = 1 << 12;
        /// General purpose interrupt on pin SDP6.
        const GPI_SDP6 = 1 << 13;
        /// General purpose interrupt on pin SDP7.
        const GPI_SDP7 = 1 << 14;
        /// Transmit descriptor low threshold hit.
        const TXD_LOW = 1 << 15;
        /// Small receive packet detected.
        const SRPD = 1 << 16;
    }
}

impl Interrupt {
    /// The writable bits of `ICS`, `IMS` and `IMC`. They include reserved bits, since stock drivers test their
    /// interrupt with reserved causes too.
    pub const WRITABLE: u32 = 0x0001_ffff;
}
