//! How a vNIC is made.

use base::MacAddress;

/// The configuration of one vNIC.
///
/// ```
/// use base::{Instant, MacAddress};
/// use intel_regs::{Ctrl, Status, reg};
/// use vnic::{Vnic, VnicModelConfig};
///
/// let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
/// let mut vnic = Vnic::new(VnicModelConfig { link_up: false, ..VnicModelConfig::new(mac) });
/// let _ = vnic.write(reg::CTRL, Ctrl::SLU.bits(), Instant::ZERO);
/// assert_eq!(vnic.read(reg::STATUS, Instant::ZERO).0 & Status::LU.bits(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VnicModelConfig {
    /// The Ethernet address in its EEPROM.
    pub mac: MacAddress,
    /// Whether it starts with a link.
    pub link_up: bool,
    /// Whether to calculate the frame check sequence that follows each frame in the guest's buffer (unless the
    /// guest has it stripped). Drivers ignore it; zeros in its place save a pass over each frame.
    pub compute_fcs: bool,
}

impl VnicModelConfig {
    /// A vNIC with this address, a link, and frame check sequences as on real hardware.
    #[must_use]
    pub fn new(mac: MacAddress) -> Self {
        Self { mac, link_up: true, compute_fcs: true }
    }
}
