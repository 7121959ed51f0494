//! Several physical NICs, each with another guest; NICs that share an interrupt line; a NIC without a driver.

use crate::misbehaviour::stop;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::frame::source;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

/// All pairs of models.
const PAIRS: [[EmulatedNicModel; 2]; 3] = [
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000e],
    [EmulatedNicModel::E1000e, EmulatedNicModel::Igb],
    [EmulatedNicModel::Igb, EmulatedNicModel::E1000],
];
const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const ECHO_MAC: &str = "52:54:00:00:01:02";
/// On the wire of the second NIC.
const SECOND_WIRE: Ipv4Addr = Ipv4Addr::new(10, 0, 6, 2);
const SINK_MAC: &str = "52:54:00:00:01:03";
const FOLLOWER_MAC: &str = "52:54:00:00:01:04";
/// Datagrams of a transfer.
fn datagrams() -> u32 {
    choice::datagrams(10_000)
}

/// The maximum number of datagrams on their way: half of what the guest's receive ring holds.
const WINDOW: u32 = 64;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let pairs = PAIRS.into_iter().map(|nics| {
        let name = format!("{}_and_{}_serve_a_guest_each", nics[0], nics[1]);
        trial_needing(backend, &nics.map(Need::Nic), name, move |test| {
            two_nics(test, &nics, [0, 1]).map(drop)
        })
    });
    let shared = trial_needing(
        backend,
        &[Need::Nics(FIVE.len())],
        "nics_on_one_interrupt_line_serve_a_guest_each",
        one_interrupt_line,
    );
    let foreign = trial_needing(
        backend,
        &[Need::Nic(EmulatedNicModel::Virtio)],
        "a_nic_without_a_driver_is_reported_and_not_used",
        without_a_driver,
    );
    let missing = trial_needing(
        backend,
        &[Need::Nic(EmulatedNicModel::Virtio)],
        "guests_whose_nic_is_missing_run_and_reach_each_other",
        missing_nic,
    );
    pairs.chain([shared, foreign, missing]).collect()
}

/// The slots of the bus are wired to four interrupt lines in turn: the first and the fifth NIC share one.
const FIVE: [EmulatedNicModel; 5] = [EmulatedNicModel::E1000; 5];

fn one_interrupt_line(test: &Test) -> Outcome {
    let run = two_nics(test, &FIVE, [0, 4])?;
    let text = run.console.text();
    let line = |nic: &str| {
        let up = text.lines().find(|line| line.contains(&format!("{nic}: NIC ")))?;
        up.split_once("; interrupts: ").map(|(_, how)| how.trim().to_owned())
    };
    let (first, fifth) = (line("nic0"), line("nic4"));
    require!(first.is_some() && first == fifth, "nic0 has {first:?}, nic4 {fifth:?}");
    Ok(())
}

/// Weir has no driver for the first NIC on the bus: the log reports it, and the name `nic0` goes to the next NIC.
fn without_a_driver(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_echo", &format!("ip={SECOND_WIRE}"))?.nic_on(0, ECHO_MAC);
    let mut run = Run::start(
        test,
        &Scenario::new(vec![vm]).with_nics(&[EmulatedNicModel::Virtio, EmulatedNicModel::E1000]),
    )?;
    run.allow("has no driver: not used");
    run.allow("nic1: no physical NIC found");
    run.expect("NIC 00:04.0 [1af4:1000] has no driver: not used")?;
    run.expect("nic0: NIC 00:05.0 [8086:100e] driver e1000 ")?;
    run.expect("| READY")?;
    require!(answers(SECOND_WIRE, STEP)?, "no answer to ping on the second wire");
    stop(SECOND_WIRE)?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()
}

/// The machine's only NIC has no driver, so there is none for `nic0`. The vNICs that keep their link have one; the vNIC
/// that follows has none.
fn missing_nic(test: &Test) -> Outcome {
    let source = format!("ip={ECHO} peer={SECOND_WIRE} count={}", datagrams());
    let vms = vec![
        VmSpec::micro("source", "nic_blast", &source)?.nic(ECHO_MAC).keeps_link(),
        VmSpec::micro("sink", "nic_sink", &format!("ip={SECOND_WIRE}"))?.nic(SINK_MAC).keeps_link(),
        VmSpec::micro("follower", "nic_link", "unplugged")?.nic(FOLLOWER_MAC),
    ];
    let scenario = Scenario::new(vms).free().with_nics(&[EmulatedNicModel::Virtio]);
    let mut run = Run::start(test, &scenario)?;
    run.allow("has no driver: not used");
    run.allow("nic0: no physical NIC found");
    run.allow("there is no physical NIC for nic0");
    run.expect("nic0: no physical NIC found")?;
    for (guest, mac, link) in
        [("source", ECHO_MAC, "up"), ("sink", SINK_MAC, "up"), ("follower", FOLLOWER_MAC, "down")]
    {
        run.expect(&format!(
            "{guest}: vNIC {mac} has no way to the wire: there is no physical NIC for nic0; its link is {link}"
        ))?;
    }
    for _ in 0..3 {
        run.expect("| PASS")?;
    }
    run.finish()
}

/// One guest answers ping on the wire of one NIC while another guest receives datagrams from the wire of another
/// NIC; no frame of a guest is on the wrong wire.
fn two_nics(test: &Test, nics: &[EmulatedNicModel], [first, second]: [u8; 2]) -> Outcome<Run> {
    let sink = Ipv4Addr::new(10, 0, 5 + second, 2);
    let vms = vec![
        VmSpec::micro("first", "nic_echo", &format!("ip={ECHO}"))?.nic_on(first.into(), ECHO_MAC),
        VmSpec::micro("second", "nic_sink", &format!("ip={sink}"))?.nic_on(second.into(), SINK_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms).with_nics(nics))?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    require!(answers(ECHO, STEP)?, "no answer to ping on the first wire");
    let pinger = Pinger::start(ECHO, STEP)?;
    let peer = Ipv4Addr::new(10, 0, 5 + second, 1);
    let socket = UdpSocket::bind((peer, PORT)).context("binding a UDP socket")?;
    let sender = thread::spawn(move || traffic::blast(&socket, (sink, PORT).into(), datagrams(), WINDOW));
    run.expect("second| PASS nic_sink")?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent > 0, "ping beside the datagrams: {tally:?}");
    stop(ECHO)?;
    run.expect("first| PASS nic_echo")?;
    run.finish()?;
    for (index, own) in [(first, ECHO_MAC), (second, SINK_MAC)] {
        let capture = &run.captures[usize::from(index)];
        let senders: Vec<String> = capture.from_weir().iter().map(|frame| source(frame)).collect();
        require!(!senders.is_empty(), "no frame on the wire of {own}");
        let others: Vec<&String> = senders.iter().filter(|sender| *sender != own).collect();
        require!(others.is_empty(), "on the wire of {own}: frames from {others:?}");
    }
    Ok(run)
}
