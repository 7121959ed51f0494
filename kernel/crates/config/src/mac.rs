//! Serialization of MAC addresses in the manifest: six bytes.

use base::MacAddress;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub fn serialize<S: Serializer>(mac: &MacAddress, to: S) -> Result<S::Ok, S::Error> {
    mac.0.serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MacAddress, D::Error> {
    <[u8; 6]>::deserialize(from).map(MacAddress)
}
