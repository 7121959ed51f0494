//! Where cores and frames meet: what every core may know and ask of a VM, the vNICs that a guest's core and the
//! switch share, and the end of Weir. Ground for `vm` and `net`, which do not know each other.

pub mod directory;
pub mod ending;
pub mod vnic_slot;
