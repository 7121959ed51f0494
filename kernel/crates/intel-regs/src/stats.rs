//! Offsets of the statistics registers, in bytes [8254x 13.7].
//!
//! Reading clears them, and they stick at their maximum. The low half of a 64-bit pair is read first; reading the
//! high half clears both.

/// CRC Error Count.
pub const CRCERRS: u32 = 0x4000;
/// Alignment Error Count.
pub const ALGNERRC: u32 = 0x4004;
/// Symbol Error Count.
pub const SYMERRS: u32 = 0x4008;
/// RX Error Count.
pub const RXERRC: u32 = 0x400c;
/// Missed Packets Count: no room in the receive FIFO.
pub const MPC: u32 = 0x4010;
/// Single Collision Count.
pub const SCC: u32 = 0x4014;
/// Excessive Collisions Count.
pub const ECOL: u32 = 0x4018;
/// Multiple Collision Count.
pub const MCC: u32 = 0x401c;
/// Late Collisions Count.
pub const LATECOL: u32 = 0x4020;
/// Collision Count.
pub const COLC: u32 = 0x4028;
/// Defer Count.
pub const DC: u32 = 0x4030;
/// Transmit with No CRS.
pub const TNCRS: u32 = 0x4034;
/// Sequence Error Count.
pub const SEC: u32 = 0x4038;
/// Carrier Extension Error Count.
pub const CEXTERR: u32 = 0x403c;
/// Receive Length Error Count.
pub const RLEC: u32 = 0x4040;
/// XON Received Count.
pub const XONRXC: u32 = 0x4048;
/// XON Transmitted Count.
pub const XONTXC: u32 = 0x404c;
/// XOFF Received Count.
pub const XOFFRXC: u32 = 0x4050;
/// XOFF Transmitted Count.
pub const XOFFTXC: u32 = 0x4054;
/// FC Received Unsupported Count.
pub const FCRUC: u32 = 0x4058;
/// Packets Received, 64 bytes.
pub const PRC64: u32 = 0x405c;
/// Packets Received, 65 to 127 bytes.
pub const PRC127: u32 = 0x4060;
/// Packets Received, 128 to 255 bytes.
pub const PRC255: u32 = 0x4064;
/// Packets Received, 256 to 511 bytes.
pub const PRC511: u32 = 0x4068;
/// Packets Received, 512 to 1023 bytes.
pub const PRC1023: u32 = 0x406c;
/// Packets Received, 1024 bytes and more.
pub const PRC1522: u32 = 0x4070;
/// Good Packets Received Count.
pub const GPRC: u32 = 0x4074;
/// Broadcast Packets Received Count.
pub const BPRC: u32 = 0x4078;
/// Multicast Packets Received Count.
pub const MPRC: u32 = 0x407c;
/// Good Packets Transmitted Count.
pub const GPTC: u32 = 0x4080;
/// Good Octets Received Count, low half.
pub const GORCL: u32 = 0x4088;
/// Good Octets Received Count, high half.
pub const GORCH: u32 = 0x408c;
/// Good Octets Transmitted Count, low half.
pub const GOTCL: u32 = 0x4090;
/// Good Octets Transmitted Count, high half.
pub const GOTCH: u32 = 0x4094;
/// Receive No Buffers Count.
pub const RNBC: u32 = 0x40a0;
/// Receive Undersize Count.
pub const RUC: u32 = 0x40a4;
/// Receive Fragment Count.
pub const RFC: u32 = 0x40a8;
/// Receive Oversize Count.
pub const ROC: u32 = 0x40ac;
/// Receive Jabber Count.
pub const RJC: u32 = 0x40b0;
/// Management Packets Received Count.
pub const MGTPRC: u32 = 0x40b4;
/// Management Packets Dropped Count.
pub const MGTPDC: u32 = 0x40b8;
/// Management Packets Transmitted Count.
pub const MGTPTC: u32 = 0x40bc;
/// Total Octets Received, low half.
pub const TORL: u32 = 0x40c0;
/// Total Octets Received, high half.
pub const TORH: u32 = 0x40c4;
/// Total Octets Transmitted, low half.
pub const TOTL: u32 = 0x40c8;
/// Total Octets Transmitted, high half.
pub const TOTH: u32 = 0x40cc;
/// Total Packets Received.
pub const TPR: u32 = 0x40d0;
/// Total Packets Transmitted.
pub const TPT: u32 = 0x40d4;
/// Packets Transmitted, 64 bytes.
pub const PTC64: u32 = 0x40d8;
/// Packets Transmitted, 65 to 127 bytes.
pub const PTC127: u32 = 0x40dc;
/// Packets Transmitted, 128 to 255 bytes.
pub const PTC255: u32 = 0x40e0;
/// Packets Transmitted, 256 to 511 bytes.
pub const PTC511: u32 = 0x40e4;
/// Packets Transmitted, 512 to 1023 bytes.
pub const PTC1023: u32 = 0x40e8;
/// Packets Transmitted, 1024 bytes and more.
pub const PTC1522: u32 = 0x40ec;
/// Multicast Packets Transmitted Count.
pub const MPTC: u32 = 0x40f0;
/// Broadcast Packets Transmitted Count.
pub const BPTC: u32 = 0x40f4;
/// TCP Segmentation Context Transmitted Count.
pub const TSCTC: u32 = 0x40f8;
/// TCP Segmentation Context Transmit Fail Count.
pub const TSCTFC: u32 = 0x40fc;

/// First statistics register.
pub const FIRST: u32 = CRCERRS;
/// Last statistics register.
pub const LAST: u32 = TSCTFC;
