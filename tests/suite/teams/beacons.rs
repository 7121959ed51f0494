//! Three NICs on a switch each, which hear each other's beacons: what is cut off behind a switch is found, though every link is
//! up. And what others send that looks like beacons.

use super::{Answerer, E1000, PROMPT, nics_of};
use crate::linux::counter;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::frame::{self, BEACON, ether_type};
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::Pinger;
use end_to_end::wire::{CapturedFrame, now, send_frame};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, require};
use libtest_mimic::Trial;
use std::thread::sleep;
use std::time::Duration;

const NICS: usize = 3;
const INTERVAL: Duration = Duration::from_millis(100);
/// Beacons that a NIC sends until a cut is found: three that are missed, one before them, and one after.
const FOUND: usize = 5;
/// How long beacons are counted, and for how long others are sent while a NIC is cut off.
const COUNTED: Duration = Duration::from_secs(2);
const REPLAYED: Duration = Duration::from_secs(1);
/// The group to which beacons are sent, their length, and where the hash begins in them.
const GROUP: &str = "03:57:65:69:72:00";
const LENGTH: usize = 60;
const HASH: usize = 52;
/// Where the number of the round stands in a beacon, and the sender's host.
const ROUND: usize = 24;
const HOST: usize = 32;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Nics(NICS), Need::Nic(PROMPT[0]), Need::Nic(PROMPT[1])];
    if matches!(backend, Backend::BochsVtx | Backend::BochsSvm) {
        let name = "f13_a_cut_behind_one_of_three_switches_is_found_by_beacons_of_three_82540em";
        return vec![trial_needing(backend, &[Need::Nics(NICS)], name, cut_and_joined)];
    }
    vec![
        trial_needing(
            backend,
            &needs,
            "f13_a_cut_behind_one_of_three_switches_is_found_by_beacons_and_no_guest_gets_any",
            cut,
        ),
        trial_needing(
            backend,
            &needs,
            "f44_beacons_that_are_forged_or_replayed_are_counted_and_nobody_believes_them",
            forged,
        ),
    ]
}

/// A guest behind three NICs of these models, of which the first carries everything.
fn start(test: &Test, guest: Answerer, models: [EmulatedNicModel; NICS]) -> Outcome<Run> {
    let fields = [
        "policy = \"order\"",
        "detection = \"beacon\"",
        "beacon_interval = \"100 ms\"",
        "up_delay = \"200 ms\"",
    ];
    let nics = "nics = [\"nic0\", \"nic1\", \"nic2\"]";
    let scenario = Scenario::new(vec![guest.vm()?])
        .on_lan(LanPlan::a_switch_each(NICS), &models)
        .team("lan", &[&[nics], &fields[..]].concat());
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", "beacon lost", "cut off behind its switch", "held down"] {
        run.allow(text);
    }
    guest.await_ready(&mut run)?;
    guest.answers(3)?;
    // Others have their link from the start.
    for nic in (0..NICS).filter(|nic| models[*nic] != E1000) {
        run.expect_in_any_order(&format!("nic{nic}: link up"))?;
    }
    sleep(3 * INTERVAL);
    Ok(run)
}

/// Cuts the way behind the switch of `nic0`, and waits until it is found. Returns how many beacons another has sent until then,
/// which does not depend on how busy the host is.
fn cut_off_nic0(run: &mut Run, guest: Answerer) -> Outcome<usize> {
    let time = now();
    run.lan()?.cut("A", "D")?;
    run.expect("team lan: nic0 beacon lost 3 in a row")?;
    let line = run.expect_fields("failover lan: nic0 -> nic1")?;
    require!(line.text("cause")? == "beacon" && line.number("lost")? == 0, "{}", line.line());
    let announced = super::announcements(run, 1, &guest.mac(), time);
    let found = announced.first().map(|frame| frame.time);
    let found = found.ok_or_else(|| Failure::Wrong("nic1 has not announced the guest".into()))?;
    println!("  the cut was found after {:?}", found.saturating_sub(time));
    Ok(beacons_since(run, time)[1].iter().filter(|beacon| beacon.time < found).count())
}

/// The NIC that a guest answers by.
fn answers_by(run: &Run, guest: Answerer, nic: usize) -> Outcome {
    let since = now();
    guest.answers(5)?;
    let nics = nics_of(run, &guest.mac(), since);
    require!(nics == [nic], "the guest answers by {nics:?}");
    Ok(())
}

/// The way behind the switch of `nic0` is cut and joined again: the guest answers by another NIC, and by `nic0` in the end.
fn leave_and_return(run: &mut Run, guest: Answerer) -> Outcome {
    let found = cut_off_nic0(run, guest)?;
    println!("  that were {found} beacons of another NIC");
    require!(found <= FOUND, "the cut was found after {found} beacons");
    answers_by(run, guest, 1)?;
    run.lan()?.join("A", "D")?;
    run.expect("team lan: nic0 beacon heard")?;
    run.expect("failback lan: nic0 is used again")?;
    answers_by(run, guest, 0)
}

fn cut_and_joined(test: &Test) -> Outcome {
    let guest = Answerer(0);
    let mut run = start(test, guest, [E1000; NICS])?;
    answers_by(&run, guest, 0)?;
    leave_and_return(&mut run, guest)?;
    guest.stop(&mut run)?;
    run.finish()
}

fn cut(test: &Test) -> Outcome {
    let guest = Answerer(0);
    let mut run = start(test, guest, PROMPT)?;
    let begin = now();
    sleep(COUNTED);
    let (beacons, time) = (beacons_since(&run, begin), now() - begin);

    let pinger = Pinger::every(INTERVAL / 10, guest.ip(), INTERVAL)?;
    sleep(INTERVAL);
    leave_and_return(&mut run, guest)?;
    let tally = pinger.stop()?;
    println!("  pings at the time: {} of {} missed: {:?}", tally.missed.len(), tally.sent, tally.missed);
    // Each waits for an interval, and they follow each other.
    let ends = tally.missed.first().zip(tally.missed.last()).map_or(0, |(first, last)| last - first + 1);
    require!(tally.missed.len() <= FOUND + 1 && usize::from(ends) == tally.missed.len(), "{tally:?}");
    require!(tally.sent > 10, "{tally:?}");
    for nic in ["nic1", "nic2"] {
        require!(run.console.count(&format!("{nic} beacon lost")) == 0, "{nic} was not cut off");
    }
    guest.stop(&mut run)?;
    run.finish()?;
    check_beacons(&beacons, time)?;
    // What it has got: pings, and questions for its address.
    let own = |bytes: &[u8]| frame::destination(bytes) == guest.mac();
    let others =
        |bytes: &[u8]| frame::destination(bytes) == "ff:ff:ff:ff:ff:ff" && ether_type(bytes) == Some(0x806);
    let to_guest: usize = run.captures.iter().map(|capture| capture.select(false, own).len()).sum();
    let to_all = run.lan()?.peer.select(false, others).len();
    let received = guest.received(&run)?;
    println!("  the guest received {received} frames of {to_guest} for it and {to_all} for all");
    require!(received <= (to_guest + to_all) as u64, "the guest has received {received} frames");
    require!(counter(&run, "team lan:", "beacons_heard") > 50, "few beacons were heard");
    Ok(())
}

/// The beacons that each NIC has sent since then.
fn beacons_since(run: &Run, since: Duration) -> Vec<Vec<CapturedFrame>> {
    let sent = |capture: &end_to_end::wire::Capture| {
        let mut frames = capture.of_type(BEACON);
        frames.retain(|frame| frame.time >= since);
        frames
    };
    run.captures.iter().map(sent).collect()
}

/// One in each round, from the NIC's own address, and all NICs have as many.
fn check_beacons(beacons: &[Vec<CapturedFrame>], time: Duration) -> Outcome {
    let expected = time.as_millis() / INTERVAL.as_millis();
    let least = beacons.iter().map(Vec::len).min().unwrap_or(0);
    for (nic, sent) in beacons.iter().enumerate() {
        println!("  nic{nic} sent {} beacons in {time:?}", sent.len());
        require!((least..=least + 1).contains(&sent.len()), "nic{nic} sent {}, another {least}", sent.len());
        require!(
            (expected / 2..=expected + 1).contains(&(sent.len() as u128)),
            "nic{nic} sent {}",
            sent.len()
        );
        let rounds: Vec<&[u8]> = sent.iter().filter_map(|frame| frame.bytes.get(ROUND..HOST)).collect();
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let follow = rounds.windows(2).all(|pair| number(pair[1]) == number(pair[0]) + 1);
        require!(follow && rounds.len() == sent.len(), "nic{nic} sent in the rounds {rounds:02x?}");
        for frame in sent {
            let right = frame::destination(&frame.bytes) == GROUP
                && frame::source(&frame.bytes) == format!("52:54:00:00:00:{:02x}", nic + 1)
                && frame.bytes.len() == LENGTH;
            require!(right, "nic{nic} sent {:02x?}", frame.bytes);
        }
    }
    Ok(())
}

fn forged(test: &Test) -> Outcome {
    let guest = Answerer(0);
    let mut run = start(test, guest, PROMPT)?;
    cut_off_nic0(&mut run, guest)?;
    let count = run.console.count("beacon heard");
    let end = now() + REPLAYED;
    let mut sent = 0;
    while now() < end {
        // The newest of nic0, which the others have not heard, with another hash, and from another host.
        let latest = run.captures[0].of_type(BEACON).pop();
        let mut beacon = latest.ok_or_else(|| Failure::Wrong("nic0 sends no beacons".into()))?.bytes;
        beacon[HASH] ^= 1;
        send_frame("D", &beacon)?;
        beacon[HOST] ^= 1;
        send_frame("D", &beacon)?;
        // One that they have heard.
        let heard = run.captures[1].of_type(BEACON).first().cloned();
        send_frame("D", &heard.ok_or_else(|| Failure::Wrong("nic1 sends no beacons".into()))?.bytes)?;
        sent += 1;
        sleep(INTERVAL / 2);
    }
    require!(run.console.count("beacon heard") == count, "a beacon of somebody else was believed");
    let since = now();
    guest.answers(3)?;
    require!(nics_of(&run, &guest.mac(), since) == [1], "the guest does not answer by nic1");
    guest.stop(&mut run)?;
    run.finish()?;
    let counts = ["forged", "foreign", "replayed", "own"].map(|name| counter(&run, "team lan:", name));
    println!("{}: {sent} of each kind: forged, foreign, replayed, own {counts:?}", test.backend);
    // At the two NICs that are not cut off; a replayed one of nic1 comes to itself, too.
    require!(counts == [2 * sent, 2 * sent, sent, sent], "forged, foreign, replayed, own: {counts:?}");
    Ok(())
}
