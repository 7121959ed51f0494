//! The part of AML that says how PCI interrupt pins are wired, and how the machine is switched off.
//!
//! AML is a program, and this evaluates the part of it that [`PciRoutes`] needs: names, packages, and methods made of
//! conditions, arithmetic and calls. It reads and writes no register: what depends on one cannot be told, and the
//! caller falls back on what the firmware recorded in PCI configuration space. All programs together are given a number of
//! steps, a depth and a number of names; what wants more, or is no AML, has no answer, and [`AmlLimit`] says why. Memory is
//! taken for the list of names and for that of routes, and for nothing that a program computes.
//!
//! The interpreters that exist as crates run AML to its end, however long that takes, and panic on some of what is not
//! valid: neither may happen here.

mod bounds;
mod evaluate;
mod namespace;
mod routing;
mod stream;
mod value;

pub use bounds::AmlLimit;
pub use routing::{PciBridge, PciRoutes};

use crate::power::SleepTypes;

const PACKAGE: u8 = 0x12;

/// Finds the sleep types of S5: the first elements of the package named `_S5_` [ACPI 6.5 7.4.2.6]. A search, because
/// the name stands at the root and is a constant.
#[must_use]
pub fn sleep_types(aml: &[u8]) -> Option<SleepTypes> {
    const NAME: &[u8] = b"_S5_";
    let is_named = |at: usize| matches!(aml.get(..at), Some([.., 0x08] | [.., 0x08, b'\\']));
    let places = aml.windows(NAME.len()).enumerate().filter(|(at, window)| *window == NAME && is_named(*at));
    places.filter_map(|(at, _)| aml.get(at + NAME.len()..)).find_map(sleep_package)
}

fn sleep_package(bytes: &[u8]) -> Option<SleepTypes> {
    let (&PACKAGE, rest) = bytes.split_first()? else { return None };
    let (inside, _) = stream::package(rest)?;
    let (first, rest) = stream::integer(inside.get(1..)?)?;
    let second = stream::integer(rest).map_or(first, |(second, _)| second);
    let low = |value: u64| value.to_le_bytes()[0];
    Some(SleepTypes { a: low(first), b: low(second) })
}

#[cfg(test)]
mod tests;
