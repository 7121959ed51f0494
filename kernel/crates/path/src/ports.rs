//! Port numbers and sets of ports.

use base::bits::low_u8;
use core::fmt;

/// Maximum number of ports of a switch.
pub const MAX_PORTS: usize = PORTS as usize;

/// The same, as a bound for port numbers.
const PORTS: u8 = 16;

/// Number of a port: its index in the list that the switch was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(u8);

impl PortId {
    /// The port at `index`, or `None` when `index` is not below [`MAX_PORTS`].
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|_| index < MAX_PORTS).map(Self)
    }

    /// The index, below [`MAX_PORTS`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

/// A set of ports, one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PortSet(u16);

impl PortSet {
    /// No port.
    pub const EMPTY: Self = Self(0);

    /// All ports that a switch can have.
    pub const ALL: Self = Self(u16::MAX);

    /// The first `count` ports.
    #[must_use]
    pub fn first(count: usize) -> Self {
        Self(if count < MAX_PORTS { (1 << count) - 1 } else { u16::MAX })
    }

    /// This set plus `port`.
    #[must_use]
    pub fn with(self, port: PortId) -> Self {
        Self(self.0 | 1 << port.0)
    }

    /// This set without `port`.
    #[must_use]
    pub fn without(self, port: PortId) -> Self {
        Self(self.0 & !(1 << port.0))
    }

    /// The ports in this set that are not in `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The ports that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The ports that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when `port` is in the set.
    #[must_use]
    pub fn contains(self, port: PortId) -> bool {
        self.0 & 1 << port.0 != 0
    }

    /// True when all ports of this set are in `other`.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.minus(other).is_empty()
    }

    /// True when no port is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of ports in the set.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The ports in the set, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = PortId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let port = (left != 0).then(|| PortId(low_u8(left.trailing_zeros().into())))?;
            left &= left - 1;
            Some(port)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_returns_the_requested_number_of_ports() {
        for count in 0..=MAX_PORTS {
            assert_eq!(PortSet::first(count).len(), count);
            assert!(PortSet::first(count).iter().map(PortId::index).eq(0..count));
        }
        assert_eq!(PortSet::first(99), PortSet::first(MAX_PORTS));
        assert_eq!(PortId::new(MAX_PORTS), None);
    }

    #[test]
    fn ports_come_in_ascending_order() {
        let ports = [0, 3, 14, 15].map(|index| PortId::new(index).unwrap());
        let set = ports.iter().rev().fold(PortSet::EMPTY, |set, port| set.with(*port));
        assert!(set.iter().eq(ports));
        assert_eq!(PortSet::EMPTY.iter().next(), None);
    }

    #[test]
    fn ports_are_added_and_removed_one_by_one() {
        let port = PortId::new(15).unwrap();
        let set = PortSet::EMPTY.with(port);
        assert!(set.contains(port) && !set.is_empty());
        assert!(set.without(port).is_empty());
        assert_eq!(PortSet::first(16).minus(set), PortSet::first(15));
    }
}
