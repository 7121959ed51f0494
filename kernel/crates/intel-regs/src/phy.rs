//! Registers of the internal copper PHY, reached through `MDIC` [8254x 13.4.7, table 13-11].

use bitflags::bitflags;

/// Address of the internal PHY on the MDI bus [8254x 13.4.7].
pub const ADDRESS: u32 = 1;

/// PHY Control, `PCTRL`.
pub const PCTRL: u32 = 0;
/// PHY Status, `PSTATUS`.
pub const PSTATUS: u32 = 1;
/// PHY Identifier, first word.
pub const PID: u32 = 2;
/// Extended PHY Identifier, second word.
pub const EPID: u32 = 3;
/// Auto-Negotiation Advertisement.
pub const ANA: u32 = 4;
/// Link Partner Ability, base page.
pub const LPA: u32 = 5;
/// Auto-Negotiation Expansion.
pub const ANE: u32 = 6;
/// Next Page Transmit.
pub const NPT: u32 = 7;
/// Link Partner Next Page.
pub const LPN: u32 = 8;
/// 1000BASE-T Control.
pub const GCON: u32 = 9;
/// 1000BASE-T Status.
pub const GSTATUS: u32 = 10;
/// Extended Status.
pub const ESTATUS: u32 = 15;
/// PHY Specific Control.
pub const PSCON: u32 = 16;
/// PHY Specific Status.
pub const PSSTAT: u32 = 17;
/// PHY Interrupt Enable.
pub const PINTE: u32 = 18;
/// PHY Interrupt Status.
pub const PINTS: u32 = 19;
/// Extended PHY Specific Control 1.
pub const EPSCON1: u32 = 20;
/// PHY Receive Error Counter.
pub const PREC: u32 = 21;
/// Page select of the PHY in an I210 [I210 8].
pub const PAGE_SELECT_I210: u32 = 22;
/// Extended PHY Specific Control 2.
pub const EPSCON2: u32 = 26;
/// Register 30 page select.
pub const R30PS: u32 = 29;
/// Register 30 address window.
pub const R30AW: u32 = 30;

/// `PID` of the PHY in the 82540EM.
pub const PID_82540EM: u16 = 0x0141;
/// `EPID` of the PHY in the 82540EM; bits 3:0 are the revision.
pub const EPID_82540EM: u16 = 0x0c20;

bitflags! {
    /// PHY Control [IEEE 802.3-2018 22.2.4.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Pctrl: u16 {
        /// High bit of the speed selection: 1000 Mb/s.
        const SPEED_1000 = 1 << 6;
        /// Collision test.
        const COLLISION_TEST = 1 << 7;
        /// Full duplex.
        const FULL_DUPLEX = 1 << 8;
        /// Restart auto-negotiation, self-clearing.
        const RESTART_AUTO_NEGOTIATION = 1 << 9;
        /// Isolate the PHY from the MAC.
        const ISOLATE = 1 << 10;
        /// Power down.
        const POWER_DOWN = 1 << 11;
        /// Auto-negotiation enable.
        const AUTO_NEGOTIATION_ENABLE = 1 << 12;
        /// Low bit of the speed selection: 100 Mb/s.
        const SPEED_100 = 1 << 13;
        /// Loopback.
        const LOOPBACK = 1 << 14;
        /// Reset, self-clearing.
        const RESET = 1 << 15;
    }

    /// PHY Status [IEEE 802.3-2018 22.2.4.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Pstatus: u16 {
        /// Extended registers are present.
        const EXTENDED_CAPABILITY = 1 << 0;
        /// Jabber was detected.
        const JABBER_DETECT = 1 << 1;
        /// The link is up; latches low until read.
        const LINK_STATUS = 1 << 2;
        /// Able to auto-negotiate.
        const AUTO_NEGOTIATION_ABILITY = 1 << 3;
        /// Remote fault.
        const REMOTE_FAULT = 1 << 4;
        /// Auto-negotiation is complete.
        const AUTO_NEGOTIATION_COMPLETE = 1 << 5;
        /// Accepts management frames without preamble.
        const PREAMBLE_SUPPRESSION = 1 << 6;
        /// `ESTATUS` is present.
        const EXTENDED_STATUS = 1 << 8;
        /// Able to do 10BASE-T half duplex.
        const HALF_10 = 1 << 11;
        /// Able to do 10BASE-T full duplex.
        const FULL_10 = 1 << 12;
        /// Able to do 100BASE-X half duplex.
        const HALF_100 = 1 << 13;
        /// Able to do 100BASE-X full duplex.
        const FULL_100 = 1 << 14;
    }

    /// Auto-Negotiation Advertisement and Link Partner Ability [IEEE 802.3-2018 28.2.4.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Ability: u16 {
        /// Selector field value of IEEE 802.3.
        const SELECTOR_802_3 = 1 << 0;
        /// 10BASE-T half duplex.
        const HALF_10 = 1 << 5;
        /// 10BASE-T full duplex.
        const FULL_10 = 1 << 6;
        /// 100BASE-TX half duplex.
        const HALF_100 = 1 << 7;
        /// 100BASE-TX full duplex.
        const FULL_100 = 1 << 8;
        /// Symmetric PAUSE.
        const PAUSE = 1 << 10;
        /// Asymmetric PAUSE.
        const ASYMMETRIC_PAUSE = 1 << 11;
        /// The link partner has received the link code word.
        const ACKNOWLEDGE = 1 << 14;
        /// More pages follow.
        const NEXT_PAGE = 1 << 15;
    }

    /// 1000BASE-T Control [IEEE 802.3-2018 40.5.1.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Gcon: u16 {
        /// Advertise 1000BASE-T half duplex.
        const HALF_1000 = 1 << 8;
        /// Advertise 1000BASE-T full duplex.
        const FULL_1000 = 1 << 9;
        /// Multi-port device.
        const MULTI_PORT = 1 << 10;
        /// Value for a manual master/slave configuration: master.
        const MASTER = 1 << 11;
        /// Configure master/slave by hand.
        const MANUAL_MASTER_SLAVE = 1 << 12;
    }

    /// 1000BASE-T Status [IEEE 802.3-2018 40.5.1.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Gstatus: u16 {
        /// Link partner can do 1000BASE-T half duplex.
        const PARTNER_HALF_1000 = 1 << 10;
        /// Link partner can do 1000BASE-T full duplex.
        const PARTNER_FULL_1000 = 1 << 11;
        /// Remote receiver status.
        const REMOTE_RECEIVER_OK = 1 << 12;
        /// Local receiver status.
        const LOCAL_RECEIVER_OK = 1 << 13;
        /// This PHY was resolved as master.
        const MASTER = 1 << 14;
    }

    /// Extended Status [IEEE 802.3-2018 22.2.4.4].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Estatus: u16 {
        /// Able to do 1000BASE-T half duplex.
        const HALF_1000 = 1 << 12;
        /// Able to do 1000BASE-T full duplex.
        const FULL_1000 = 1 << 13;
    }

    /// PHY Specific Status [8254x 13.4.7].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Psstat: u16 {
        /// Jabber.
        const JABBER = 1 << 0;
        /// Polarity is reversed.
        const POLARITY_REVERSED = 1 << 1;
        /// The PHY fell back to a lower speed.
        const DOWNSHIFT = 1 << 5;
        /// MDI crossover.
        const MDIX = 1 << 6;
        /// Link, real time.
        const LINK = 1 << 10;
        /// Speed and duplex are resolved.
        const RESOLVED = 1 << 11;
        /// Full duplex.
        const FULL_DUPLEX = 1 << 13;
        /// Low bit of the speed: 100 Mb/s.
        const SPEED_100 = 1 << 14;
        /// High bit of the speed: 1000 Mb/s.
        const SPEED_1000 = 1 << 15;
    }
}
