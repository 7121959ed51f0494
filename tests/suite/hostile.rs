//! A guest that pokes registers, rings and descriptors, by a list and at random, costs neither Weir nor the guests beside
//! it anything: one is pinged, and one watches the clock.
//!
//! The environment chooses for the tests that are run by name: `SEED=` the seed of the long one, `ONLY=` the action of
//! `guest-images/micro/src/bin/poke` to which all are limited.

use crate::fairness::{TWO_SLICES, pauses};
use crate::lifecycle::{open_shell, power_off};
use crate::trial;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::env;
use std::net::Ipv4Addr;
use std::time::Duration;

const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const SEEDS: [u32; 2] = [1, 20_261_129];
/// Rounds after the list.
const ROUNDS: u32 = 100;
/// The same in the test that is run by name.
const MANY_ROUNDS: u32 = 5000;
const LONG: Duration = Duration::from_secs(1800);

pub fn trials(backend: Backend) -> Vec<Trial> {
    let mut trials: Vec<Trial> = SEEDS
        .into_iter()
        .map(|seed| {
            let name = format!("a_guest_that_pokes_with_seed_{seed}_harms_nobody");
            trial(backend, name, move |test| beside(test, seed, ROUNDS))
        })
        .collect();
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let long = trial(backend, "a_guest_that_pokes_for_long_harms_nobody", move |test| {
        beside(test, seed.unwrap_or(1), MANY_ROUNDS)
    });
    trials.push(long.with_ignored_flag(seed.is_none()));
    trials
}

fn beside(test: &Test, seed: u32, rounds: u32) -> Outcome {
    // In Bochs, the wire cannot interrupt where only guests with interrupts off run.
    let interrupts = if test.backend.accelerator().is_none() { "on" } else { "off" };
    let only = env::var("ONLY").map(|only| format!(" only={only}")).unwrap_or_default();
    let every = env::var("EVERY").map(|only| format!(" every={only}")).unwrap_or_default();
    let without = if test.backend == Backend::BochsSvm {
        " without=single-steps-over-instructions-that-exit"
    } else {
        ""
    };
    // The first guest has the keyboard.
    let vms = vec![
        VmSpec::micro(
            "poke",
            "poke",
            &format!("seed={seed} rounds={rounds} start=key{only}{every}{without}"),
        )?
        .nic("52:54:00:00:01:03")
        .crashes_once(),
        VmSpec::micro("echo", "nic_echo", &format!("ip={ECHO}"))?.nic("52:54:00:00:01:02").shares(100),
        VmSpec::micro("bystander", "watch", &format!("for=ever interrupts={interrupts}"))?,
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
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
    require!(tally.missed.is_empty() && tally.sent > 0, "seed {seed}: pings were missed: {tally:?}");
    let pauses = pauses(&run.console.text()[before..]);
    let longest = pauses.iter().max();
    require!(
        longest.is_some_and(|pause| *pause <= TWO_SLICES),
        "seed {seed}: the bystander stood still: {pauses:?} us"
    );
    open_shell(&mut run)?;
    power_off(&mut run)
}
