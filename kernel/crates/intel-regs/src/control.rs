//! Bits of the general registers: device control and status, EEPROM access, MDI.

use bitflags::bitflags;

bitflags! {
    /// Device Control, `CTRL` [8254x 13.4.1, table 13-3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Ctrl: u32 {
        /// Full-duplex.
        const FD = 1 << 0;
        /// Link reset.
        const LRST = 1 << 3;
        /// Auto-speed detection enable.
        const ASDE = 1 << 5;
        /// Set link up: lets the MAC use the link the PHY reports.
        const SLU = 1 << 6;
        /// Invert loss-of-signal.
        const ILOS = 1 << 7;
        /// Low bit of `SPEED`.
        const SPEED_100 = 1 << 8;
        /// High bit of `SPEED`.
        const SPEED_1000 = 1 << 9;
        /// Force speed to `SPEED`.
        const FRCSPD = 1 << 11;
        /// Force duplex to `FD`.
        const FRCDPLX = 1 << 12;
        /// Software definable pin 0, data.
        const SDP0_DATA = 1 << 18;
        /// Software definable pin 1, data.
        const SDP1_DATA = 1 << 19;
        /// D3cold wakeup capability advertised.
        const ADVD3WUC = 1 << 20;
        /// Enable the PHY to lower its power in D0.
        const EN_PHY_PWR_MGMT = 1 << 21;
        /// Software definable pin 0, direction: set for output.
        const SDP0_IODIR = 1 << 22;
        /// Software definable pin 1, direction: set for output.
        const SDP1_IODIR = 1 << 23;
        /// Device reset, self-clearing.
        const RST = 1 << 26;
        /// Receive flow control enable.
        const RFCE = 1 << 27;
        /// Transmit flow control enable.
        const TFCE = 1 << 28;
        /// VLAN mode enable: tags are stripped on receive and inserted on transmit.
        const VME = 1 << 30;
        /// PHY reset.
        const PHY_RST = 1 << 31;
    }

    /// Device Status, `STATUS` [8254x 13.4.2, table 13-5].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Status: u32 {
        /// Full-duplex.
        const FD = 1 << 0;
        /// Link up.
        const LU = 1 << 1;
        /// Low bit of the function identifier.
        const FUNCTION_ID_LOW = 1 << 2;
        /// High bit of the function identifier.
        const FUNCTION_ID_HIGH = 1 << 3;
        /// Transmission is paused by flow control.
        const TXOFF = 1 << 4;
        /// The controller is in TBI or SerDes mode.
        const TBIMODE = 1 << 5;
        /// Low bit of `SPEED`: 100 Mb/s.
        const SPEED_100 = 1 << 6;
        /// High bit of `SPEED`: 1000 Mb/s.
        const SPEED_1000 = 1 << 7;
        /// Low bit of the auto-speed detection value.
        const ASDV_100 = 1 << 8;
        /// High bit of the auto-speed detection value.
        const ASDV_1000 = 1 << 9;
        /// The bus runs at 66 MHz.
        const PCI66 = 1 << 11;
        /// The bus is 64 bits wide.
        const BUS64 = 1 << 12;
        /// The bus is in PCI-X mode.
        const PCIX_MODE = 1 << 13;
    }

    /// Extended Device Control, `CTRL_EXT` [8254x 13.4.6, table 13-9].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct CtrlExt: u32 {
        /// Status of the PHY's interrupt line.
        const PHYINT = 1 << 5;
        /// Initiate an auto-speed detection sequence.
        const ASDCHK = 1 << 12;
        /// EEPROM reset: reload from the EEPROM as after a PCI reset, self-clearing.
        const EE_RST = 1 << 13;
        /// Invert power state bit 0.
        const IPS = 1 << 14;
        /// Speed select bypass.
        const SPD_BYPS = 1 << 15;
        /// Relaxed ordering disabled.
        const RO_DIS = 1 << 17;
    }

    /// EEPROM/Flash Control and Data, `EECD` [8254x 13.4.3, table 13-6].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Eecd: u32 {
        /// Clock input to the EEPROM.
        const SK = 1 << 0;
        /// Chip select input to the EEPROM.
        const CS = 1 << 1;
        /// Data input to the EEPROM.
        const DI = 1 << 2;
        /// Data output of the EEPROM.
        const DO = 1 << 3;
        /// Flash writes disabled; low bit of `FWE`.
        const FWE_DIS = 1 << 4;
        /// Flash writes enabled; high bit of `FWE`.
        const FWE_EN = 1 << 5;
        /// Request EEPROM access.
        const EE_REQ = 1 << 6;
        /// Grant EEPROM access.
        const EE_GNT = 1 << 7;
        /// An EEPROM is present.
        const EE_PRES = 1 << 8;
        /// Size of the EEPROM: set for 256 words, clear for 64.
        const EE_SIZE = 1 << 9;
    }

    /// EEPROM Read, `EERD`, as the 82540EM lays it out [8254x 13.4.4, table 13-7].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Eerd: u32 {
        /// Start a read of the word at `ADDR`.
        const START = 1 << 0;
        /// The read is complete.
        const DONE = 1 << 4;
    }

    /// MDI Control, `MDIC` [8254x 13.4.7, table 13-10].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Mdic: u32 {
        /// Opcode: write the PHY register.
        const OP_WRITE = 1 << 26;
        /// Opcode: read the PHY register.
        const OP_READ = 1 << 27;
        /// Ready: the transaction is complete.
        const R = 1 << 28;
        /// Interrupt when the transaction is complete.
        const I = 1 << 29;
        /// The transaction failed.
        const E = 1 << 30;
    }
}

impl Eerd {
    /// Position of `ADDR`, bits 15:8: the word to read.
    pub const ADDR_SHIFT: u32 = 8;
    /// Position of `DATA`, bits 31:16: the word read.
    pub const DATA_SHIFT: u32 = 16;
}

impl Mdic {
    /// Mask of `DATA`, bits 15:0.
    pub const DATA_MASK: u32 = 0xffff;
    /// Position of `REGADD`, bits 20:16.
    pub const REGADD_SHIFT: u32 = 16;
    /// Position of `PHYADD`, bits 25:21.
    pub const PHYADD_SHIFT: u32 = 21;
    /// Mask of `REGADD` and of `PHYADD`, before the shift.
    pub const ADDRESS_MASK: u32 = 0x1f;
}

/// Bits of Management Control, `MANC`, that drivers use.
pub mod manc {
    /// Enable ARP request filtering.
    pub const ARP_EN: u32 = 1 << 13;
    /// Firmware has a session over the link: the PHY must not be reset, nor its negotiation restarted
    /// [82574 10.2, I210 8].
    pub const BLK_PHY_RST: u32 = 1 << 18;
}

/// Fields of Packet Buffer Allocation, `PBA` [8254x 13.4.16].
pub mod pba {
    /// `RXA`: receive allocation, in KiB.
    pub const RXA_MASK: u32 = 0x7f;
    /// Position of `TXA`: transmit allocation, in KiB, read-only.
    pub const TXA_SHIFT: u32 = 16;
    /// Size of the whole packet buffer, in KiB: `TXA` is this minus `RXA`.
    pub const TOTAL: u32 = 64;
    /// Receive allocation after reset, in KiB.
    pub const RXA_RESET: u32 = 48;
}

/// IEEE 802.3 flow control: the values that drivers write [8254x 13.4.8 to 13.4.10].
pub mod flow_control {
    /// `FCAL` for the PAUSE multicast address 01:80:C2:00:00:01.
    pub const FCAL: u32 = 0x00c2_8001;
    /// `FCAH` for the PAUSE multicast address.
    pub const FCAH: u32 = 0x0000_0100;
    /// `FCT`: the EtherType of MAC control frames.
    pub const FCT: u32 = 0x8808;
}

/// `VET`: the EtherType of 802.1Q tags [8254x 13.4.11].
pub const VLAN_ETHER_TYPE: u32 = 0x8100;
