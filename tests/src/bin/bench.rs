//! `bench [GROUP]...`: what Weir costs, counted in Bochs, as lines `figure NAME VALUE UNIT`; all groups of figures, or
//! those named. The same build gives the same figures: see docs/performance.md.
#![forbid(unsafe_code)]

use end_to_end::bench::GROUPS;
use end_to_end::{Failure, Outcome, namespace};
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Outcome {
    let names = GROUPS.map(|group| group.name);
    if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        return Err(Failure::Wrong(format!("there is no group {unknown}: there are {}", names.join(", "))));
    }
    namespace::become_owner()?;
    for group in GROUPS.iter().filter(|group| wanted.is_empty() || wanted.iter().any(|one| one == group.name))
    {
        (group.measure)()?.iter().for_each(|figure| println!("{figure}"));
    }
    Ok(())
}
