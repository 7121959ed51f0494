//! A guest that misbehaves is reported and does not affect the guest beside it, which never misses a ping.

use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::pinger::{Pinger, answers, ping};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

const BYSTANDER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
/// The offender's command line: its own address, the peer on the wire, and the request to wait for a key.
const OFFENDER: &str = "ip=10.0.5.3 peer=10.0.5.1 start=key";
/// How long the bystander is pinged after the offence.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Number of pings after that.
const PINGS: u16 = 3;

/// The expected end of the offender.
#[derive(Clone, Copy)]
enum Fate {
    /// Only its vNIC stops: it works again after a reset, and the guest passes.
    Passes,
    /// Weir stops it and reports this reason.
    Stopped(&'static str),
}

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial_needing(backend, &[Need::Shutdown], "triple_fault_beside_another", |test| {
            beside(test, "triple_fault", Fate::Stopped("triple fault"))
        }),
        trial(backend, "tail_beyond_ring_beside_another", |test| {
            beside(test, "tail_beyond_ring", Fate::Passes)
        }),
        trial(backend, "descriptor_outside_beside_another", |test| {
            beside(test, "descriptor_outside", Fate::Passes)
        }),
        trial(backend, "odd_widths_beside_another", |test| beside(test, "odd_widths", Fate::Passes)),
        trial(backend, "odd_instructions_beside_another", |test| {
            beside(test, "odd_instructions", Fate::Passes)
        }),
        trial(backend, "port_storm_beside_another", |test| beside(test, "port_storm", Fate::Passes)),
        trial(backend, "unmapped_memory_beside_another", |test| {
            beside(test, "unmapped_memory", Fate::Passes)
        }),
    ]
}

fn beside(test: &Test, guest: &str, fate: Fate) -> Outcome {
    // The storm's ports are sampled where an exit takes milliseconds.
    let every = if choice::is_emulated() { 7 } else { 1 };
    // The first guest has the keyboard.
    let vms = vec![
        VmSpec::micro("offender", guest, &format!("{OFFENDER} every={every}"))?
            .nic("52:54:00:00:01:03")
            .crashes_once(),
        VmSpec::micro("bystander", "nic_echo", &format!("ip={BYSTANDER}"))?.nic("52:54:00:00:01:02"),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    // Warnings about the offender are expected; any other warning fails the test.
    run.allow("offender");
    run.expect("bystander| READY")?;
    require!(answers(BYSTANDER, STEP)?, "the bystander does not answer before the offence");
    let pinger = Pinger::start(BYSTANDER, STEP)?;
    run.console.type_text("x")?;
    match fate {
        Fate::Passes => run.expect(&format!("offender| PASS {guest}"))?,
        Fate::Stopped(reason) => run.expect(&format!("ERROR vm: offender: stopped: {reason}"))?,
    };
    sleep(AFTERWARDS);
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent > 0, "the bystander's ping missed: {tally:?}");
    // However few there were meanwhile, on a slow machine.
    let tally = ping(BYSTANDER, PINGS, 56, STEP)?;
    require!(tally.missed.is_empty(), "the bystander's ping missed after the offence: {tally:?}");
    require!(!run.console.text().contains("offender| FAIL"), "the offender failed");
    stop(BYSTANDER)?;
    run.expect("bystander| PASS nic_echo")?;
    run.finish()
}

/// Makes a `nic_echo` guest print its counters and power off.
pub fn stop(guest: Ipv4Addr) -> Outcome {
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.send_to(b"stop", (guest, 9)).context("sending a datagram")?;
    Ok(())
}
