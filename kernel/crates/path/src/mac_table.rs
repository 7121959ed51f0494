//! The table of learned addresses. It is set-associative, so that every look-up is bounded.

use crate::{MAX_PORTS, PortId, PortSet};
use alloc::boxed::Box;
use alloc::vec;
use base::time::Duration;
use base::{Instant, MacAddress};

/// How long an address stays known after it was last seen [IEEE 802.1Q-2018 8.8.3, recommended default].
pub const AGEING: Duration = Duration::from_secs(300);

/// Maximum number of learned addresses. With so many sets, a wire with 1,000 stations that send within [`TAKEOVER`]
/// hardly ever fills one with addresses that are younger, so that a guest could take over one that had to give way.
pub const CAPACITY: usize = SETS * WAYS;

/// Maximum number of addresses learned from one guest. A guest that invents source addresses must not displace
/// those of the wire.
pub const GUEST_QUOTA: usize = 64;

/// How long a guest must wait until it gets an address that another port has sent from. A guest that sends from the
/// address of a router does not receive what others send to it; one that takes over a virtual address does, since
/// a backup waits for longer than three advertisements of one second [RFC 5798 6.1].
pub const TAKEOVER: Duration = Duration::from_secs(3);

const SETS: usize = 512;
const SET_MASK: u64 = SETS as u64 - 1;
const _: () = assert!(SETS.is_power_of_two());
const WAYS: usize = 8;

/// The result of learning a source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It was already known at this port.
    Refreshed,
    /// It was added.
    New,
    /// It was known at another port and is now known at this one.
    Moved,
    /// There is no room for it.
    Refused,
    /// Another port has sent from it within [`TAKEOVER`].
    Contested,
}

/// A port that addresses are learned from, and what it may do.
#[derive(Clone, Copy)]
pub(crate) struct Learner {
    /// The port.
    pub(crate) port: PortId,
    /// Maximum number of its addresses.
    pub(crate) quota: usize,
    /// Ports whose addresses need not be known: its own replace them in a full set.
    pub(crate) spare: PortSet,
    /// Ports whose addresses move to it at once; those of others, after [`TAKEOVER`].
    pub(crate) takes_from: PortSet,
}

/// An address and the port where it was last seen.
#[derive(Clone, Copy)]
struct LearnedAddress {
    mac: MacAddress,
    port: PortId,
    /// When a frame last came from it.
    seen: Instant,
    /// Since then, a guest has sent from it that did not get it.
    contested: bool,
}

const _: () = assert!(size_of::<Option<LearnedAddress>>() == 16);

impl LearnedAddress {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_since(self.seen) <= AGEING
    }
}

/// Learned addresses in [`SETS`] sets of [`WAYS`] slots.
pub(crate) struct MacTable {
    slots: Box<[Option<LearnedAddress>]>,
    /// Occupied slots of each port.
    used: [usize; MAX_PORTS],
    seed: u64,
    /// The slot that [`MacTable::sweep`] checks next.
    sweep: usize,
}

impl MacTable {
    /// An empty table. `seed` decides which addresses share a set. As long as it is secret, a guest cannot
    /// target the set of an address it wants removed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { slots: vec![None; CAPACITY].into_boxed_slice(), used: [0; MAX_PORTS], seed, sweep: 0 }
    }

    /// The port where `mac` was last seen, unless that is longer ago than [`AGEING`].
    pub(crate) fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        let entry = self.set(mac).find(|entry| entry.mac == mac)?;
        entry.is_fresh(now).then_some(entry.port)
    }

    /// True if a guest would like to have `mac`, and its port has not sent from it since.
    pub(crate) fn is_contested(&self, mac: MacAddress) -> bool {
        self.set(mac).any(|entry| entry.mac == mac && entry.contested)
    }

    /// Records that `mac` is at the port of `learner`, unless another port has a better claim.
    ///
    /// In a full set, a new address replaces only a stale one, one of the same port, or one of the ports in
    /// `spare`: no other port can make the switch forget what it learned at another.
    pub(crate) fn learn(&mut self, mac: MacAddress, learner: &Learner, now: Instant) -> Learned {
        let Learner { port, quota, spare, takes_from } = *learner;
        let new = LearnedAddress { mac, port, seen: now, contested: false };
        let start = self.start(mac);
        let slots = &mut self.slots[start..start + WAYS];
        let under_quota = self.used[port.index()] < quota;
        if let Some(known) = slots.iter_mut().flatten().find(|entry| entry.mac == mac) {
            if known.port == port {
                (known.seen, known.contested) = (now, false);
                return Learned::Refreshed;
            }
            if !takes_from.contains(known.port) && now.saturating_since(known.seen) < TAKEOVER {
                known.contested = true;
                return Learned::Contested;
            }
            if !under_quota {
                return Learned::Refused;
            }
            self.used[known.port.index()] -= 1;
            self.used[port.index()] += 1;
            *known = new;
            return Learned::Moved;
        }
        let free =
            |slot: &&mut Option<LearnedAddress>| slot.as_ref().is_none_or(|entry| !entry.is_fresh(now));
        let slot = match slots.iter_mut().find(free) {
            Some(slot) if under_quota => slot,
            _ => {
                let replaceable =
                    |entry: LearnedAddress| entry.port == port || under_quota && spare.contains(entry.port);
                let replaceable = slots.iter_mut().filter(|slot| slot.is_some_and(replaceable));
                match replaceable.min_by_key(|slot| slot.map(|entry| entry.seen)) {
                    Some(slot) => slot,
                    None => return Learned::Refused,
                }
            }
        };
        if let Some(old) = slot.replace(new) {
            self.used[old.port.index()] -= 1;
        }
        self.used[port.index()] += 1;
        Learned::New
    }

    /// Checks the next few slots and removes stale addresses, so that these do not count against their port's
    /// quota for ever.
    pub(crate) fn sweep(&mut self, now: Instant) {
        for _ in 0..WAYS {
            let slot = &mut self.slots[self.sweep];
            if let Some(entry) = slot.take_if(|entry| !entry.is_fresh(now)) {
                self.used[entry.port.index()] -= 1;
            }
            self.sweep = (self.sweep + 1) % CAPACITY;
        }
    }

    /// The occupied slots of the set that `mac` belongs to.
    fn set(&self, mac: MacAddress) -> impl Iterator<Item = &LearnedAddress> {
        let start = self.start(mac);
        self.slots[start..start + WAYS].iter().flatten()
    }

    /// Index of the first slot of the set that `mac` belongs to.
    fn start(&self, mac: MacAddress) -> usize {
        let mut hash = number(mac) ^ self.seed;
        // Two rounds of multiply and fold: every bit of the address and of the seed affects the set number.
        for _ in 0..2 {
            hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        (hash & SET_MASK) as usize * WAYS
    }
}

/// An address as a number: different ones have different numbers.
pub(crate) fn number(mac: MacAddress) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Instant = Instant(AGEING.as_nanos() as u64 + 1);

    fn mac(number: u32) -> MacAddress {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddress([2, 0, a, b, c, d])
    }

    fn port(index: usize) -> PortId {
        PortId::new(index).unwrap()
    }

    /// A port that addresses of the first port move to at once.
    fn learner(index: usize, quota: usize, spare: PortSet) -> Learner {
        Learner { port: port(index), quota, spare, takes_from: PortSet::first(1) }
    }

    #[test]
    fn an_address_is_found_until_it_is_stale() {
        let mut table = MacTable::new(1);
        assert_eq!(table.learn(mac(1), &learner(3, 9, PortSet::EMPTY), Instant::ZERO), Learned::New);
        assert_eq!(table.find(mac(1), Instant(AGEING.as_nanos() as u64)), Some(port(3)));
        assert_eq!(table.find(mac(1), LATER), None);
        assert_eq!(table.learn(mac(1), &learner(3, 9, PortSet::EMPTY), LATER), Learned::Refreshed);
        assert_eq!(table.find(mac(1), LATER), Some(port(3)));
    }

    #[test]
    fn an_address_moves_to_the_port_of_its_last_frame() {
        let mut table = MacTable::new(1);
        table.learn(mac(1), &learner(0, 9, PortSet::EMPTY), Instant::ZERO);
        assert_eq!(table.learn(mac(1), &learner(1, 9, PortSet::EMPTY), Instant(5)), Learned::Moved);
        assert_eq!(table.find(mac(1), Instant(5)), Some(port(1)));
    }

    #[test]
    fn an_address_moves_from_a_port_that_is_silent() {
        let mut table = MacTable::new(1);
        let (owner, other) = (learner(1, 9, PortSet::EMPTY), learner(2, 9, PortSet::EMPTY));
        table.learn(mac(1), &owner, Instant::ZERO);
        table.learn(mac(1), &owner, Instant(7));
        let over = Instant(7) + TAKEOVER;
        for now in [Instant(7), Instant(over.0 - 1)] {
            assert_eq!(table.learn(mac(1), &other, now), Learned::Contested);
            assert_eq!(table.find(mac(1), now), Some(port(1)));
        }
        assert_eq!(table.learn(mac(1), &other, over), Learned::Moved);
        assert_eq!((table.find(mac(1), over), table.used[1], table.used[2]), (Some(port(2)), 0, 1));
        assert_eq!(table.learn(mac(1), &owner, over), Learned::Contested);
    }

    #[test]
    fn one_port_cannot_displace_the_addresses_of_another() {
        let mut table = MacTable::new(7);
        for number in 0..100 {
            assert_eq!(
                table.learn(mac(number), &learner(0, CAPACITY, PortSet::EMPTY), Instant::ZERO),
                Learned::New
            );
        }
        for number in 1000..100_000 {
            table.learn(mac(number), &learner(1, CAPACITY, PortSet::EMPTY), Instant(1));
        }
        assert!((0..100).all(|number| table.find(mac(number), Instant(1)) == Some(port(0))));
    }

    #[test]
    fn a_port_stays_within_its_quota() {
        let mut table = MacTable::new(7);
        for number in 0..10_000 {
            table.learn(mac(number), &learner(1, GUEST_QUOTA, PortSet::EMPTY), Instant::ZERO);
            assert!(table.used[1] <= GUEST_QUOTA);
        }
        let known = (0..10_000).filter(|number| table.find(mac(*number), Instant::ZERO).is_some());
        assert_eq!(known.count(), table.used[1]);
        table.learn(mac(77_777), &learner(2, 9, PortSet::EMPTY), Instant::ZERO);
        assert_eq!(
            table.learn(mac(77_777), &learner(1, GUEST_QUOTA, PortSet::EMPTY), Instant::ZERO + TAKEOVER),
            Learned::Refused
        );
    }

    #[test]
    fn sweeping_returns_the_quota_of_stale_addresses() {
        let mut table = MacTable::new(7);
        for number in 0..50 {
            table.learn(mac(number), &learner(1, GUEST_QUOTA, PortSet::EMPTY), Instant::ZERO);
        }
        for _ in 0..SETS {
            table.sweep(LATER);
        }
        assert_eq!(table.used[1], 0);
    }

    #[test]
    fn of_a_thousand_stations_that_all_send_hardly_one_gives_way_to_another() {
        for seed in 0..20 {
            let mut table = MacTable::new(seed);
            for number in 0..1000 {
                table.learn(mac(number), &learner(0, CAPACITY, PortSet::EMPTY), Instant(number.into()));
            }
            let known = (0..1000).filter(|number| table.find(mac(*number), Instant(1000)).is_some()).count();
            assert!(known >= 998, "{known}");
        }
    }

    #[test]
    fn an_address_of_a_guest_replaces_one_that_need_not_be_known() {
        let mut table = MacTable::new(7);
        let wire = PortSet::EMPTY.with(port(0));
        for number in 0..100_000 {
            table.learn(mac(number), &learner(0, CAPACITY, PortSet::EMPTY), Instant::ZERO);
        }
        assert_eq!(table.used[0], CAPACITY);
        for number in 200_000..200_020 {
            assert_eq!(table.learn(mac(number), &learner(1, GUEST_QUOTA, wire), Instant(1)), Learned::New);
            assert_eq!(table.find(mac(number), Instant(1)), Some(port(1)));
        }
        assert_eq!((table.used[0], table.used[1]), (CAPACITY - 20, 20));
    }
}
