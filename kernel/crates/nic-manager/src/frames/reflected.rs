//! Frames from the wire whose source is a local vNIC.

use super::is_announcement_of_move;
use base::MacAddress;

/// The address of a vNIC of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub mac: MacAddress,
    /// True while its VM is on. When it is off, another host may run it.
    pub on: bool,
}

/// Where a frame from the wire is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Another station, or a VM that is off here: it is passed on.
    Ordinary,
    /// A vNIC of a VM that is on here: the wire has sent back what came from it, or another station uses its address.
    /// It is dropped, or the VM would see its own frames and the switch lose its port.
    Reflected,
    /// A VM that is off here announces itself elsewhere: it is passed on and noted.
    Moved,
}

/// Where a frame from the wire is from that begins with `head`.
#[must_use]
pub fn provenance(head: &[u8], local: &[LocalAddress]) -> Provenance {
    let source = MacAddress::source_of(head);
    let mut of_source = local.iter().filter(|address| Some(address.mac) == source).peekable();
    if of_source.peek().is_none() {
        Provenance::Ordinary
    } else if of_source.any(|address| address.on) {
        Provenance::Reflected
    } else if is_announcement_of_move(head) {
        Provenance::Moved
    } else {
        Provenance::Ordinary
    }
}
