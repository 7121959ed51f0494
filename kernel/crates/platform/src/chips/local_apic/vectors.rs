//! Sets of the 256 interrupt vectors, as IRR, ISR and TMR hold them [SDM3A 11.8.4].

use base::bits::{low_u8, low_u32};

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vectors([u64; 4]);

impl Vectors {
    fn place(vector: u8) -> (usize, u64) {
        (usize::from(vector >> 6), 1 << (vector & 63))
    }

    pub(super) fn contains(&self, vector: u8) -> bool {
        let (word, bit) = Self::place(vector);
        self.0[word] & bit != 0
    }

    pub(super) fn set(&mut self, vector: u8, value: bool) {
        let (word, bit) = Self::place(vector);
        if value {
            self.0[word] |= bit;
        } else {
            self.0[word] &= !bit;
        }
    }

    /// The highest vector of the set, which has the highest priority [SDM3A 11.8.3].
    pub(super) fn highest(&self) -> Option<u8> {
        let [first, second, third, fourth] = self.0;
        let (word, last) = match (first, second, third, fourth) {
            (.., word) if word != 0 => (word, 255),
            (.., word, _) if word != 0 => (word, 191),
            (_, word, ..) if word != 0 => (word, 127),
            (word, ..) if word != 0 => (word, 63),
            _ => return None,
        };
        Some(last - low_u8(word.leading_zeros().into()))
    }

    /// The 32-bit register `index` (0 to 7) that shows the set: bit 0 is vector `32 * index`.
    pub(super) fn register(&self, index: usize) -> u32 {
        self.0.get(index / 2).map_or(0, |word| low_u32(word >> (index % 2 * 32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_set(steps in prop::collection::vec((any::<u8>(), any::<bool>()), 0..100)) {
            let (mut set, mut reference) = (Vectors::default(), BTreeSet::new());
            for (vector, value) in steps {
                set.set(vector, value);
                if value { reference.insert(vector); } else { reference.remove(&vector); }
                prop_assert_eq!(set.highest(), reference.last().copied());
            }
            for vector in 0..=255u8 {
                let shown = set.register(usize::from(vector / 32)) >> (vector % 32) & 1 != 0;
                prop_assert_eq!((shown, set.contains(vector)), (reference.contains(&vector), shown));
            }
        }
    }
}
