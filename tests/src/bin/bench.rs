//! `bench [GROUP]...`: measures Weir's costs in Bochs and prints a line `figure NAME VALUE UNIT` for each figure.
//! Without arguments it measures all groups of figures, and writes `NAME VALUE UNIT` to docs/figures.txt as well.
//! The same build gives the same figures: see docs/performance.md.
#![forbid(unsafe_code)]

use end_to_end::bench::{self, GROUPS};
use end_to_end::{Failure, Outcome, artifacts, namespace};
use std::process::ExitCode;

/// The file with all figures, in the root of the repository.
const FILE: &str = "docs/figures.txt";

fn main() -> ExitCode {
    let requested: Vec<String> = std::env::args().skip(1).collect();
    match run(&requested) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(requested: &[String]) -> Outcome {
    let names = GROUPS.map(|group| group.name);
    if let Some(unknown) = requested.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Failure::Wrong(format!("unknown group {unknown}: the groups are {}", names.join(", "))));
    }
    namespace::become_owner()?;
    let mut figures = Vec::new();
    for group in GROUPS {
        if requested.is_empty() || requested.iter().any(|name| name == group.name) {
            let measured = (group.measure)()?;
            measured.iter().for_each(|figure| println!("figure {figure}"));
            figures.extend(measured);
        }
    }
    if requested.is_empty() { bench::write(&figures, &artifacts::root().join(FILE)) } else { Ok(()) }
}
