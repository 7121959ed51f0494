//! Four NICs of mixed models: who carries what, by each policy, and what moves when one fails.

use super::{Answerer, MIXED, announcements, nics_of, sent_since};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::frame;
use end_to_end::lan::LanPlan;
use end_to_end::namespace::ip;
use end_to_end::wire::{CapturedFrame, now};
use end_to_end::{Backend, Outcome, Run, Scenario, Test, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

const GUESTS: u8 = 6;
const PINGS: u16 = 3;
/// Announcements of an address, and the time from one to the next.
const COPIES: usize = 3;
const SPACING: Duration = Duration::from_millis(100);
/// The peers' addresses for the IP hash.
const PEERS: u8 = 12;
/// The port at which `nic_echo` answers.
const ECHO_PORT: u16 = 7;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Cable, Need::Nics(4), Need::Nic(MIXED[1]), Need::Nic(MIXED[2])];
    let policies = [
        ("f20_by_port_each_guest_has_one_of_four_nics_and_only_those_of_a_failed_one_move", "port"),
        ("f21_by_mac_each_guest_has_one_of_four_nics_and_only_those_of_a_failed_one_move", "mac"),
        ("f23_by_load_each_guest_has_one_of_four_nics_and_only_those_of_a_failed_one_move", "load"),
        ("f24_by_order_one_of_four_nics_carries_all_guests_and_then_the_next", "order"),
    ];
    let one = |(name, policy)| trial_needing(backend, &needs, name, move |test| four_nics(test, policy));
    let mut trials: Vec<Trial> = policies.into_iter().map(one).collect();
    let name = "f22_by_ip_hash_each_pair_of_addresses_has_one_of_two_nics";
    trials.push(trial_needing(backend, &[Need::Nics(2), Need::Nic(MIXED[1])], name, ip_hash));
    let needs = [Need::Cable, Need::Nics(3), Need::Nic(MIXED[1]), Need::Nic(MIXED[2])];
    let name = "f24_a_standby_carries_in_the_place_of_the_active_nic_and_an_unused_one_never_does";
    trials.push(trial_needing(backend, &needs, name, standby));
    trials
}

/// The NIC of each guest, by what they have sent since then: each has exactly one.
fn homes(run: &Run, guests: &[Answerer], since: Duration) -> Outcome<Vec<usize>> {
    guests
        .iter()
        .map(|guest| {
            let nics = nics_of(run, &guest.mac(), since);
            require!(nics.len() == 1, "{guest:?} is on the wires {nics:?}");
            let answers = sent_since(run, nics[0], &guest.mac(), since).len();
            require!(answers >= usize::from(PINGS), "{guest:?} has sent {answers} frames");
            Ok(nics[0])
        })
        .collect()
}

/// Pings all guests, and returns by which NIC each has answered.
fn answered_by(run: &Run, guests: &[Answerer]) -> Outcome<Vec<usize>> {
    let since = now();
    for guest in guests {
        guest.answers(PINGS)?;
    }
    homes(run, guests, since)
}

fn four_nics(test: &Test, policy: &str) -> Outcome {
    let guests = Answerer::all(GUESTS);
    // The last are the most important.
    let vms = guests.iter().map(|guest| Ok(guest.vm()?.priority(guest.0))).collect::<Outcome<_>>()?;
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(4), &MIXED)
        .team("lan", &["nics = [\"nic0\", \"nic1\", \"nic2\", \"nic3\"]", &format!("policy = {policy:?}")]);
    let mut run = Run::start(test, &scenario)?;
    let start = now();
    ["failover lan", ": no link", "held down"].iter().for_each(|text| run.allow(text));
    guests.iter().try_for_each(|guest| guest.await_ready(&mut run))?;
    let before = answered_by(&run, &guests)?;
    println!("{} {policy}: guests are on the NICs {before:?}", test.backend);
    let expected: Option<[usize; 6]> = match policy {
        // By importance: the last chooses first.
        "port" | "load" => Some([1, 0, 3, 2, 1, 0]),
        "order" => Some([0; 6]),
        _ => None,
    };
    require!(expected.is_none_or(|expected| before == expected), "{before:?} and not {expected:?}");

    let failing = before[0];
    let pulled = now();
    run.plug(failing, false)?;
    let failover = run.expect_fields(&format!("failover lan: nic{failing} -> nic"))?;
    println!("  {}", failover.line());
    require!(failover.number("lost")? == 0 && failover.text("cause")? == "link", "{}", failover.line());
    let after = answered_by(&run, &guests)?;
    for (guest, (before, after)) in guests.iter().zip(before.iter().zip(&after)) {
        let right = if *before == failing { *after != failing } else { after == before };
        require!(right, "nic{failing} failed, and {guest:?} went from nic{before} to nic{after}");
        let learnt = run.lan()?.learnt("A", &guest.mac())?;
        require!(learnt == Some(format!("nic{after}")), "the switch has learnt {learnt:?} for {guest:?}");
    }
    run.plug(failing, true)?;
    run.expect(&format!("failback lan: nic{failing} is used again"))?;
    let back = answered_by(&run, &guests)?;
    require!(back == before, "after failback {back:?}, before the failure {before:?}");
    sleep(SPACING * 4);
    check_announcements(&run, &guests, (start, pulled), (&before, &after))?;
    guests.iter().try_for_each(|guest| guest.stop(&mut run))?;
    run.finish()
}

/// One NIC is active, one stands by, and one is not used at all.
fn standby(test: &Test) -> Outcome {
    let guests = Answerer::all(2);
    let vms = guests.iter().map(|guest| guest.vm()).collect::<Outcome<_>>()?;
    let roles = ["nics = [\"nic0\"]", "standby = [\"nic1\"]", "unused = [\"nic2\"]"];
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(3), &MIXED[..3])
        .team("lan", &[&roles[..], &["policy = \"order\""]].concat());
    let mut run = Run::start(test, &scenario)?;
    ["failover lan", ": no link", "held down"].iter().for_each(|text| run.allow(text));
    guests.iter().try_for_each(|guest| guest.await_ready(&mut run))?;
    let on = |run: &Run, nic: usize| {
        let by = answered_by(run, &guests)?;
        require!(by == [nic; 2], "the guests are on the NICs {by:?}, and not on nic{nic}");
        Ok(())
    };
    on(&run, 0)?;
    run.plug(0, false)?;
    let failover = run.expect_fields("failover lan: nic0 -> nic1")?;
    println!("{}: {}", test.backend, failover.line());
    require!(failover.number("lost")? == 0 && failover.text("cause")? == "link", "{}", failover.line());
    on(&run, 1)?;
    run.plug(0, true)?;
    run.expect("failback lan: nic0 is used again")?;
    on(&run, 0)?;
    guests.iter().try_for_each(|guest| guest.stop(&mut run))?;
    run.finish()?;
    let sent = run.captures[2].from_weir().len();
    require!(sent == 0, "{sent} frames went by a NIC that is unused");
    Ok(())
}

/// Each address is announced when its guest starts and when it has moved, and those of the others are not.
fn check_announcements(
    run: &Run,
    guests: &[Answerer],
    (start, pulled): (Duration, Duration),
    (before, after): (&[usize], &[usize]),
) -> Outcome {
    for (index, guest) in guests.iter().enumerate() {
        let on = |nic, since| announcements(run, nic, &guest.mac(), since);
        let mut at_start = on(before[index], start);
        at_start.retain(|frame| frame.time < pulled);
        require!(at_start.len() >= COPIES, "{guest:?} was announced {} times at its start", at_start.len());
        let told: Vec<usize> = (0..4).map(|nic| on(nic, pulled).len()).collect();
        let mut expected = vec![0; 4];
        if after[index] != before[index] {
            (expected[before[index]], expected[after[index]]) = (COPIES, COPIES);
            check_spacing(&on(after[index], pulled))?;
        }
        require!(told == expected, "{guest:?} was announced {told:?} times and not {expected:?}");
    }
    Ok(())
}

/// A busy host makes some late.
fn check_spacing(frames: &[CapturedFrame]) -> Outcome {
    let ends = frames.first().zip(frames.last()).map(|(first, last)| last.time - first.time);
    require!(
        ends.is_some_and(|time| (SPACING..SPACING * 10).contains(&time)),
        "the last announcement is sent {ends:?} after the first"
    );
    Ok(())
}

/// The guest answers many stations, as if behind a router each had another address.
fn ip_hash(test: &Test) -> Outcome {
    let guest = Answerer(0);
    let scenario = Scenario::new(vec![guest.vm()?])
        .on_lan(LanPlan::one_switch(2), &MIXED[..2])
        .team("lan", &[super::TWO, "policy = \"ip-hash\""]);
    let mut run = Run::start(test, &scenario)?;
    guest.await_ready(&mut run)?;
    guest.answers(1)?;
    let peers: Vec<Ipv4Addr> = (0..PEERS).map(|index| Ipv4Addr::new(10, 0, 5, 100 + index)).collect();
    for peer in &peers {
        ip(&["addr", "add", &format!("{peer}/24"), "dev", &run.lan()?.plan().core()])?;
        let socket = UdpSocket::bind((*peer, 0)).context("binding a UDP socket")?;
        socket.set_read_timeout(Some(end_to_end::run::STEP)).context("UDP timeout")?;
        for number in 0..PINGS {
            let (mut answer, sent) = ([0; 2], number.to_be_bytes());
            socket.send_to(&sent, (guest.ip(), ECHO_PORT)).context("sending")?;
            socket.recv(&mut answer).context("the guest's answer")?;
            require!(answer == sent, "the answer to {number} is {answer:?}");
        }
    }
    guest.stop(&mut run)?;
    run.finish()?;
    let mut carried = [0; 2];
    for peer in &peers {
        let is_to = |bytes: &[u8]| {
            frame::source(bytes) == guest.mac() && bytes.get(30..34) == Some(&peer.octets()[..])
        };
        let counts = [0, 1].map(|nic| run.captures[nic].select(true, is_to).len());
        require!(
            counts.contains(&0) && counts.iter().sum::<usize>() == usize::from(PINGS),
            "to {peer}: {counts:?}"
        );
        carried[usize::from(counts[0] == 0)] += 1;
    }
    println!("{}: of {PEERS} pairs of addresses the NICs carry {carried:?}", test.backend);
    require!(!carried.contains(&0), "of {PEERS} pairs of addresses the NICs carry {carried:?}");
    require!(counter_of_announcements(&run) == 0, "a team with an IP hash announces addresses");
    Ok(())
}

fn counter_of_announcements(run: &Run) -> usize {
    run.captures.iter().map(|capture| capture.of_type(frame::RARP).len()).sum()
}
