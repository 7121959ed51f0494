//! What the manager knows of the vNICs that a team serves.

use base::{Instant, MacAddress};
use serde::{Deserialize, Serialize};

/// Most addresses of one vNIC of which switches on the wire are told.
pub const MAX_ADDRESSES: usize = 8;

/// A vNIC, as the configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VnicInfo {
    /// Its port at the switch.
    pub port: u8,
    /// The number of its VM.
    pub vm: u8,
    /// Its number in the VM.
    pub number: u8,
    /// Its address.
    pub mac: MacAddress,
    /// The VM's priority; the highest is the most important.
    pub priority: u8,
}

/// An address that a vNIC sends from, and what is still to be said of it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VnicAddress {
    pub(crate) mac: MacAddress,
    pub(crate) vlan: Option<u16>,
    /// How often switches are still to be told, and when next.
    pub(crate) left: u8,
    pub(crate) next: Instant,
}

/// A vNIC and what has become known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VnicState {
    pub(crate) info: VnicInfo,
    pub(crate) on: bool,
    /// Its own first.
    pub(crate) addresses: heapless::Vec<VnicAddress, MAX_ADDRESSES>,
    /// The one that makes room for the next.
    oldest: usize,
    /// Bytes a second that it sends, on average.
    pub(crate) rate: u64,
}

impl VnicState {
    /// A vNIC that has sent nothing.
    pub(crate) fn new(info: VnicInfo) -> Self {
        let own = VnicAddress { mac: info.mac, vlan: None, left: 0, next: Instant::ZERO };
        let mut addresses = heapless::Vec::new();
        let _ = addresses.push(own);
        Self { info, on: false, addresses, oldest: 0, rate: 0 }
    }

    /// It sends from this address, in this VLAN. Its own address without a tag is never forgotten, of the others the one that came
    /// first. False if that is known.
    pub(crate) fn note(&mut self, mac: MacAddress, vlan: Option<u16>) -> bool {
        if self.addresses.iter().any(|known| (known.mac, known.vlan) == (mac, vlan)) {
            return false;
        }
        let address = VnicAddress { mac, vlan, left: 0, next: Instant::ZERO };
        if let Err(address) = self.addresses.push(address) {
            self.oldest = self.oldest % (MAX_ADDRESSES - 1) + 1;
            self.addresses[self.oldest] = address;
        }
        true
    }
}
