//! The configuration, checked: what the kernel works with.

use alloc::string::String;
use alloc::vec::Vec;
use base::MacAddress;
use serde::{Deserialize, Serialize};

/// Most guests of one host.
pub const MAX_VMS: usize = 15;
/// Most vNICs of one guest.
pub const MAX_VNICS: usize = 8;
/// Most physical NICs of one host.
pub const MAX_NICS: usize = 8;
/// Most vNICs that share one uplink, or have none: with the uplink they fill a switch of 16 ports.
pub const MAX_VNICS_PER_UPLINK: usize = 15;
/// Most cores that Weir uses.
pub const MAX_CORES: usize = 64;
/// Fewest shares of a guest.
pub const LEAST_SHARES: u32 = 10;
/// Most shares of a guest.
pub const MOST_SHARES: u32 = 10_000;
/// Shares of a guest that names none.
pub const STANDARD_SHARES: u32 = 1000;
/// Longest command line of a guest in bytes: what Linux's boot protocol gives x86.
pub const MAX_COMMAND_LINE: usize = 2047;

/// A whole host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// What concerns all guests.
    pub host: Host,
    /// Physical NICs, in the order of the file.
    pub nics: Vec<Nic>,
    /// Guests, in the order of the file.
    pub vms: Vec<Vm>,
}

/// What concerns all guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The least important lines that are logged.
    pub log_level: LogLevel,
    /// How Weir breaks itself once the last guest has stopped, for the tests of its own report.
    pub self_test: Option<SelfTest>,
}

/// A way for Weir to break itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelfTest {
    /// A broken invariant.
    Panic,
    /// An exception in its own code.
    Exception,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stopped a guest or a NIC.
    Error,
    /// What somebody should look at, and the above.
    Warn,
    /// What happens, and the above.
    Info,
    /// What helps to find a fault in Weir, and the above.
    Debug,
}

/// A physical NIC that Weir takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// How log lines and vNICs call it.
    pub name: String,
    /// Which card it is.
    pub matches: NicMatch,
}

/// Which card a `[[nic]]` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NicMatch {
    /// The first one with a driver that no earlier `[[nic]]` took.
    Any,
    /// The one at this place on the PCI buses.
    Address {
        /// Bus.
        bus: u8,
        /// Device, 0 to 31.
        device: u8,
        /// Function, 0 to 7.
        function: u8,
    },
    /// The first one with these ids that no earlier `[[nic]]` took.
    Ids {
        /// Vendor id.
        vendor: u16,
        /// Device id.
        device: u16,
    },
}

/// A file in the bundle, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// How log lines call it.
    pub name: String,
    /// Its memory in bytes, a multiple of 2 MiB.
    pub memory_bytes: u64,
    /// A Linux bzImage or an ELF64 executable.
    pub kernel: FileId,
    /// The initial RAM disk.
    pub initrd: Option<FileId>,
    /// The kernel's command line.
    pub command_line: String,
    /// The core it is pinned to; `None` for the one with the smallest sum of shares.
    pub cpu: Option<u8>,
    /// Its shares of the processor time of its core.
    pub shares: u32,
    /// What is done when it crashes.
    pub restart: Restart,
    /// Whether it is started at boot.
    pub autostart: bool,
    /// Its NICs.
    pub vnics: Vec<Vnic>,
}

/// What is done when a guest crashes. One that resets itself is started again whatever stands here, and one
/// that powers itself off is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// It stays stopped.
    Never,
    /// It is started again, after a wait that doubles with each crash.
    OnCrash,
}

/// A guest's NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vnic {
    /// The card that the guest sees.
    pub model: Model,
    /// Its address.
    #[serde(with = "crate::mac")]
    pub mac: MacAddress,
    /// Name of the physical NIC that carries its frames; without one it only reaches vNICs that have none
    /// either.
    pub uplink: Option<String>,
}

/// A card that Weir emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Intel 82540EM, the PRO/1000 MT Desktop Adapter.
    #[serde(rename = "82540EM")]
    I82540em,
}
