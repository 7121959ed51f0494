//! A guest that breaks the rules is reported, and the guest beside it does not notice: its ping never misses.

use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::failure::Context;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, Vm, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

const BYSTANDER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
/// What the offender is told: its own address, the wire's peer, and to begin at a key.
const OFFENDER: &str = "ip=10.0.5.3 peer=10.0.5.1 start=key";
/// How long the bystander is pinged after the offence.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Fewest pings that make "never misses" mean something.
const FEWEST_PINGS: u16 = 3;

/// What becomes of the offender.
#[derive(Clone, Copy)]
enum End {
    /// Its card was at fault: it works again after a reset, and the guest passes.
    Passes,
    /// Weir stops it, and says so with this reason.
    Stopped(&'static str),
}

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial_needing(backend, &[Need::Shutdown], "triple_fault_beside_another", |test| {
            beside(test, "triple_fault", End::Stopped("triple fault"))
        }),
        trial(backend, "tail_beyond_ring_beside_another", |test| {
            beside(test, "tail_beyond_ring", End::Passes)
        }),
        trial(backend, "descriptor_outside_beside_another", |test| {
            beside(test, "descriptor_outside", End::Passes)
        }),
        trial(backend, "odd_widths_beside_another", |test| beside(test, "odd_widths", End::Passes)),
        trial(backend, "port_storm_beside_another", |test| beside(test, "port_storm", End::Passes)),
        trial(backend, "unmapped_memory_beside_another", |test| beside(test, "unmapped_memory", End::Passes)),
    ]
}

fn beside(test: &Test, guest: &str, end: End) -> Outcome {
    // The first guest has the keyboard.
    let vms = vec![
        Vm::micro("offender", guest, OFFENDER)?.nic("52:54:00:00:01:03").crashes_once(),
        Vm::micro("bystander", "nic_echo", &format!("ip={BYSTANDER}"))?.nic("52:54:00:00:01:02"),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    // What Weir reports about the offender is wanted; about the bystander, or in general, it is not.
    run.allow("offender");
    run.expect("bystander| READY")?;
    require!(answers(BYSTANDER, STEP)?, "the bystander does not answer to begin with");
    let pinger = Pinger::start(BYSTANDER, STEP)?;
    run.console.type_text("x")?;
    match end {
        End::Passes => run.expect(&format!("offender| PASS {guest}"))?,
        End::Stopped(reason) => run.expect(&format!("ERROR vm: offender: stopped: {reason}"))?,
    };
    sleep(AFTERWARDS);
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent >= FEWEST_PINGS, "the bystander's ping missed: {tally:?}");
    require!(!run.console.text().contains("offender| FAIL"), "the offender failed");
    stop(BYSTANDER)?;
    run.expect("bystander| PASS nic_echo")?;
    run.finish()
}

/// Has a `nic_echo` guest print its counters and power off.
pub fn stop(guest: Ipv4Addr) -> Outcome {
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.send_to(b"stop", (guest, 9)).context("sending a datagram")?;
    Ok(())
}
