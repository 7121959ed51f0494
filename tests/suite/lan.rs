//! The test bed itself: NICs on switches that are joined by cables, which are cut and joined again.

use crate::misbehaviour::stop;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::frame::{self, ether_type, number};
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::wire::{longest_gap, now};
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;
use std::time::Duration;

const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const ECHO_MAC: &str = "52:54:00:00:01:02";
const SOURCE_MAC: &str = "52:54:00:00:01:03";
const SINK: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 4);
const SINK_MAC: &str = "52:54:00:00:01:04";
/// Pings that are not answered, and the time in which the last would be.
const MISSED: u16 = 3;
const SILENCE: Duration = Duration::from_secs(1);

/// The type of IPv4.
const IP: u16 = 0x800;

/// Datagrams of a transfer.
fn datagrams() -> u32 {
    choice::datagrams(2_000)
}

pub fn trials(backend: Backend) -> Vec<Trial> {
    let name = "guests_of_two_nics_reach_each_other_through_two_switches";
    vec![trial_needing(backend, &[Need::Nics(2)], name, two_switches)]
}

fn two_switches(test: &Test) -> Outcome {
    let source = format!("ip=10.0.5.3 peer={SINK} count={} start=key", datagrams());
    let vms = vec![
        // It has the keyboard.
        VmSpec::micro("source", "nic_blast", &source)?.nic_on(1, SOURCE_MAC),
        VmSpec::micro("echo", "nic_echo", &format!("ip={ECHO}"))?.nic_on(0, ECHO_MAC),
        VmSpec::micro("sink", "nic_sink", &format!("ip={SINK}"))?.nic_on(0, SINK_MAC),
    ];
    let scenario = Scenario::new(vms).on_lan(LanPlan::two_switches(), &[EmulatedNicModel::E1000]);
    let mut run = Run::start(test, &scenario)?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    cut_and_join(&run)?;
    run.console.type_text("x")?;
    run.expect("| PASS")?;
    run.expect("| PASS")?;
    stop(ECHO)?;
    run.expect("echo| PASS nic_echo")?;
    run.finish()?;

    let sent = run.captures[1].numbers();
    let expected: Vec<u32> = (0..datagrams()).chain([u32::MAX]).collect();
    require!(sent.iter().filter(|number| **number != 0).eq(&expected[1..]), "nic1 sent {sent:?}");
    let crossed = run.lan()?.capture("B", "C")?.sent_by(SOURCE_MAC);
    println!("{}: longest pause between datagrams {:?}", test.backend, longest_gap(&crossed));
    let at_core = run.lan()?.capture("A", "C")?.select(false, |_| true);
    let received = at_core.iter().filter_map(|frame| number(&frame.bytes));
    require!(received.eq(sent), "what went down to switch A is not what nic1 sent");
    for (nic, macs) in [&[ECHO_MAC, SINK_MAC][..], &[SOURCE_MAC]].into_iter().enumerate() {
        let frames = run.captures[nic].from_weir();
        let foreign = frames.iter().find(|frame| !macs.contains(&&*frame::source(frame)));
        require!(foreign.is_none(), "on the cable of nic{nic}: {foreign:x?}");
    }
    Ok(())
}

/// Pings from the peer are answered, except while the way behind the first switch is cut; cut in one direction, they
/// still reach the guest. The switches have learnt where it is.
fn cut_and_join(run: &Run) -> Outcome {
    let lan = run.lan()?;
    let is_ip = |bytes: &[u8]| ether_type(bytes) == Some(IP);
    let passed = |since: Duration| {
        let frames = [false, true].map(|from_weir| run.captures[0].select(from_weir, is_ip));
        frames.map(|frames| frames.iter().filter(|frame| frame.time >= since).count())
    };
    require!(answers(ECHO, STEP)?, "no answer through two switches");
    for (switch, way) in [("C", "A"), ("A", "nic0")] {
        let learnt = lan.learnt(switch, ECHO_MAC)?;
        require!(learnt.as_deref() == Some(way), "{switch} has learnt {learnt:?}");
    }
    for (one_way, expected) in [(None, [0, 0]), (Some(("C", "A")), [0, 0]), (Some(("A", "C")), [3, 3])] {
        let since = now();
        match one_way {
            None => lan.cut("A", "C")?,
            Some((from, to)) => lan.cut_one_way(from, to)?,
        }
        let tally = ping(ECHO, MISSED, 56, SILENCE)?;
        require!(tally.missed.len() == usize::from(MISSED), "cut {one_way:?}: {tally:?}");
        let between = passed(since);
        require!(between == expected, "cut {one_way:?}: frames to and from the guest: {between:?}");
        lan.join("A", "C")?;
        require!(answers(ECHO, STEP)?, "no answer after the cut {one_way:?}");
    }
    Ok(())
}
