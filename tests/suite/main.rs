//! The end-to-end tests. Each boots Weir in an emulator with a scenario of its own and reads the verdicts from the
//! serial log and from the wire, on every backend that works here, or on those that the environment variable `ACCEL`
//! lists. `cargo test -p end-to-end --test end_to_end [-- FILTER]`.
#![forbid(unsafe_code)]

mod cable;
mod cards;
mod firmware;
mod guests;
mod lifecycle;
mod linux;
mod misbehaviour;
mod network;
mod own_end;
mod shell;

use end_to_end::backend::Need;
use end_to_end::{Backend, Outcome, Test, artifacts, choice, namespace};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Most emulators at a time, and how many more than there are cores: each keeps a core busy, but for the time in which
/// its guests sleep or wait for the wire.
const MOST_AT_A_TIME: usize = 3;
const MORE_THAN_CORES: usize = 1;
/// Lines of the serial log in the report of a failure.
const TAIL: usize = 40;
/// How many seconds each test took, and each step of Linux, for `target/e2e/seconds.txt`.
static SECONDS: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert((cores + MORE_THAN_CORES).min(MOST_AT_A_TIME));
    let ready = choice::for_suite()
        .and_then(|choice| if arguments.list { Ok(()) } else { namespace::become_owner() }.map(|()| choice));
    let choice = match ready {
        Ok(choice) => choice,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    for reason in &choice.reasons {
        eprintln!("{reason}");
    }
    let conclusion = libtest_mimic::run(&arguments, trials(&choice.backends));
    report_seconds();
    conclusion.exit_code()
}

/// Leaves the time of each test in a file, the slowest first, but for those that took none.
fn report_seconds() {
    let mut seconds = SECONDS.lock().unwrap_or_else(PoisonError::into_inner);
    seconds.sort_by(|a, b| b.cmp(a));
    seconds.retain(|(seconds, _)| *seconds > 0);
    let lines: String = seconds.iter().map(|(seconds, name)| format!("{seconds:5} {name}\n")).collect();
    // Without the folder no test ran that keeps anything.
    let _ = fs::write(artifacts::target().join("e2e/seconds.txt"), lines);
}

/// Boots that many tests share come first, for they take longest; the tests that share them come last, when those are
/// through: a test that waits for another's boot would keep a core idle.
fn trials(backends: &[Backend]) -> Vec<Trial> {
    let (mut trials, mut last) = (Vec::new(), Vec::new());
    for &backend in backends {
        let (boots, steps) = linux::trials(backend);
        trials.extend(boots);
        last.extend(steps);
    }
    for &backend in backends {
        trials.extend(guests::trials(backend));
        trials.extend(misbehaviour::trials(backend));
        trials.extend(lifecycle::trials(backend));
        trials.extend(network::trials(backend));
        trials.extend(shell::trials(backend));
        trials.extend(cards::trials(backend));
        trials.extend(cable::trials(backend));
        trials.extend(own_end::trials(backend));
        trials.extend(firmware::trials(backend));
    }
    trials.extend(last);
    trials
}

/// A test under the name of the backend, which is given its place.
fn trial(
    backend: Backend,
    name: impl Into<String>,
    test: impl FnOnce(&Test) -> Outcome + Send + 'static,
) -> Trial {
    let place = Test { name: name.into(), backend };
    Trial::test(format!("{backend}::{}", place.name), move || {
        let outcome = timed(format!("{backend}::{}", place.name), || test(&place));
        outcome.map_err(|failure| Failed::from(format!("{failure}{}", place.tail(TAIL))))
    })
}

/// Does something and notes how long it took.
fn timed<T>(name: String, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = act();
    SECONDS.lock().unwrap_or_else(PoisonError::into_inner).push((start.elapsed().as_secs(), name));
    result
}

/// The same for a test that not every backend can run. Where one cannot, the output says why, and the list of tests
/// has it as ignored.
fn trial_needing(
    backend: Backend,
    needs: &[Need],
    name: impl Into<String>,
    test: impl FnOnce(&Test) -> Outcome + Send + 'static,
) -> Trial {
    let Some(reason) = needs.iter().find_map(|need| backend.lacks(*need)) else {
        return trial(backend, name, test);
    };
    let name = format!("{backend}::{}", name.into());
    eprintln!("{name}: not run: {reason}");
    Trial::test(name, move || Err(reason.into())).with_ignored_flag(true)
}
