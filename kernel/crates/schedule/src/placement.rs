//! Which core each guest lives on.

/// What a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// Its shares of the processor time of its core.
    pub shares: u32,
}

/// Where a guest was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The core, below the number of cores.
    pub core: usize,
    /// The core it is pinned to, and which is not there.
    pub missing: Option<usize>,
}

/// Places guests on `cores` cores, at least one: those that are pinned where they want, each other, in their
/// order, where the sum of shares is smallest then. One that is pinned to a core that is not there is placed as
/// if it were not pinned. `assign` gets each guest's number and place.
pub fn place(wishes: &[Wish], cores: usize, mut assign: impl FnMut(usize, Place)) {
    let cores = cores.max(1);
    let pinned = |wish: &Wish| wish.core.filter(|core| *core < cores);
    let mut homes: heapless::Vec<Option<usize>, { crate::MAX_GUESTS }> =
        wishes.iter().take(crate::MAX_GUESTS).map(pinned).collect();
    for guest in 0..homes.len() {
        if homes[guest].is_some() {
            continue;
        }
        let load = |core: usize| -> u64 {
            let here = homes.iter().zip(wishes).filter(|(home, _)| **home == Some(core));
            here.map(|(_, wish)| u64::from(wish.shares)).sum()
        };
        homes[guest] = (0..cores).min_by_key(|core| load(*core));
    }
    for (guest, (home, wish)) in homes.iter().zip(wishes).enumerate() {
        let missing = wish.core.filter(|core| *core >= cores);
        assign(guest, Place { core: home.unwrap_or(0), missing });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn placed(wishes: &[(Option<usize>, u32)], cores: usize) -> Vec<(usize, Option<usize>)> {
        let wishes: Vec<Wish> = wishes.iter().map(|&(core, shares)| Wish { core, shares }).collect();
        let mut places = Vec::new();
        place(&wishes, cores, |guest, place| {
            assert_eq!(guest, places.len());
            places.push((place.core, place.missing));
        });
        places
    }

    #[test]
    fn guests_spread_by_their_shares() {
        let wishes = [(None, 1000), (None, 500), (None, 400), (None, 1000)];
        assert_eq!(placed(&wishes, 2), [(0, None), (1, None), (1, None), (1, None)]);
        assert_eq!(placed(&wishes, 1), [(0, None); 4]);
        assert_eq!(placed(&wishes, 4), [(0, None), (1, None), (2, None), (3, None)]);
    }

    #[test]
    fn pinned_guests_count_before_the_others_are_placed() {
        assert_eq!(
            placed(&[(None, 1000), (Some(0), 1000), (Some(0), 1000)], 2),
            [(1, None), (0, None), (0, None)]
        );
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        assert_eq!(placed(&[(Some(0), 10), (Some(7), 10)], 2), [(0, None), (1, Some(7))]);
    }
}
