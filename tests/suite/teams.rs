//! Teams of NICs: failover, seen from the wire, from the log and by the guests.

use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 1);
const SOURCE_MAC: &str = "52:54:00:00:01:02";

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![trial_needing(backend, &[Need::Cable, Need::Nics(2)], "a_team_fails_over_under_load", under_load)]
}

fn under_load(test: &Test) -> Outcome {
    let source = format!("ip=10.0.5.2 peer={PEER} count=20000 window=64");
    let vms = vec![VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC)];
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[EmulatedNicModel::E1000, EmulatedNicModel::E1000])
        .team("lan", &["nics = [\"nic0\", \"nic1\"]", "policy = \"order\""]);
    let mut run = Run::start(test, &scenario)?;
    run.allow("failover lan");
    run.allow("no link");
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    run.expect("source| sent 2000 of")?;
    run.emulator.set_link(0, false)?;
    let fields = run.expect_fields("failover lan: nic0 -> nic1")?;
    println!("{}", fields.line());
    run.expect("source| PASS")?;
    let count = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(count == 20000, "{count}");
    run.finish()
}
