//! Failback when the link is back, and a link that comes and goes.

use super::{E1000, MIXED, TWO};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::lan::LanPlan;
use end_to_end::line::LogLine;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;

const FLAPS: usize = 20;
/// The most moves of the vNIC during that.
const MOST_MOVES: usize = 6;
/// `up_delay`, in seconds, and how late failback may be.
const UP_DELAY: f64 = 0.3;
const SLACK: f64 = 0.2;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Cable, Need::Nics(2), Need::Nic(MIXED[1])];
    let name = "f17_a_cable_that_is_pulled_20_times_moves_a_guest_six_times_at_most";
    vec![trial_needing(backend, &needs, name, flaps)]
}

/// The time of a line of Weir's log.
fn time_of(line: &str) -> Outcome<f64> {
    match LogLine::parse(line) {
        LogLine::Weir { seconds, .. } => Ok(seconds),
        _ => Err(Failure::Wrong(format!("no time in: {line}"))),
    }
}

/// Pulls the cable of `nic0`, or puts it back, and waits until Weir has noticed. Returns when.
fn plug(run: &mut Run, in_place: bool) -> Outcome<f64> {
    run.plug(0, in_place)?;
    time_of(&run.expect(&format!("nic0: link {}", if in_place { "up" } else { "down" }))?)
}

fn flaps(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_link", "")?.nic_in("lan", "52:54:00:00:01:02");
    let scenario = Scenario::new(vec![vm])
        .on_lan(LanPlan::one_switch(2), &[E1000, MIXED[1]])
        .team("lan", &[TWO, "policy = \"order\"", "up_delay = \"300 ms\""]);
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", ": no link", "works again, and is held down"] {
        run.allow(text);
    }
    run.expect("vm0| READY")?;
    run.expect_in_any_order("nic1: link up")?;
    let noticed = run.console.count("vm0| LINK");

    plug(&mut run, false)?;
    run.expect("failover lan: nic0 -> nic1")?;
    let up = plug(&mut run, true)?;
    let back = time_of(&run.expect("failback lan: nic0")?)?;
    println!("{}: failback {:.3} s after the link was back", test.backend, back - up);
    require!((UP_DELAY..UP_DELAY + SLACK).contains(&(back - up)), "failback after {} s", back - up);

    let moves = |run: &Run| run.console.count("team lan: vm0/0 nic");
    let before = moves(&run);
    for _ in 0..FLAPS {
        plug(&mut run, false)?;
        plug(&mut run, true)?;
    }
    let moved = moves(&run) - before;
    println!("{}: {FLAPS} flaps moved the guest {moved} times", test.backend);
    require!((1..=MOST_MOVES).contains(&moved), "{FLAPS} flaps moved the guest {moved} times");
    require!(run.console.count("vm0| LINK") == noticed, "the guest has noticed a change of the link");
    without_any_link(&mut run, noticed)?;
    run.console.type_text("q")?;
    run.expect("vm0| PASS nic_link")?;
    run.finish()
}

/// The guest has a link while any member has one. Delays are skipped when nothing else has.
fn without_any_link(run: &mut Run, noticed: usize) -> Outcome {
    plug(run, false)?;
    run.console.type_text("m")?;
    run.expect("vm0| MARK")?;
    require!(run.console.count("vm0| LINK") == noticed, "the guest has no link, and nic1 has one");
    run.plug(1, false)?;
    run.expect("failover lan: nic1 -> none")?;
    run.expect("vm0| LINK down")?;
    let up = plug(run, true)?;
    run.expect("vm0| LINK up")?;
    let text = run.console.text();
    let late =
        text.lines().rev().find(|line| line.contains("team lan: vm0/0") || line.contains("nic0: link up"));
    let late = time_of(late.unwrap_or_default())? - up;
    require!(late < SLACK, "nothing else has a link, and nic0 is used after {late} s");
    Ok(())
}
