//! A team whose configuration has a name and nothing else, on machines with different NICs; and in Bochs, whose NICs have no
//! cable to pull.

use super::{Answerer, E1000, MIXED, PEER, nics_of};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::traffic::{self, PORT};
use end_to_end::wire::now;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::fs;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

const GUESTS: u8 = 4;
const SOURCE_MAC: &str = "52:54:00:00:01:02";

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Nics(4), Need::Nic(MIXED[1]), Need::Nic(MIXED[2])];
    let name = "f39_one_image_with_a_team_serves_hosts_with_one_two_and_four_nics";
    let mut trials = vec![trial_needing(backend, &needs, name, one_image)];
    for policy in ["order", "port"] {
        let name = format!("a_team_of_two_by_{policy}_carries_datagrams_of_two_guests");
        let needs = [Need::Nics(2)];
        trials.push(trial_needing(backend, &needs, name, move |test| two_guests(test, policy)));
    }
    trials
}

fn one_image(test: &Test) -> Outcome {
    let guests = Answerer::all(GUESTS);
    let folder = test.empty_folder()?;
    let hosts: [&[EmulatedNicModel]; 3] = [&MIXED[2..3], &MIXED[..2], &MIXED];
    let mut configurations = Vec::new();
    for models in hosts {
        let here = folder.join(format!("{}-nics", models.len()));
        fs::create_dir(&here).context("folder of a host")?;
        let vms = guests.iter().map(|guest| guest.vm()).collect::<Outcome<_>>()?;
        let scenario = Scenario::new(vms)
            .on_lan(LanPlan::one_switch(models.len()), models)
            .unnamed_nics()
            .team("lan", &[]);
        let mut run = Run::start_in(test.backend, here.clone(), &scenario)?;
        guests.iter().try_for_each(|guest| guest.await_ready(&mut run))?;
        let since = now();
        guests.iter().try_for_each(|guest| guest.answers(3).map(drop))?;
        let used: Vec<usize> = (0..models.len())
            .filter(|nic| guests.iter().any(|guest| nics_of(&run, &guest.mac(), since).contains(nic)))
            .collect();
        println!("{}: of {} NICs those in use are {used:?}", test.backend, models.len());
        require!(used.len() == models.len(), "of {models:?} those in use are {used:?}");
        guests.iter().try_for_each(|guest| guest.stop(&mut run))?;
        run.finish()?;
        configurations.push(fs::read_to_string(here.join("weir.toml")).context("weir.toml")?);
    }
    require!(configurations.windows(2).all(|pair| pair[0] == pair[1]), "the images are not the same");
    Ok(())
}

/// By `port`, each of the guests has a NIC of its own.
fn two_guests(test: &Test, policy: &str) -> Outcome {
    let echo = Answerer(0);
    let count = choice::datagrams(1000);
    let source = format!("ip=10.0.5.2 peer={PEER} count={count} window=32");
    let vms = vec![VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC), echo.vm()?];
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[E1000])
        .team("lan", &[super::TWO, &format!("policy = {policy:?}")]);
    let mut run = Run::start(test, &scenario)?;
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    echo.await_ready(&mut run)?;
    run.expect_in_any_order("source| PASS nic_blast")?;
    echo.answers(5)?;
    let received = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(received == count, "{received} of {count} datagrams were received");
    let nics = [SOURCE_MAC, &*echo.mac()].map(|mac| nics_of(&run, mac, Duration::ZERO));
    println!("{}: by {policy} the guests are on {nics:?}", test.backend);
    let expected: [&[usize]; 2] = if policy == "port" { [&[0], &[1]] } else { [&[0], &[0]] };
    require!(nics == expected, "by {policy} the guests are on {nics:?}");
    echo.stop(&mut run)?;
    run.finish()
}
