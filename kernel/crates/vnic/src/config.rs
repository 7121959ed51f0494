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
/// let config = VnicModelConfig { link_up: false, ..VnicModelConfig::new(mac) };
/// let mut vnic = Vnic::new(config, testkit::bounce_memory());
/// let _ = vnic.write(reg::CTRL, Ctrl::SLU.bits(), Instant::ZERO);
/// assert_eq!(vnic.read(reg::STATUS, Instant::ZERO).0 & Status::LU.bits(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VnicModelConfig {
    /// The Ethernet address in its EEPROM.
    pub mac: MacAddress,
    /// Whether it starts with a link.
    pub link_up: bool,
    /// Whether to calculate what a guest can see of a received frame but hardly any driver uses: the frame check
    /// sequence that follows it in the guest's buffer (unless the guest has it stripped), and the packet checksum
    /// in the descriptor. Without it the first is four zeros, and the second is calculated only if `RXCSUM` says
    /// where it begins. It costs a pass over each frame for each.
    pub compute_fcs: bool,
    /// Whether packets without `IFCS` get a frame check sequence, too, as with lenient models of the NIC. By the
    /// manual the guest has then supplied one, in the last four bytes [8254x 3.3.3.1].
    pub always_insert_fcs: bool,
    /// Whether the EEPROM refuses writes, as with its write-protect pin wired.
    pub protect_eeprom: bool,
}

impl VnicModelConfig {
    /// A vNIC with this address and a link, which otherwise does all as real hardware does.
    #[must_use]
    pub fn new(mac: MacAddress) -> Self {
        Self { mac, link_up: true, compute_fcs: true, always_insert_fcs: false, protect_eeprom: false }
    }
}
