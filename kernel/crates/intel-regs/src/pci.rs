//! PCI identity and resources of the 82540EM [8254x 4.1, 5.2].

/// Vendor identifier of Intel.
pub const VENDOR_INTEL: u16 = 0x8086;
/// Device identifier of the 82540EM, the copper desktop adapter [8254x 5.2].
pub const DEVICE_82540EM: u16 = 0x100e;
/// Subsystem identifier of the PRO/1000 MT desktop adapter.
pub const SUBSYSTEM_PRO_1000_MT: u16 = 0x001e;
/// Class code of an Ethernet controller: class 02h, subclass 00h, interface 00h [PCI 3.0 D].
pub const CLASS_ETHERNET: u32 = 0x02_0000;

/// Size of the memory-mapped register window, base address register 0, in bytes [8254x 4.1].
pub const MMIO_SIZE: u32 = 0x2_0000;
/// Size of the I/O-mapped window, in bytes [8254x 13.2.2].
pub const IO_SIZE: u32 = 64;

/// Offset in the I/O window of `IOADDR`: the register that `IODATA` reaches [8254x 13.2.2.1].
pub const IOADDR: u32 = 0x00;
/// Offset in the I/O window of `IODATA`: the register's value [8254x 13.2.2.2].
pub const IODATA: u32 = 0x04;
