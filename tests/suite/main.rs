//! The end-to-end tests. Each boots Weir in an emulator with a scenario of its own and reads the verdicts from the
//! serial log and from the wire, on every backend that works here, or on those that the environment variable
//! `ACCEL` lists. `cargo test -p end-to-end --test end_to_end [-- NAME]` runs the test with this name, or those
//! whose names contain it.
#![forbid(unsafe_code)]

mod cable;
mod disk;
mod fairness;
mod faults;
mod firmware;
mod guests;
mod hostile;
mod lan;
mod lifecycle;
mod linux;
mod machines;
mod misbehaviour;
mod network;
mod nics;
mod operator;
mod own_end;
mod shell;
mod teams;
mod unusable;

use end_to_end::backend::Need;
use end_to_end::{Backend, Failure, Outcome, Test, artifacts, choice, debug, namespace};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use std::fs;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The maximum number of emulators at a time, and how many more than cores: each keeps a core busy, except while
/// its guests sleep or wait for the wire.
const MAX_EMULATORS: usize = 3;
const MORE_THAN_CORES: usize = 1;
/// Lines of the serial log in the report of a failed test.
const TAIL: usize = 40;
/// The duration in seconds of each test and of each step of a Linux boot, for `target/e2e/seconds.txt`.
static SECONDS: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
/// The names of tests that a backend cannot run, with the reasons.
static NOT_RUN: Mutex<Vec<(String, &str)>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    match run(Arguments::from_args()) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> Outcome<Conclusion> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert((cores + MORE_THAN_CORES).min(MAX_EMULATORS));
    let choice = choice::for_suite()?;
    let mut trials = trials(&choice.backends);
    // By this name only, for which `make one` builds what it needs.
    if arguments.list || arguments.filter.as_ref().is_some_and(|filter| filter.contains(disk::NAME)) {
        trials.extend(choice.backends.iter().copied().flat_map(disk::trials));
    }
    if arguments.list || arguments.filter.is_some() {
        trials.extend(choice.backends.iter().copied().flat_map(teams::by_name));
    }
    if !arguments.exact
        && let Some(name) = arguments.filter.take()
    {
        trials = named(trials, &name)?;
    }
    if !arguments.list {
        namespace::become_owner()?;
        choice.reasons.iter().for_each(|reason| eprintln!("{reason}"));
        report_not_run(&trials);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    report_seconds();
    Ok(conclusion)
}

/// The trials with this name on any backend or, if there are none, those whose names contain it.
fn named(trials: Vec<Trial>, name: &str) -> Outcome<Vec<Trial>> {
    let ending = format!("::{name}");
    let (exact, others): (Vec<_>, Vec<_>) =
        trials.into_iter().partition(|trial| trial.name() == name || trial.name().ends_with(&ending));
    let found: Vec<Trial> = if exact.is_empty() {
        others.into_iter().filter(|trial| trial.name().contains(name)).collect()
    } else {
        exact
    };
    if found.is_empty() {
        return Err(Failure::Wrong(format!("no test's name contains \"{name}\": --list prints all names")));
    }
    if debug::is_on() && found.len() > 1 {
        let names: String = found.iter().map(|trial| format!("\n    {}", trial.name())).collect();
        return Err(Failure::Wrong(format!("only one test at a time can be debugged: choose one of{names}")));
    }
    Ok(found)
}

/// Prints why those of these tests that are ignored cannot be run.
fn report_not_run(trials: &[Trial]) {
    let all = NOT_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, reason) in all.iter().filter(|(name, _)| trials.iter().any(|trial| trial.name() == name)) {
        eprintln!("{name}: not run: {reason}");
    }
}

/// Writes the duration of each test to a file, slowest first, without those that took no time.
fn report_seconds() {
    let mut seconds = SECONDS.lock().unwrap_or_else(PoisonError::into_inner);
    seconds.sort_by(|a, b| b.cmp(a));
    seconds.retain(|(seconds, _)| *seconds > 0);
    let lines: String = seconds.iter().map(|(seconds, name)| format!("{seconds:5} {name}\n")).collect();
    // If the folder does not exist, no test has run that keeps files.
    let _ = fs::write(artifacts::target().join("e2e/seconds.txt"), lines);
}

/// The boots that many tests share come first, because they take longest, and the tests that share them come last,
/// when these boots have finished: a test that waits for the boot of another test would leave a core idle.
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
        trials.extend(fairness::trials(backend));
        trials.extend(hostile::trials(backend));
        trials.extend(lifecycle::trials(backend));
        trials.extend(network::trials(backend));
        trials.extend(shell::trials(backend));
        trials.extend(unusable::trials(backend));
        trials.extend(nics::trials(backend));
        trials.extend(cable::trials(backend));
        trials.extend(lan::trials(backend));
        trials.extend(operator::trials(backend));
        trials.extend(teams::trials(backend));
        trials.extend(faults::trials(backend));
        trials.extend(own_end::trials(backend));
        trials.extend(firmware::trials(backend));
        trials.extend(machines::trials(backend));
    }
    trials.extend(last);
    trials
}

/// A test whose name begins with the backend's.
fn trial(
    backend: Backend,
    name: impl Into<String>,
    act: impl FnOnce(&Test) -> Outcome + Send + 'static,
) -> Trial {
    let test = Test { name: name.into(), backend };
    Trial::test(format!("{backend}::{}", test.name), move || {
        let outcome = timed(format!("{backend}::{}", test.name), || act(&test));
        outcome.map_err(|failure| {
            // Of a long log, people and tools see the end.
            let failure = format!("{}\n{failure}", test.tail(TAIL));
            // Hours may pass until the summary, if there is one.
            if choice::is_emulated() {
                eprintln!("{failure}");
            }
            Failed::from(failure)
        })
    })
}

/// Calls a function and records how long it took.
fn timed<T>(name: String, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = act();
    SECONDS.lock().unwrap_or_else(PoisonError::into_inner).push((start.elapsed().as_secs(), name));
    result
}

/// The same for a test that not every backend can run. On a backend that cannot, the test is ignored, and the
/// output gives the reason.
fn trial_needing(
    backend: Backend,
    needs: &[Need],
    name: impl Into<String>,
    act: impl FnOnce(&Test) -> Outcome + Send + 'static,
) -> Trial {
    let Some(reason) = needs.iter().find_map(|need| backend.lacks(*need)) else {
        return trial(backend, name, act);
    };
    let name = format!("{backend}::{}", name.into());
    NOT_RUN.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), reason));
    Trial::test(name, move || Err(reason.into())).with_ignored_flag(true)
}
