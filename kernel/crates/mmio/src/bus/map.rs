//! Which device answers at an address.

use heapless::Vec;

/// A run of addresses that one device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region<Id> {
    /// First address.
    pub base: u64,
    /// Length in bytes, not zero.
    pub length: u64,
    /// Who answers.
    pub id: Id,
}

impl<Id> Region<Id> {
    /// The last address.
    fn last(&self) -> u64 {
        self.base + (self.length - 1)
    }
}

/// Why a region was not added. The map is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The region is empty or leaves the address space.
    #[error("{length:#x} bytes at {base:#x} are no range of addresses")]
    BadRange {
        /// First address.
        base: u64,
        /// Length in bytes.
        length: u64,
    },
    /// Another region answers at some of the addresses.
    #[error("{length:#x} bytes at {base:#x} overlap the region at {other:#x}")]
    Overlap {
        /// First address.
        base: u64,
        /// Length in bytes.
        length: u64,
        /// Where the other region begins.
        other: u64,
    },
    /// The map holds as many regions as it can.
    #[error("no room for more than {0} regions")]
    Full(usize),
}

/// At most `N` regions that do not overlap, found by binary search. Addresses are guest-physical addresses
/// or port numbers.
#[derive(Clone, Debug, Default)]
pub struct AddressMap<Id, const N: usize> {
    /// Sorted by base.
    regions: Vec<Region<Id>, N>,
}

impl<Id: Copy, const N: usize> AddressMap<Id, N> {
    /// A map without regions.
    #[must_use]
    pub const fn new() -> Self {
        Self { regions: Vec::new() }
    }

    /// Adds the region of `length` bytes at `base`, which `id` answers.
    ///
    /// # Errors
    /// [`MapError`] when it is not a range, overlaps another, or there is no room.
    pub fn insert(&mut self, base: u64, length: u64, id: Id) -> Result<(), MapError> {
        if length == 0 || base.checked_add(length - 1).is_none() {
            return Err(MapError::BadRange { base, length });
        }
        let region = Region { base, length, id };
        // Regions before `index` end before the new one begins.
        let index = self.regions.partition_point(|other| other.last() < base);
        if let Some(other) = self.regions.get(index).filter(|other| other.base <= region.last()) {
            return Err(MapError::Overlap { base, length, other: other.base });
        }
        self.regions.insert(index, region).map_err(|_| MapError::Full(N))
    }

    /// Forgets the region that begins at `base`, and returns it.
    pub fn remove(&mut self, base: u64) -> Option<Region<Id>> {
        let index = self.regions.binary_search_by_key(&base, |region| region.base).ok()?;
        Some(self.regions.remove(index))
    }

    /// Forgets all regions.
    pub fn clear(&mut self) {
        self.regions.clear();
    }

    /// The region that `address` lies in, and how far from its beginning.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<(Region<Id>, u64)> {
        let index = self.regions.partition_point(|region| region.last() < address);
        let region = *self.regions.get(index)?;
        Some((region, address.checked_sub(region.base)?))
    }

    /// The regions, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Region<Id>> {
        self.regions.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_found_from_first_to_last() {
        let mut map = AddressMap::<char, 4>::new();
        map.insert(0xfee0_0000, 0x1000, 'l').unwrap();
        map.insert(0xfec0_0000, 0x1000, 'i').unwrap();
        let found = |at| map.find(at).map(|(region, offset)| (region.id, offset));
        assert_eq!(found(0xfebf_ffff), None);
        assert_eq!(found(0xfec0_0000), Some(('i', 0)));
        assert_eq!(found(0xfec0_0fff), Some(('i', 0xfff)));
        assert_eq!(found(0xfec0_1000), None);
        assert_eq!(found(0xfee0_0080), Some(('l', 0x80)));
        assert_eq!(found(u64::MAX), None);
    }

    #[test]
    fn overlap_is_refused_and_touching_is_not() {
        let mut map = AddressMap::<u8, 4>::new();
        map.insert(0x1000, 0x1000, 0).unwrap();
        for (base, length) in [(0x1000, 1), (0x1fff, 1), (0, 0x1001), (0, u64::MAX), (0x1400, 0x10)] {
            assert_eq!(map.insert(base, length, 1), Err(MapError::Overlap { base, length, other: 0x1000 }));
        }
        map.insert(0, 0x1000, 2).unwrap();
        map.insert(0x2000, 0x1000, 3).unwrap();
        assert!(map.iter().map(|region| region.id).eq([2, 0, 3]));
    }

    #[test]
    fn the_last_address_can_be_mapped_and_nothing_beyond() {
        let mut map = AddressMap::<u8, 1>::new();
        for (base, length) in [(0, 0), (2, u64::MAX), (u64::MAX, 2)] {
            assert_eq!(map.insert(base, length, 1), Err(MapError::BadRange { base, length }));
        }
        map.insert(u64::MAX, 1, 7).unwrap();
        assert_eq!(map.find(u64::MAX).map(|(region, _)| region.id), Some(7));
        assert_eq!(map.insert(0, 1, 8), Err(MapError::Full(1)));
        assert_eq!(map.remove(0), None);
        assert_eq!(map.remove(u64::MAX).map(|region| region.id), Some(7));
        assert_eq!(map.find(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_search_of_every_region(
            inserts in prop::collection::vec((0_u64..64, 0_u64..12), 0..24),
            removals in prop::collection::vec(0_u64..64, 0..4),
        ) {
            let mut map = AddressMap::<usize, 8>::new();
            let mut model = std::vec::Vec::<(u64, u64, usize)>::new();
            for (id, (base, length)) in inserts.into_iter().enumerate() {
                let free = model.iter().all(|(from, to, _)| base + length <= *from || *to <= base);
                let expected = length > 0 && free && model.len() < 8;
                prop_assert_eq!(map.insert(base, length, id).is_ok(), expected);
                if expected {
                    model.push((base, base + length, id));
                }
            }
            for base in removals {
                let removed = map.remove(base).map(|region| region.id);
                let at = model.iter().position(|(from, ..)| *from == base);
                prop_assert_eq!(removed, at.map(|at| model.swap_remove(at).2));
            }
            for address in 0..80 {
                let found = map.find(address).map(|(region, offset)| (region.id, offset));
                let entry = model.iter().find(|(from, to, _)| (*from..*to).contains(&address));
                prop_assert_eq!(found, entry.map(|(from, _, id)| (*id, address - from)));
            }
        }
    }
}
