//! What comes in at several NICs of one team: each guest gets it once, and nobody gets what it has sent itself.

use super::{Answerer, E1000, MIXED, TWO};
use crate::linux::counter;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::lan::LanPlan;
use end_to_end::traffic::{self, PORT};
use end_to_end::wire::{send_copies, send_frame};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, frame, require};
use libtest_mimic::Trial;
use std::net::UdpSocket;
use std::thread::{self, sleep};
use std::time::Duration;

const GUESTS: u8 = 2;
const SOURCE_MAC: &str = "52:54:00:00:01:02";
/// Frames to all, and to one guest by both NICs.
const FRAMES: u32 = 40;
/// The most copies that come a millisecond or more after the first because the host was busy.
const LATE: u64 = 4;
const GAP: Duration = Duration::from_millis(10);
const DATAGRAMS: u32 = 500;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Nics(2), Need::Nic(MIXED[1])];
    let name = "f36_each_guest_of_a_team_receives_every_frame_once_and_none_of_its_own";
    vec![trial_needing(backend, &needs, name, once)]
}

/// The frame of a local experiment.
fn test_frame(to: [u8; 6], number: u32) -> Vec<u8> {
    let mut frame = [&to[..], &[2, 0, 0, 0, 0, 9, 0x88, 0xb5], &number.to_be_bytes()].concat();
    frame.resize(60, 0);
    frame
}

fn once(test: &Test) -> Outcome {
    let guests = Answerer::all(GUESTS);
    let source = format!("ip=10.0.5.2 peer={} count={DATAGRAMS} window=32 start=key", super::PEER);
    // The first guest has the keyboard, and nic1, as the one that matters less.
    let mut vms = vec![VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC).priority(0)];
    for guest in &guests {
        vms.push(guest.vm()?);
    }
    vms.push(Answerer(GUESTS).vm()?.not_started());
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[E1000, MIXED[1]])
        .team("lan", &[TWO, "policy = \"port\""]);
    let mut run = Run::start(test, &scenario)?;
    guests.iter().try_for_each(|guest| guest.await_ready(&mut run))?;
    for guest in &guests {
        guest.answers(2)?;
    }
    for number in 0..FRAMES {
        send_frame("A", &test_frame([0xff; 6], number))?;
    }
    sleep(20 * GAP);
    // As a switch does that does not know the address.
    for number in 0..FRAMES {
        let frame = test_frame([0x52, 0x54, 0, 0, 2, 0], number);
        send_copies(&["tap0", "tap1"], &frame, 1)?;
        sleep(GAP);
    }
    let socket = UdpSocket::bind((super::PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    run.console.type_text("x")?;
    run.expect("source| PASS nic_blast")?;
    receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    guests.iter().try_for_each(|guest| guest.stop(&mut run))?;
    end(&mut run)?;
    check(test, &run, &guests)
}

/// One guest is not started, so that Weir stays on.
fn end(run: &mut Run) -> Outcome {
    crate::lifecycle::open_shell(run)?;
    crate::lifecycle::power_off(run)
}

fn check(test: &Test, run: &Run, guests: &[Answerer]) -> Outcome {
    let count = |name| counter(run, "team lan:", name);
    let [duplicates, reflected, copies] = ["duplicates", "reflected", "group_copies"].map(count);
    println!(
        "{}: duplicates {duplicates}, reflected {reflected}, copies of group frames {copies}",
        test.backend
    );
    let late = u64::from(FRAMES).saturating_sub(duplicates);
    require!(late <= LATE, "of {FRAMES} copies {duplicates} were found");
    require!(copies >= u64::from(FRAMES), "of {FRAMES} copies of frames to all {copies} were dropped");
    require!(reflected > 0, "nothing that a guest has sent to all has come back by the other NIC");
    let to_all =
        run.lan()?.peer.select(false, |bytes| frame::destination(bytes) == "ff:ff:ff:ff:ff:ff").len();
    for guest in guests {
        let to_it = |bytes: &[u8]| frame::destination(bytes) == guest.mac();
        let on_wires: usize = run.captures.iter().map(|wire| wire.select(false, to_it).len()).sum();
        let dropped = if guest.0 == 0 { duplicates } else { 0 };
        // The question of the source for the peer's address reaches the other guests as well.
        let question = 1;
        let expected = (on_wires + to_all) as u64 + question - dropped;
        let received = guest.received(run)?;
        require!(received == expected, "{guest:?} has received {received} frames and not {expected}");
    }
    let text = run.console.text();
    let line = text.lines().rfind(|line| line.starts_with("source| COUNTERS ")).unwrap_or_default();
    let received = end_to_end::fields::LineFields::new(line).number("received")?;
    let to_it: usize = run
        .captures
        .iter()
        .map(|wire| wire.select(false, |bytes| frame::destination(bytes) == SOURCE_MAC).len())
        .sum();
    println!("  the source has received {received} frames of {to_it} for it and {to_all} for all");
    Ok(())
}
