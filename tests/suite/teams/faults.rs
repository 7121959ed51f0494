//! NICs of a team of two that fail otherwise than by their link, under load: traffic goes on, and a NIC that works again is used
//! again.

use super::{Answerer, E1000, MIXED, TWO, nics_of};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::faults::NicFault;
use end_to_end::fields::LineFields;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::traffic::{self, PORT};
use end_to_end::wire::{Capture, now, send_oversize};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::net::UdpSocket;
use std::thread::{self, sleep};
use std::time::Duration;

const SOURCE_MAC: &str = "52:54:00:00:01:02";
const ECHO: Answerer = Answerer(0);
/// Seconds in which the NIC receives errors, at the most, and how many at a time.
const BAD_SECONDS: u32 = 8;
const ERRORS: u32 = 40;

/// What happens to `nic0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    /// It has this fault for a while.
    Fault(NicFault),
    /// It receives damaged frames.
    Errors,
    /// It is taken from the machine.
    Removal,
}

/// Only by name: QEMU's monitor, asked to take a NIC out of a machine under load, has not answered once in six runs.
pub fn removal(backend: Backend) -> Vec<Trial> {
    let name = "f11_an_e1000_that_is_removed_is_left_under_load";
    let removed = |test: &Test| misfortune(test, [E1000, MIXED[1]], Misfortune::Removal, "reset");
    vec![trial_needing(backend, &NEEDS, name, removed)]
}

const NEEDS: [Need; 4] = [Need::NicFaults, Need::Nics(2), Need::Nic(MIXED[1]), Need::Nic(MIXED[2])];

pub fn trials(backend: Backend) -> Vec<Trial> {
    let (no_dma, ones) = (Misfortune::Fault(NicFault::NoDma), Misfortune::Fault(NicFault::AllOnes));
    let cases = [
        (
            "f15_an_e1000_that_hangs_is_left_under_load_and_used_again_later",
            [E1000, MIXED[1]],
            no_dma,
            "stall",
        ),
        ("f15_an_igb_that_hangs_is_left_under_load_and_used_again_later", [MIXED[2], E1000], no_dma, "stall"),
        (
            "f11_an_e1000e_that_reads_as_ones_is_left_under_load_and_used_again_later",
            [MIXED[1], E1000],
            ones,
            "reset",
        ),
        (
            "f15_an_e1000_that_receives_damaged_frames_is_drained_under_load",
            [E1000, MIXED[2]],
            Misfortune::Errors,
            "errors",
        ),
    ];
    let mut trials: Vec<Trial> = cases
        .into_iter()
        .map(|(name, models, what, cause)| {
            trial_needing(backend, &NEEDS, name, move |test| misfortune(test, models, what, cause))
        })
        .collect();
    let name = "f11_with_no_loss_all_that_a_dead_nic_may_not_have_sent_is_sent_again";
    trials.push(trial_needing(backend, &NEEDS, name, no_loss));
    let name = "f39_a_team_runs_without_a_member_that_is_absent_at_boot";
    trials.push(trial_needing(backend, &[Need::Nic(EmulatedNicModel::Virtio)], name, absent));
    trials
}

fn misfortune(test: &Test, models: [EmulatedNicModel; 2], what: Misfortune, cause: &str) -> Outcome {
    // Slowly beside one that hangs, so that the source goes on meanwhile: nothing may overtake what that one holds.
    let (count, gap) = match what {
        Misfortune::Fault(NicFault::NoDma) => (500, 1),
        _ => (choice::datagrams(20_000), 0),
    };
    let source = format!("ip=10.0.5.2 peer={} count={count} window=64 gap={gap}", super::PEER);
    let vms = vec![VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC), ECHO.vm()?];
    let mut scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &models)
        .team("lan", &[TWO, "policy = \"order\"", "up_delay = \"200 ms\""]);
    scenario.machine.faulty_nics = true;
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", "WARN  net: team lan: nic0: ", "WARN  net: nic0: ", "ERROR net: nic0: "] {
        run.allow(text);
    }
    let socket = UdpSocket::bind((super::PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::receive_run(&socket));
    ECHO.await_ready(&mut run)?;
    run.expect(&format!("source| sent {} of", count / 10))?;
    let failover = strike(&mut run, what)?;
    println!("{} {} -> {}, {what:?}: {}", test.backend, models[0], models[1], failover.line());
    require!(failover.text("cause")? == cause, "{}", failover.line());
    let since = now();
    ECHO.answers(3)?;
    require!(nics_of(&run, &ECHO.mac(), since) == [1], "the guest does not answer by nic1 only");
    if let Misfortune::Fault(_) = what {
        run.emulator.set_fault(0, None)?;
        run.expect("failback lan: nic0 is used again")?;
        let since = now();
        ECHO.answers(3)?;
        require!(nics_of(&run, &ECHO.mac(), since) == [0], "the guest does not answer by nic0 again");
    }
    run.expect_in_any_order("source| PASS nic_blast")?;
    ECHO.stop(&mut run)?;
    let out = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    run.finish()?;
    let (missing, doubt) = (out.missing()?, crate::linux::counter(&run, "nic0: driver:", "tx_in_doubt"));
    println!("  {} of {} datagrams missing, {doubt} were in doubt", missing.len(), out.count);
    require!(
        missing.len() as u64 <= doubt,
        "{} are missing, of {doubt} in doubt: {missing:?}",
        missing.len()
    );
    Ok(())
}

/// Nothing is missing, and what is there twice was given back.
fn no_loss(test: &Test) -> Outcome {
    let count = choice::datagrams(8_000);
    let source = format!("ip=10.0.5.2 peer={} count={count} window=64", super::PEER);
    let vms = vec![VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC)];
    let mut scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[MIXED[1], E1000])
        .team("lan", &[TWO, "policy = \"order\"", "in_doubt = \"no-loss\""]);
    scenario.machine.faulty_nics = true;
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", "WARN  net: team lan: nic0: ", "WARN  net: nic0: "] {
        run.allow(text);
    }
    let socket = UdpSocket::bind((super::PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::receive_run(&socket));
    run.expect("nic0: link up")?;
    run.expect(&format!("source| sent {} of", count * 3 / 10))?;
    run.emulator.set_fault(0, Some(NicFault::AllOnes))?;
    let failover = run.expect_fields("failover lan: nic0 -> nic1")?;
    println!("{}: {}", test.backend, failover.line());
    run.expect_in_any_order("source| PASS nic_blast")?;
    receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    run.finish()?;
    let mut numbers: Vec<u32> = run.captures.iter().flat_map(Capture::numbers).collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    let twice = all - numbers.len();
    println!("  {} of {count} datagrams were on the wire, {twice} of them twice", numbers.len() - 1);
    require!(numbers.into_iter().eq((0..count).chain([u32::MAX])), "datagrams are missing");
    let returned = crate::linux::counter(&run, "nic0: driver:", "tx_returned");
    require!(twice as u64 <= returned, "{twice} were sent twice, and {returned} given back");
    Ok(())
}

/// Does it, and returns the line of the failover.
fn strike(run: &mut Run, what: Misfortune) -> Outcome<LineFields> {
    match what {
        Misfortune::Fault(fault) => run.emulator.set_fault(0, Some(fault))?,
        Misfortune::Removal => run.emulator.remove_nic(0)?,
        Misfortune::Errors => {
            run.floods = true;
            for _ in 0..2 * BAD_SECONDS {
                if run.console.count("failover lan") > 0 {
                    break;
                }
                send_oversize("tap0", ERRORS)?;
                sleep(Duration::from_millis(500));
            }
        }
    }
    run.expect_fields("failover lan: nic0 -> nic1")
}

/// The second NIC of the team is one for which Weir has no driver, so there is none of its name.
fn absent(test: &Test) -> Outcome {
    let scenario = Scenario::new(vec![ECHO.vm()?])
        .on_lan(LanPlan::one_switch(2), &[E1000, EmulatedNicModel::Virtio])
        .team("lan", &[TWO]);
    let mut run = Run::start(test, &scenario)?;
    run.allow("has no driver: not used");
    run.allow("nic1: no physical NIC found");
    run.expect("nic1: no physical NIC found")?;
    ECHO.await_ready(&mut run)?;
    ECHO.answers(5)?;
    require!(nics_of(&run, &ECHO.mac(), Duration::ZERO) == [0], "the guest does not answer by nic0");
    ECHO.stop(&mut run)?;
    run.finish()
}
