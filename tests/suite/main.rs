//! The end-to-end tests. Each boots Weir in Bochs with a scenario of its own and reads the verdicts from the serial
//! log and from the wire. `cargo test -p end-to-end --test end_to_end [-- FILTER]`.
#![forbid(unsafe_code)]

mod guests;
mod linux;
mod misbehaviour;
mod network;
mod own_end;

use end_to_end::{Outcome, namespace, run};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// Most emulators at a time: each keeps a core busy.
const MOST_AT_A_TIME: usize = 2;
/// Lines of the serial log in the report of a failure.
const TAIL: usize = 40;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(cores.min(MOST_AT_A_TIME));
    if !arguments.list
        && let Err(failure) = namespace::become_owner()
    {
        eprintln!("{failure}");
        return ExitCode::FAILURE;
    }
    let trials =
        [guests::trials(), misbehaviour::trials(), network::trials(), own_end::trials(), linux::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A test under the name of the emulator and its virtualization extension, which is given its own name.
fn trial(name: &'static str, test: impl FnOnce(&str) -> Outcome + Send + 'static) -> Trial {
    Trial::test(format!("bochs-vtx::{name}"), move || {
        test(name).map_err(|failure| Failed::from(format!("{failure}\n{}", run::tail(name, TAIL))))
    })
}
