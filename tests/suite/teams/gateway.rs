//! Two NICs on a switch each: which of them is cut off is told by the gateway's answers.

use super::{Answerer, PROMPT, TWO, nics_of};
use crate::linux::counter;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::lan::LanPlan;
use end_to_end::pinger::Pinger;
use end_to_end::wire::now;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, require};
use libtest_mimic::Trial;
use std::thread::sleep;
use std::time::Duration;

/// The switches of the two NICs, and the one with the gateway.
const FIRST: [&str; 2] = ["A", "B"];
const INTERVAL: Duration = Duration::from_millis(100);
const CORE: &str = "C";

/// The most pings, each of which waits for an interval, that are missed until the cut of the NIC that answers them is found: three beacons
/// are, one is awaited before them, and the gateway's answer after them.
const MISSED: usize = 6;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let name = "f14_of_two_nics_the_one_that_does_not_reach_the_gateway_is_named_whichever_way_is_cut";
    vec![trial_needing(backend, &[Need::Nics(2), Need::Nic(PROMPT[0]), Need::Nic(PROMPT[1])], name, gateway)]
}

fn gateway(test: &Test) -> Outcome {
    let guest = Answerer(0);
    let fields = [
        TWO,
        "policy = \"order\"",
        "detection = \"beacon\"",
        "beacon_interval = \"100 ms\"",
        "up_delay = 0",
        "gateway = \"10.0.5.1\"",
    ];
    let scenario =
        Scenario::new(vec![guest.vm()?]).on_lan(LanPlan::two_switches(), &PROMPT[..2]).team("lan", &fields);
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", "beacon lost", "cut off behind its switch", "do not hear each other"] {
        run.allow(text);
    }
    guest.await_ready(&mut run)?;
    guest.answers(3)?;
    for nic in [0, 1] {
        run.expect_in_any_order(&format!("nic{nic}: link up"))?;
    }
    sleep(3 * INTERVAL);
    // A NIC that can only receive goes on to receive these.
    let pinger = Pinger::every(INTERVAL / 10, guest.ip(), INTERVAL)?;
    for nic in [0, 1] {
        for (from, to) in [(None, None), (Some(FIRST[nic]), Some(CORE)), (Some(CORE), Some(FIRST[nic]))] {
            match from.zip(to) {
                None => run.lan()?.cut(FIRST[nic], CORE)?,
                Some((from, to)) => run.lan()?.cut_one_way(from, to)?,
            }
            let what = format!("{} -> {}", from.unwrap_or("both"), to.unwrap_or("ways"));
            named(&mut run, guest, nic, &what)?;
        }
    }
    let tally = pinger.stop()?;
    guest.stop(&mut run)?;
    run.finish()?;
    println!("  pings during all that: {} of {} missed", tally.missed.len(), tally.sent);
    // Those of the NIC that carries nothing cost nothing.
    require!((1..=3 * MISSED).contains(&tally.missed.len()), "{tally:?}");
    let answers = counter(&run, "team lan:", "answers");
    println!("{}: the gateway has answered {answers} times", test.backend);
    require!(answers > 6, "the gateway has answered {answers} times");
    Ok(())
}

/// That this NIC is cut off is found, and no other one is taken for it; after that all is as before.
fn named(run: &mut Run, guest: Answerer, nic: usize, what: &str) -> Outcome {
    let other = 1 - nic;
    let wrong = format!("team lan: nic{other} beacon lost");
    let (before, time) = (run.console.count(&wrong), now());
    run.expect(&format!("team lan: nic{nic} beacon lost"))?;
    println!("  nic{nic}, {what} cut: found after {:?}", now() - time);
    // Those of the NIC that carried nothing move nothing.
    if nic == 0 {
        run.expect("failover lan: nic0 -> nic1 cause=beacon")?;
    }
    let since = now();
    guest.answers(5)?;
    let by = nics_of(run, &guest.mac(), since);
    require!(by == [other], "nic{nic}, {what} cut: the guest answers by {by:?}");
    require!(run.console.count(&wrong) == before, "nic{nic}, {what} cut: nic{other} was named as well");
    run.lan()?.join(FIRST[nic], CORE)?;
    run.expect(&format!("team lan: nic{nic} beacon heard"))?;
    if nic == 0 {
        run.expect("failback lan: nic0 is used again")?;
    }
    let since = now();
    guest.answers(5)?;
    let by = nics_of(run, &guest.mac(), since);
    require!(by == [0], "nic{nic} is joined again: the guest answers by {by:?}");
    Ok(())
}
