//! A short run of every target: its seeds, variations of them, then inputs that are the same each time.
//!
//! `FUZZ_SEED` and `FUZZ_INPUTS` in the environment choose other inputs and how many.
#![allow(clippy::cast_possible_truncation, reason = "random bytes are cut out of 64 bits")]

use fuzz::{TARGETS, Target};
use std::path::PathBuf;
use std::time::Instant;

const SEED: u64 = 0x5eed_0001;
const INPUTS: usize = 6000;
/// Variations of each seed.
const VARIATIONS: usize = 24;
/// Bytes of all seeds together: they are part of the source.
const MAX_SEED_BYTES: usize = 200 << 10;

/// SplitMix64: any seed gives a sequence without short cycles.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Bytes of one kind: any, mostly small, or mostly zeros and ones.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(768);
        let kind = self.below(3);
        (0..length)
            .map(|_| match (kind, self.below(4)) {
                (0, _) | (_, 0) => self.next() as u8,
                (1, _) => self.next() as u8 % 8,
                (_, 1) => 0xff,
                _ => 0,
            })
            .collect()
    }

    /// A part of `bytes` changed, repeated, or cut.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..(at + 16).min(bytes.len())),
            }
        }
    }
}

/// Shows the input when the target panics on it.
struct Witness<'a> {
    name: &'static str,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {} fails on {:02x?}", self.name, self.input);
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed_folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "seeds"].iter().collect()
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = seed_folder().join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("the seed can be read")).collect()
}

fn run(target: &Target, input: &[u8]) {
    let witness = Witness { name: target.name, input };
    (target.run)(witness.input);
}

#[test]
fn every_target_survives_its_inputs() {
    let seed = variable("FUZZ_SEED").unwrap_or(SEED);
    let inputs = variable("FUZZ_INPUTS").map_or(INPUTS, |inputs| inputs as usize);
    for target in TARGETS {
        let start = Instant::now();
        let seeds = seeds(target);
        let mut random = Random(seed);
        for seed in &seeds {
            run(target, seed);
            for _ in 0..VARIATIONS {
                let mut input = seed.clone();
                random.mutate(&mut input);
                run(target, &input);
            }
        }
        let mut random = Random(seed);
        let mut input = Vec::new();
        for _ in 0..inputs {
            if random.below(2) == 0 {
                input = random.bytes();
            } else {
                random.mutate(&mut input);
            }
            run(target, &input);
        }
        let (name, count, elapsed) = (target.name, seeds.len(), start.elapsed());
        println!("{name}: {count} seeds, {inputs} inputs from {seed:#x} in {elapsed:.1?}");
    }
}

#[test]
fn every_target_has_seeds_and_every_seed_a_target() {
    assert!(TARGETS.iter().all(|target| !seeds(target).is_empty()));
    for folder in std::fs::read_dir(seed_folder()).expect("the folder can be read") {
        let name = folder.expect("the folder can be read").file_name();
        assert!(name.to_str().and_then(fuzz::find).is_some(), "no target is called {}", name.display());
    }
    let bytes: usize = TARGETS.iter().flat_map(seeds).map(|seed| seed.len()).sum();
    assert!(bytes <= MAX_SEED_BYTES, "{bytes} bytes of seeds");
}

#[test]
fn targets_are_found_by_their_names() {
    for target in TARGETS {
        assert!(fuzz::find(target.name).is_some_and(|found| std::ptr::fn_addr_eq(found.run, target.run)));
    }
    assert!(fuzz::find("nothing").is_none());
}
