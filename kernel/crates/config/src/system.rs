//! The checked configuration: what the kernel works with.

use crate::TeamConfig;
use alloc::string::String;
use alloc::vec::Vec;
use base::MacAddress;
use serde::{Deserialize, Serialize};

/// Maximum number of guests on a host.
pub const MAX_VMS: usize = 15;
/// Maximum number of vNICs of a guest.
pub const MAX_VNICS: usize = 8;
/// Maximum number of physical NICs on a host.
pub const MAX_NICS: usize = 8;
/// Maximum number of vNICs that share one uplink, or have none: with the uplink they fill a switch of 16 ports.
pub const MAX_VNICS_PER_UPLINK: usize = 15;
/// Maximum number of cores that Weir uses.
pub const MAX_CORES: usize = 64;
/// Smallest number of shares of a guest.
pub const LEAST_SHARES: u32 = 10;
/// Largest number of shares of a guest.
pub const MOST_SHARES: u32 = 10_000;
/// Default number of shares of a guest.
pub const STANDARD_SHARES: u32 = 1000;
/// Most important priority of a guest; 0 is the least important one.
pub const MOST_PRIORITY: u8 = 7;
/// Default priority of a guest.
pub const STANDARD_PRIORITY: u8 = 3;
/// Maximum length of a serial number or an asset tag in bytes: what SMBIOS readers show of one [SMBIOS 3.0 6.1.3].
pub const MAX_IDENTITY_TEXT: usize = 64;
/// Maximum length of a guest's command line in bytes: the limit of Linux's boot protocol on x86.
pub const MAX_COMMAND_LINE: usize = 2047;

/// The configuration of a whole host.
///
/// The kernel finds the images of its guests through it, in the bundle that the host tool packed:
///
/// ```
/// use config::{
///     Bundle, FileId, HostConfig, IdentityConfig, LogLevel, Restart, STANDARD_PRIORITY, STANDARD_SHARES, System,
///     VmConfig, bundle,
/// };
///
/// let guest = VmConfig {
///     name: "web".into(),
///     memory_bytes: 256 << 20,
///     kernel: FileId(0), // the bundle's first file
///     initrd: None,
///     command_line: "console=ttyS0".into(),
///     cpu: None, // Weir chooses the core
///     shares: STANDARD_SHARES,
///     priority: STANDARD_PRIORITY,
///     restart: Restart::OnCrash,
///     autostart: true,
///     identity: IdentityConfig::default(),
///     vnics: Vec::new(),
/// };
/// let host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
/// let system = System { host, nics: Vec::new(), teams: Vec::new(), vms: vec![guest] };
/// let packed = bundle::pack(&system, &[b"the image of a kernel".to_vec()])?;
///
/// let bundle = Bundle::parse(&packed)?;
/// let vm = &bundle.system().vms[0];
/// assert_eq!((vm.name.as_str(), vm.memory_bytes), ("web", 256 << 20));
/// assert_eq!(bundle.file(vm.kernel), b"the image of a kernel");
/// # Ok::<(), config::BundleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Settings of the host itself.
    pub host: HostConfig,
    /// Physical NICs, in the order of the file.
    pub nics: Vec<NicConfig>,
    /// Teams of physical NICs, in the order of the file.
    pub teams: Vec<TeamConfig>,
    /// Guests, in the order of the file.
    pub vms: Vec<VmConfig>,
}

/// Settings that concern the host rather than one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// The least important level that is logged.
    pub log_level: LogLevel,
    /// Every thread of a core is used as a core of its own, and guests share their caches and buffers.
    pub smt: bool,
    /// How Weir fails on purpose once the last guest has stopped, to test its own failure report.
    pub self_test: Option<SelfTest>,
}

/// A way for Weir to fail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelfTest {
    /// A broken invariant.
    Panic,
    /// An exception in Weir's own code.
    Exception,
}

/// How much is logged. Each level includes those above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors that stopped a guest or a NIC.
    Error,
    /// Conditions that need the operator's attention.
    Warn,
    /// Normal events.
    Info,
    /// Details that help to debug Weir.
    Debug,
}

/// A physical NIC that Weir takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicConfig {
    /// Its name in log lines and in the `uplink` of vNICs.
    pub name: String,
    /// How the NIC is found on the PCI bus.
    pub matches: NicMatch,
}

/// Selects the physical NIC that a `[[nic]]` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NicMatch {
    /// The first NIC with a driver that no earlier `[[nic]]` took.
    Any,
    /// The NIC at this PCI address.
    Address {
        /// Bus.
        bus: u8,
        /// Device, 0 to 31.
        device: u8,
        /// Function, 0 to 7.
        function: u8,
    },
    /// The first NIC with these PCI ids that no earlier `[[nic]]` took.
    Ids {
        /// Vendor id.
        vendor: u16,
        /// Device id.
        device: u16,
    },
}

/// A file in the bundle, by its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmConfig {
    /// Its name in log lines and in the shell.
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
    /// How important its frames are where not all NICs of a team work, 0 to 7.
    pub priority: u8,
    /// What happens when it crashes.
    pub restart: Restart,
    /// Whether it is started at boot.
    pub autostart: bool,
    /// What tells its machine from others.
    pub identity: IdentityConfig,
    /// Its NICs.
    pub vnics: Vec<VnicConfig>,
}

/// What a guest's firmware says to tell its machine from others.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdentityConfig {
    /// The UUID, in the order in which it is written as text.
    pub uuid: [u8; 16],
    /// The serial number.
    pub serial: String,
    /// The owner's tag; empty when none is given.
    pub asset_tag: String,
}

/// What happens when a guest crashes. Independently of this, a guest that resets itself is always started again,
/// and one that powers itself off never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// It stays stopped.
    Never,
    /// It is started again, after a wait that doubles with each crash.
    OnCrash,
}

/// What becomes of a vNIC's link when its uplink has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UplinkLink {
    /// It goes down too.
    Follow,
    /// It stays up.
    Up,
}

/// A virtual NIC of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VnicConfig {
    /// The NIC model that the guest sees.
    pub model: VnicModel,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Name of the team that carries its frames, or of the physical NIC in no team. A vNIC without an uplink reaches
    /// only other vNICs without one.
    pub uplink: Option<String>,
    /// What becomes of its link when the uplink has none.
    pub uplink_link: UplinkLink,
    /// The four bytes after a received frame are its frame check sequence, calculated by Weir; otherwise zeros.
    pub rx_fcs: bool,
    /// Packets that the guest's driver sends without asking for a frame check sequence (`IFCS`) get one, too.
    pub always_insert_fcs: bool,
    /// The guest cannot change the words of its EEPROM.
    pub protect_eeprom: bool,
}

/// A NIC model that Weir emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VnicModel {
    /// Intel 82540EM, the PRO/1000 MT Desktop Adapter.
    #[serde(rename = "82540EM")]
    I82540em,
}
