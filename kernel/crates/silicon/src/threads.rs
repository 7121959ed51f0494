//! Threads and cores: which processors share a core, and which of them are started.

use crate::ProcessorAccess;
use base::Duration;

/// Most processors that a plan names.
pub const MAX_PROCESSORS: usize = 256;

/// Leaves of the topology, the newer one first, and the type of the level whose processors are threads of one core
/// [SDM2A CPUID, leaves 0Bh and 1Fh] [APM3 E.3.8].
const TOPOLOGY: [u32; 2] = [0x1f, 0x0b];
const THREAD_LEVEL: u32 = 1;
/// The leaf in which AMD's processors without those say how many threads a core has, or cores a compute unit, whose
/// predictors and first-level code cache are one [APM3 E.4.15].
const AMD_TOPOLOGY: u32 = 0x8000_001e;
const AMD_FEATURES: u32 = 0x8000_0001;
/// In ECX of the latter: the former exists.
const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;

/// The number of low bits of a local APIC's id that number the threads of one core.
#[must_use]
pub fn thread_bits(processor: &impl ProcessorAccess) -> u32 {
    let last = processor.cpuid(0, 0)[0];
    for leaf in TOPOLOGY.into_iter().filter(|leaf| *leaf <= last) {
        let [shift, processors, level, _] = processor.cpuid(leaf, 0);
        if processors != 0 {
            return if level >> 8 & 0xff == THREAD_LEVEL { shift & 0x1f } else { 0 };
        }
    }
    let last = processor.cpuid(0x8000_0000, 0)[0];
    let extensions = || processor.cpuid(AMD_FEATURES, 0)[2] & TOPOLOGY_EXTENSIONS != 0;
    if (AMD_TOPOLOGY..0x9000_0000).contains(&last) && extensions() {
        let threads = (processor.cpuid(AMD_TOPOLOGY, 0)[1] >> 8 & 0xff) + 1;
        return threads.next_power_of_two().trailing_zeros();
    }
    0
}

/// What becomes of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is a core of its own.
    Run,
    /// It is started only to sleep: a machine check that reaches all processors would reset the machine if one had not been
    /// started [SDM3B 16.3.1.4].
    Park,
}

/// The processors beside `me`, in the order in which they are started: the first threads of their cores before those
/// that share one. The latter run with `smt` only.
#[must_use]
pub fn plan(
    ids: impl Iterator<Item = u32> + Clone,
    me: u32,
    thread_bits: u32,
    smt: bool,
) -> heapless::Vec<(u32, Use), MAX_PROCESSORS> {
    let core = |id: u32| id.checked_shr(thread_bits).unwrap_or(0);
    let others = ids.clone().filter(|id| *id != me);
    let first =
        |id: u32| core(id) != core(me) && ids.clone().find(|other| core(*other) == core(id)) == Some(id);
    let firsts = others.clone().filter(|id| first(*id)).map(|id| (id, Use::Run));
    let siblings = others.filter(|id| !first(*id)).map(|id| (id, if smt { Use::Run } else { Use::Park }));
    firsts.chain(siblings).take(MAX_PROCESSORS).collect()
}

/// Waits for a processor that is started: the first, and the shortest. The first is long, as an emulator may give a processor
/// little time; a processor of a real machine needs a fraction of a millisecond.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const SHORTEST_WAIT: Duration = Duration::from_millis(15);

/// How long the next processor is waited for when this many have not shown themselves. Firmware may list many that the
/// machine lacks, as for hot-plugging, and each would delay the boot: 255 of them take 8 s together.
#[must_use]
pub fn start_wait(silent: usize) -> Duration {
    let halvings = u32::try_from(silent).unwrap_or(u32::MAX);
    let wait = 1u32.checked_shl(halvings).map_or(SHORTEST_WAIT, |part| LONGEST_WAIT / part);
    wait.max(SHORTEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Use::{Park, Run};
    use proptest::prelude::*;

    /// Leaves and what they return.
    struct Leaves(&'static [(u32, [u32; 4])]);

    impl ProcessorAccess for Leaves {
        fn cpuid(&self, leaf: u32, _: u32) -> [u32; 4] {
            self.0.iter().find(|(number, _)| *number == leaf).map_or([0; 4], |(_, result)| *result)
        }

        fn rdmsr(&self, _: u32) -> u64 {
            0
        }

        fn wrmsr(&self, _: u32, _: u64) {}
    }

    #[test]
    fn the_newest_leaf_that_says_something_counts() {
        let skylake = Leaves(&[(0, [0x16, 0, 0, 0]), (0x0b, [1, 2, 0x100, 0])]);
        assert_eq!(thread_bits(&skylake), 1);
        let sapphire_rapids =
            Leaves(&[(0, [0x20, 0, 0, 0]), (0x1f, [1, 2, 0x100, 0]), (0x0b, [2, 4, 0x100, 0])]);
        assert_eq!(thread_bits(&sapphire_rapids), 1);
        let knights_landing = Leaves(&[(0, [0x0d, 0, 0, 0]), (0x0b, [2, 4, 0x100, 0])]);
        assert_eq!(thread_bits(&knights_landing), 2);
        // QEMU 10's `max` has leaf 1Fh and says nothing in it.
        let empty = Leaves(&[(0, [0x1f, 0, 0, 0]), (0x0b, [0, 1, 0x100, 0])]);
        assert_eq!(thread_bits(&empty), 0);
        let zen_1 = Leaves(&[
            (0, [0x0d, 0, 0, 0]),
            (0x8000_0000, [0x8000_001f, 0, 0, 0]),
            (0x8000_0001, [0, 0, 1 << 22, 0]),
            (0x8000_001e, [0, 0x100, 0, 0]),
        ]);
        assert_eq!(thread_bits(&zen_1), 1);
        let barcelona = Leaves(&[(0, [5, 0, 0, 0]), (0x8000_0000, [0x8000_001a, 0, 0, 0])]);
        assert_eq!(thread_bits(&barcelona), 0);
    }

    fn planned(ids: &[u32], me: u32, bits: u32, smt: bool) -> std::vec::Vec<(u32, Use)> {
        plan(ids.iter().copied(), me, bits, smt).into_iter().collect()
    }

    extern crate std;

    #[test]
    fn one_thread_of_a_core_runs_and_the_others_are_parked() {
        // Siblings side by side, as many tables have them, and all first threads in front, as others do.
        assert_eq!(planned(&[0, 1, 2, 3], 0, 1, false), [(2, Run), (1, Park), (3, Park)]);
        assert_eq!(planned(&[0, 2, 1, 3], 0, 1, false), [(2, Run), (1, Park), (3, Park)]);
        assert_eq!(planned(&[0, 1, 2, 3], 3, 1, false), [(0, Run), (1, Park), (2, Park)]);
        assert_eq!(planned(&[0, 1, 2, 3], 0, 0, false), [(1, Run), (2, Run), (3, Run)]);
    }

    #[test]
    fn with_smt_cores_come_before_their_second_threads() {
        assert_eq!(planned(&[0, 1, 2, 3], 0, 1, true), [(2, Run), (1, Run), (3, Run)]);
    }

    proptest! {
        #[test]
        fn each_processor_is_named_once_and_no_two_of_a_core_run(
            ids in proptest::collection::btree_set(0u32..64, 1..32), bits in 0u32..40, smt: bool
        ) {
            let ids: std::vec::Vec<u32> = ids.into_iter().collect();
            let found = planned(&ids, ids[0], bits, smt);
            prop_assert_eq!(found.len(), ids.len() - 1);
            let core = |id: u32| id.checked_shr(bits).unwrap_or(0);
            let mut running: std::vec::Vec<u32> =
                found.iter().filter(|(_, use_of)| *use_of == Run).map(|(id, _)| core(*id)).collect();
            running.push(core(ids[0]));
            running.sort_unstable();
            prop_assert!(smt || running.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn many_processors_that_are_not_there_delay_a_start_by_seconds() {
        assert_eq!(start_wait(0), Duration::from_secs(2));
        assert_eq!(start_wait(1), Duration::from_secs(1));
        let all: Duration = (0..MAX_PROCESSORS - 1).map(start_wait).sum();
        assert!(all < Duration::from_secs(8), "{all:?}");
        assert_eq!(start_wait(usize::MAX), SHORTEST_WAIT);
    }
}
