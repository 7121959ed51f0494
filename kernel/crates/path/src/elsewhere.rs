//! Configured addresses of vNICs at the machine's other switches.
//!
//! A guest with vNICs on two NICs may send from the address of one through the other, as a bond does when a cable fails.
//! The switch there must let it at once, and no other guest: the address is this guest's wherever it is used. The wire
//! may show the address, too, because both NICs can be on one LAN. But what the wire shows may be anybody's, another
//! guest's behind the other NIC for example, so it adds a way to the address and takes none from its guest.

use crate::forwarder::Source;
use crate::mac_table::number;
use crate::{Attachment, PortConfig, PortId, PortSet};
use alloc::boxed::Box;
use alloc::vec::Vec;
use base::MacAddress;

/// Such an address.
struct ElsewhereAddress {
    /// As a number.
    mac: u64,
    /// Its guest.
    guest: Option<usize>,
    /// The port of its guest at this switch that sent from it last, if one has.
    place: Option<PortId>,
    /// The wire has sent from it since.
    on_wire: bool,
}

/// The addresses that are configured at other switches, in the order of their numbers.
pub(crate) struct Elsewhere(Box<[ElsewhereAddress]>);

impl Elsewhere {
    /// The addresses of these vNICs but for those that are this switch's `own`.
    pub(crate) fn new(vnics: &[PortConfig], own: &[u64]) -> Self {
        let address = |vnic: &PortConfig| match vnic.attachment {
            Attachment::Guest { mac, guest } => {
                Some(ElsewhereAddress { mac: number(mac), guest, place: None, on_wire: false })
            }
            Attachment::Uplink => None,
        };
        let mut all: Vec<_> =
            vnics.iter().filter_map(address).filter(|address| !own.contains(&address.mac)).collect();
        all.sort_by_key(|address| address.mac);
        Self(all.into_boxed_slice())
    }

    fn index(&self, mac: MacAddress) -> Option<usize> {
        let mac = number(mac);
        self.0.binary_search_by_key(&mac, |address| address.mac).ok()
    }

    /// Takes note that `port`, of this guest or of the wire, sends from `mac`, if that is such an address.
    pub(crate) fn note(&mut self, mac: MacAddress, port: PortId, sender: Sender) -> Option<Source> {
        let index = self.index(mac)?;
        let known = self.0.get_mut(index)?;
        let before = (known.place, known.on_wire);
        match sender {
            Sender::Wire => known.on_wire = true,
            Sender::Guest(guest) if guest.is_some() && guest == known.guest => {
                (known.place, known.on_wire) = (Some(port), false);
            }
            Sender::Guest(_) => return Some(Source::Conflict),
        }
        let same = before == (None, false) || before == (known.place, known.on_wire);
        Some(if same { Source::Known } else { Source::Moved })
    }

    /// The ports where `mac` is, seen from the wire or from a guest, if its guest uses it at this switch.
    pub(crate) fn find(&self, mac: MacAddress, uplinks: PortSet, from_wire: bool) -> Option<PortSet> {
        let known = self.0.get(self.index(mac)?)?;
        let place = PortSet::EMPTY.with(known.place?);
        Some(if known.on_wire && !from_wire { place.union(uplinks) } else { place })
    }
}

/// Who sends.
#[derive(Clone, Copy)]
pub(crate) enum Sender {
    /// A physical NIC.
    Wire,
    /// The guest with this number, if it has one.
    Guest(Option<usize>),
}
