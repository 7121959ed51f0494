//! The core that each guest runs on.

/// What the configuration requests for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementRequest {
    /// The core that the guest is pinned to, if any.
    pub core: Option<usize>,
    /// Its shares of the processor time of its core.
    pub shares: u32,
}

/// Where a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its core, below the number of cores.
    pub core: usize,
    /// The core that it is pinned to, if the machine does not have that core.
    pub missing: Option<usize>,
}

/// Distributes guests over `cores` cores, at least one, and calls `assign` with the number and the placement of
/// each guest, in order.
///
/// Pinned guests are placed first. Then each of the others, in order, is placed on the core where the sum of
/// shares is smallest at that moment. A guest that is pinned to a missing core is placed as if it were not pinned.
///
/// ```
/// use schedule::placement::{PlacementRequest, place};
///
/// let requests = [None, Some(0), None].map(|core| PlacementRequest { core, shares: 1000 });
/// let mut cores = Vec::new();
/// place(&requests, 2, |_guest, placement| cores.push(placement.core));
/// assert_eq!(cores, [1, 0, 0]);
/// ```
pub fn place(requests: &[PlacementRequest], cores: usize, mut assign: impl FnMut(usize, Placement)) {
    let cores = cores.max(1);
    let pinned = |request: &PlacementRequest| request.core.filter(|core| *core < cores);
    let mut homes: heapless::Vec<Option<usize>, { crate::MAX_GUESTS }> =
        requests.iter().take(crate::MAX_GUESTS).map(pinned).collect();
    for guest in 0..homes.len() {
        if homes[guest].is_some() {
            continue;
        }
        let load = |core: usize| -> u64 {
            let here = homes.iter().zip(requests).filter(|(home, _)| **home == Some(core));
            here.map(|(_, request)| u64::from(request.shares)).sum()
        };
        homes[guest] = (0..cores).min_by_key(|core| load(*core));
    }
    for (guest, (home, request)) in homes.iter().zip(requests).enumerate() {
        let missing = request.core.filter(|core| *core >= cores);
        assign(guest, Placement { core: home.unwrap_or(0), missing });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn placed(guests: &[(Option<usize>, u32)], cores: usize) -> Vec<(usize, Option<usize>)> {
        let requests: Vec<PlacementRequest> =
            guests.iter().map(|&(core, shares)| PlacementRequest { core, shares }).collect();
        let mut places = Vec::new();
        place(&requests, cores, |guest, placement| {
            assert_eq!(guest, places.len());
            places.push((placement.core, placement.missing));
        });
        places
    }

    #[test]
    fn guests_are_distributed_by_their_shares() {
        let guests = [(None, 1000), (None, 500), (None, 400), (None, 1000)];
        assert_eq!(placed(&guests, 2), [(0, None), (1, None), (1, None), (1, None)]);
        assert_eq!(placed(&guests, 1), [(0, None); 4]);
        assert_eq!(placed(&guests, 4), [(0, None), (1, None), (2, None), (3, None)]);
    }

    #[test]
    fn pinned_guests_are_placed_before_the_others() {
        assert_eq!(
            placed(&[(None, 1000), (Some(0), 1000), (Some(0), 1000)], 2),
            [(1, None), (0, None), (0, None)]
        );
    }

    #[test]
    fn a_missing_core_is_reported() {
        assert_eq!(placed(&[(Some(0), 10), (Some(7), 10)], 2), [(0, None), (1, Some(7))]);
    }
}
