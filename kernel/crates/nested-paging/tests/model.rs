//! Random sequences of calls, compared with a plain list of mapped ranges.

mod common;

use base::{GuestPhysical, HostPhysical};
use common::FakeMemory;
use nested_paging::{Attributes, Ept, Format, MemoryType, NestedPages, Npt, PageSize, Permissions};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: u64 = 4096;
/// Enough tables for most sequences, too few for some.
const TABLES: usize = 24;
const ADDRESS_BITS: u32 = 40;

#[derive(Clone, Copy, Debug)]
enum Call {
    Map { guest: u64, host: u64, bytes: u64, attributes: Attributes, largest: PageSize },
    Unmap { guest: u64, bytes: u64 },
    Protect { guest: u64, bytes: u64, attributes: Attributes },
}

/// Mapped ranges by start address: end, host address, attributes.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<u64, (u64, u64, Attributes)>);

impl Model {
    fn translate(&self, guest: u64) -> Option<(u64, Attributes)> {
        let (start, (end, host, attributes)) = self.0.range(..=guest).next_back()?;
        (guest < *end).then(|| (host + (guest - start), *attributes))
    }

    fn is_free(&self, start: u64, end: u64) -> bool {
        self.0.iter().all(|(from, (to, ..))| *to <= start || end <= *from)
    }

    fn is_full(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.0.range(..=at).next_back() {
                Some((_, (to, ..))) if at < *to => at = *to,
                _ => return false,
            }
        }
        true
    }

    /// Removes a range and returns the mappings that were in it.
    fn cut(&mut self, start: u64, end: u64) -> Vec<(u64, u64, u64, Attributes)> {
        let all: Vec<_> = self.0.iter().map(|(from, (to, host, kind))| (*from, *to, *host, *kind)).collect();
        let mut inside = Vec::new();
        for (from, to, host, attributes) in all {
            let (low, high) = (from.max(start), to.min(end));
            if low >= high {
                continue;
            }
            self.0.remove(&from);
            if from < low {
                self.0.insert(from, (low, host, attributes));
            }
            if high < to {
                self.0.insert(high, (to, host + (high - from), attributes));
            }
            inside.push((low, high, host + (low - from), attributes));
        }
        inside
    }

    /// The ranges after a call, or `None` when the call must fail.
    fn after(&self, call: Call) -> Option<Self> {
        let mut next = self.clone();
        match call {
            Call::Map { guest, host, bytes, attributes, .. } => {
                if !self.is_free(guest, guest + bytes) {
                    return None;
                }
                next.0.insert(guest, (guest + bytes, host, attributes));
            }
            Call::Unmap { guest, bytes } => {
                if !self.is_full(guest, guest + bytes) {
                    return None;
                }
                next.cut(guest, guest + bytes);
            }
            Call::Protect { guest, bytes, attributes } => {
                if !self.is_full(guest, guest + bytes) {
                    return None;
                }
                for (from, to, host, _) in next.cut(guest, guest + bytes) {
                    next.0.insert(from, (to, host, attributes));
                }
            }
        }
        Some(next)
    }
}

/// Page-aligned values below 8 GiB whose low bits are often zero, so that large pages occur.
fn aligned() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0_u64..8).prop_map(|n| n << 30),
        (0_u64..8, 0_u64..4).prop_map(|(a, b)| a << 30 | b << 21),
        (0_u64..3, 508_u64..512, 508_u64..512).prop_map(|(a, b, c)| a << 30 | b << 21 | c << 12),
        (0_u64..2, 0_u64..4, 0_u64..4).prop_map(|(a, b, c)| a << 30 | b << 21 | c << 12),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    // Those that both formats can express.
    (0_u8..4, prop_oneof![Just(MemoryType::WriteBack), Just(MemoryType::Uncacheable)]).prop_map(
        |(bits, memory_type)| Attributes {
            permissions: Permissions::from_bits_truncate(bits << 1) | Permissions::READ,
            memory_type,
            ignore_guest_pat: false,
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let size =
        prop_oneof![Just(PageSize::Size4KiB), Just(PageSize::Size2MiB), Just(PageSize::Size1GiB)].boxed();
    let bytes = aligned().prop_map(|bytes| bytes.max(PAGE)).boxed();
    prop_oneof![
        (aligned(), aligned(), bytes.clone(), attributes(), size).prop_map(
            |(guest, host, bytes, attributes, largest)| {
                // Small pages over a large range would need too many tables: keep the range small.
                let bytes = if largest == PageSize::Size4KiB { bytes % (4 << 21) } else { bytes };
                Call::Map { guest, host, bytes: bytes.max(PAGE), attributes, largest }
            }
        ),
        (aligned(), bytes.clone()).prop_map(|(guest, bytes)| Call::Unmap { guest, bytes }),
        (aligned(), bytes, attributes()).prop_map(|(guest, bytes, attributes)| Call::Protect {
            guest,
            bytes,
            attributes
        }),
    ]
}

fn apply<F: Format>(pages: &mut NestedPages<F>, memory: &mut FakeMemory, call: Call) -> bool {
    match call {
        Call::Map { guest, host, bytes, attributes, largest } => {
            pages.map(memory, GuestPhysical(guest), HostPhysical(host), bytes, attributes, largest).is_ok()
        }
        Call::Unmap { guest, bytes } => pages.unmap(memory, GuestPhysical(guest), bytes).is_ok(),
        Call::Protect { guest, bytes, attributes } => {
            pages.protect(memory, GuestPhysical(guest), bytes, attributes).is_ok()
        }
    }
}

/// The translation of an address without the page size, which splitting may change.
fn seen<F: Format>(pages: &NestedPages<F>, memory: &FakeMemory, at: u64) -> Option<(u64, Attributes)> {
    pages.translate(memory, GuestPhysical(at)).map(|mapping| (mapping.host.0, mapping.attributes))
}

/// Addresses on both sides of every edge of both models.
fn probes(before: &Model, after: &Model) -> BTreeSet<u64> {
    let mut probes = BTreeSet::new();
    for model in [before, after] {
        for (from, (to, ..)) in &model.0 {
            probes.extend([from.wrapping_sub(1), *from, (from + to) / 2, to - 1, *to]);
        }
    }
    probes
}

fn check<F: Format>(calls: Vec<Call>) -> Result<(), TestCaseError> {
    let mut memory = FakeMemory::with_limit(TABLES);
    let mut pages = NestedPages::<F>::new(&mut memory, ADDRESS_BITS).expect("one table");
    let mut model = Model::default();
    for call in calls {
        let mut replay = memory.clone();
        memory.log.clear();
        let succeeded = apply(&mut pages, &mut memory, call);
        let next = model.after(call);
        let full = memory.tables.len() == TABLES;
        prop_assert!(succeeded == next.is_some() || full, "{call:?} gave {succeeded}");
        prop_assert!(!succeeded || next.is_some(), "{call:?} succeeded");

        // After each write, every address translates as before the call or as after it.
        let after = next.clone().unwrap_or_else(|| model.clone());
        let probes = probes(&model, &after);
        for at in memory.tables.keys() {
            replay.tables.entry(*at).or_insert_with(|| vec![0; 512]);
        }
        // Splitting a large page makes many writes: each is checked at one fifth of the probes.
        for (table, index, entry) in memory.log.clone() {
            replay.tables.get_mut(&table.0).expect("an allocated table")[index] = entry;
            for at in probes.iter().skip(index % 5).step_by(5) {
                let now = seen(&pages, &replay, *at);
                let allowed = [model.translate(*at), after.translate(*at)];
                prop_assert!(allowed.contains(&now), "{at:#x}: {now:?} is not in {allowed:?}");
            }
        }

        if succeeded {
            model = after;
        }
        for at in probes {
            prop_assert_eq!(seen(&pages, &memory, at), model.translate(at), "at {:#x} after {:?}", at, call);
        }
    }
    Ok(())
}

/// Checks that no reserved bit is set in any reachable table. `reserved` returns the reserved bits of an entry.
fn check_reserved(memory: &FakeMemory, root: HostPhysical, reserved: fn(u32, u64) -> u64) {
    let mut waiting = vec![(root.0, 4)];
    while let Some((table, level)) = waiting.pop() {
        for entry in memory.tables[&table].iter().copied().filter(|entry| *entry != 0) {
            assert_eq!(entry & reserved(level, entry), 0, "level {level}: {entry:#x}");
            if level > 1 && entry & 1 << 7 == 0 {
                waiting.push((entry & 0x000f_ffff_ffff_f000, level - 1));
            }
        }
    }
}

/// Reserved bits of an EPT entry with 40-bit physical addresses [SDM3C 29.3.3.1].
fn ept_reserved(level: u32, entry: u64) -> u64 {
    let beyond_width = 0x000f_ff00_0000_0000;
    let large = entry & 1 << 7 != 0;
    beyond_width
        | match level {
            4 => 0xf8,
            3 if large => 0x3fff_f000,
            2 if large => 0x001f_f000,
            1 => 0,
            _ => 0x78,
        }
}

/// Reserved bits of a long-mode entry with 40-bit physical addresses [APM2 5.3].
fn npt_reserved(level: u32, entry: u64) -> u64 {
    let beyond_width = 0x000f_ff00_0000_0000;
    let large = entry & 1 << 7 != 0;
    beyond_width
        | match level {
            4 => 0x80,
            3 if large => 0x3fff_e000,
            2 if large => 0x001f_e000,
            _ => 0,
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn extended_page_tables_agree_with_a_list_of_ranges(calls in prop::collection::vec(call(), 1..12)) {
        check::<Ept>(calls)?;
    }

    #[test]
    fn nested_page_tables_agree_with_a_list_of_ranges(calls in prop::collection::vec(call(), 1..12)) {
        check::<Npt>(calls)?;
    }

    #[test]
    fn reserved_bits_stay_clear(calls in prop::collection::vec(call(), 1..12)) {
        let mut memory = FakeMemory::with_limit(2 * TABLES);
        let mut ept = NestedPages::<Ept>::new(&mut memory, ADDRESS_BITS).expect("one table");
        let mut npt = NestedPages::<Npt>::new(&mut memory, ADDRESS_BITS).expect("one table");
        for call in calls {
            apply(&mut ept, &mut memory, call);
            apply(&mut npt, &mut memory, call);
        }
        check_reserved(&memory, ept.root(), ept_reserved);
        check_reserved(&memory, npt.root(), npt_reserved);
    }
}
