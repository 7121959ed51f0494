//! A guest that pokes registers, rings and descriptors, by a list and at random, costs neither Weir nor the guests beside
//! it anything: one is pinged, and one watches the clock.
//!
//! Of long rows of registers, the test that is part of every run takes some; the one that is run by name takes all, and
//! pokes more often at random. The environment chooses: `SEED=` the seed of that one, `ONLY=` the action of
//! `guest-images/micro/src/bin/poke` to which both are limited.

use crate::fairness::{TWO_SLICES, bystander, pauses};
use crate::lifecycle::{open_shell, power_off};
use crate::trial;
use end_to_end::backend::Need;
use end_to_end::machine::Pace;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::env;
use std::net::Ipv4Addr;
use std::time::Duration;

const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
/// The guest that is pinged has few: if it is flooded, the bystander waits for it no longer than for an exit.
const ECHO_SHARES: u32 = 100;
/// The longest pause where the emulator's other work makes pauses, too, in microseconds.
const SECOND: u32 = 1_000_000;
const LONG: Duration = Duration::from_secs(1800);
/// Actions that end Weir or the guest where the emulator lacks something.
const WITHOUT: [(Need, &str); 2] = [
    (Need::StepOverExit, "single-steps-over-instructions-that-exit"),
    (Need::ReservedCr3, "reserved-bits-of-CR3"),
];

/// What the guest is asked for.
struct Poking {
    seed: u32,
    /// Rounds at random after the list, each of some 300 accesses.
    rounds: u32,
    /// Of long rows of registers, one in this many is taken.
    every: u32,
}

pub fn trials(backend: Backend) -> Vec<Trial> {
    let short = Poking { seed: 20_261_129, rounds: 4, every: 64 };
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let long = Poking { seed: seed.unwrap_or(1), rounds: 1000, every: 1 };
    vec![
        trial(backend, "a_guest_that_pokes_harms_nobody", move |test| beside(test, &short)),
        trial(backend, "a_guest_that_pokes_for_long_harms_nobody", move |test| beside(test, &long))
            .with_ignored_flag(seed.is_none()),
    ]
}

fn beside(test: &Test, poking: &Poking) -> Outcome {
    let Poking { seed, rounds, every } = poking;
    let mut asked = format!("seed={seed} rounds={rounds} every={every} start=key");
    if let Ok(only) = env::var("ONLY") {
        asked += &format!(" only={only}");
    }
    if let Some((_, action)) = WITHOUT.iter().find(|(need, _)| test.backend.lacks(*need).is_some()) {
        asked += &format!(" without={action}");
    }
    // The first guest has the keyboard.
    let vms = vec![
        VmSpec::micro("poke", "poke", &asked)?.nic("52:54:00:00:01:03").crashes_once(),
        VmSpec::micro("echo", "nic_echo", &format!("ip={ECHO}"))?
            .nic("52:54:00:00:01:02")
            .shares(ECHO_SHARES),
        bystander(test)?,
    ];
    let mut scenario = Scenario::new(vms);
    if test.backend.accelerator().is_none() {
        // A processor of 100 MHz, not of 50: a piece of network work takes up to 160,000 instructions, 3 ms otherwise.
        scenario.machine.pace = Pace::Counted;
    }
    let mut run = Run::start(test, &scenario)?;
    // What the guest does wrong is said.
    run.allow("WARN  vm: poke: ");
    run.expect_in_any_order("echo| READY")?;
    require!(answers(ECHO, STEP)?, "the guest beside it does not answer before");
    run.expect("bystander| longest pause")?;
    run.console.type_text("x")?;
    run.expect(&format!("poke| GO seed {seed}"))?;
    let pinger = Pinger::start(ECHO, STEP)?;
    let before = run.console.text().len();
    run.expect_within("poke| PASS poke", LONG)?;
    run.expect("bystander| longest pause")?;
    run.expect(" us in second")?;
    let tally = pinger.stop()?;
    let pauses = pauses(&run.console.text()[before..]);
    let longest = pauses.iter().max();
    let limit = if test.backend.lacks(Need::Undisturbed).is_some() { SECOND } else { TWO_SLICES };
    require!(
        longest.is_some_and(|pause| *pause <= limit),
        "seed {seed}: the bystander stood still: {pauses:?} us"
    );
    open_shell(&mut run)?;
    power_off(&mut run)?;
    // At the end, so that the log has all counters.
    require!(tally.missed.is_empty() && tally.sent > 0, "seed {seed}: pings were missed: {tally:?}");
    Ok(())
}
