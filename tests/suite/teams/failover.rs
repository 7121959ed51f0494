//! The cable of the NIC that carries everything is pulled under load in both directions.

use super::{Answerer, E1000, PEER, TWO, announcements, nics_of, not_received, swallowed};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::frame::{self, RARP};
use end_to_end::lan::LanPlan;
use end_to_end::machine::{EmulatedNic, EmulatedNicModel};
use end_to_end::pinger::{Pinger, Tally};
use end_to_end::run::STEP;
use end_to_end::traffic::{self, PORT, SinkTally};
use end_to_end::wire::{now, send_frame};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, choice, pcap, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::{self, sleep};
use std::time::Duration;

const MODELS: [EmulatedNicModel; 3] =
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000e, EmulatedNicModel::Igb];
const SOURCE_MAC: &str = "52:54:00:00:01:02";
const SINK: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);
const SINK_MAC: &str = "52:54:00:00:01:03";
const ECHO: Answerer = Answerer(0);
/// The most datagrams on their way in each direction.
const WINDOW: u32 = 64;
/// From the link event to the first frame on the other NIC, by the machine's clock: as Weir says it, and as QEMU captures it.
const LIMIT: Duration = Duration::from_millis(1);
/// The same to the first frame that a guest sends then, which must have the core again: after serving the wire, the boot core leaves it to
/// guests for half a millisecond, and may have done so just before the event.
const LIMIT_OF_GUEST: Duration = Duration::from_micros(1500);
const PING_PERIOD: Duration = Duration::from_millis(10);
/// What a guest sends that waits for nothing.
const FRAMES: usize = 12_000;
/// Announcements of each address.
const COPIES: usize = 3;

/// Datagrams in each direction.
fn datagrams() -> u32 {
    choice::datagrams(8_000)
}

/// Each model fails, and each takes over.
pub fn trials(backend: Backend) -> Vec<Trial> {
    let pairs = [0, 1, 2].map(|index| [MODELS[index], MODELS[(index + 1) % 3]]);
    pairs.into_iter().flat_map(|models| [pair(backend, models), in_time_of(backend, models)]).collect()
}

pub fn other_pairs(backend: Backend) -> Vec<Trial> {
    [[0, 0], [1, 1], [2, 2], [0, 2], [1, 0], [2, 1]]
        .map(|pair_of| pair(backend, pair_of.map(|index| MODELS[index])))
        .into()
}

fn pair(backend: Backend, models: [EmulatedNicModel; 2]) -> Trial {
    let name = format!("f11_an_{}_takes_over_from_an_{}_under_load_and_loses_nothing", models[1], models[0]);
    trial_needing(backend, &needs(models), name, move |test| under_load(test, models))
}

fn in_time_of(backend: Backend, models: [EmulatedNicModel; 2]) -> Trial {
    let name = format!("f11_frames_of_an_{}_go_by_an_{}_at_once", models[0], models[1]);
    trial_needing(backend, &needs(models), name, move |test| in_time(test, models))
}

fn needs(models: [EmulatedNicModel; 2]) -> [Need; 4] {
    [Need::Cable, Need::Nics(2), Need::Nic(models[0]), Need::Nic(models[1])]
}

fn under_load(test: &Test, models: [EmulatedNicModel; 2]) -> Outcome {
    let count = datagrams();
    let source = format!("ip=10.0.5.2 peer={PEER} count={count} window={WINDOW} start=key");
    let vms = vec![
        // It has the keyboard.
        VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC),
        VmSpec::micro("sink", "nic_sink", &format!("ip={SINK}"))?.nic_in("lan", SINK_MAC),
        ECHO.vm()?,
    ];
    let scenario =
        Scenario::new(vms).on_lan(LanPlan::one_switch(2), &models).team("lan", &[TWO, "policy = \"order\""]);
    let mut run = Run::start(test, &scenario)?;
    ["failover lan", "nic0: no link", "sink| FAIL"].iter().for_each(|text| run.allow(text));
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::receive_run(&socket));
    run.expect_in_any_order("sink| READY")?;
    ECHO.await_ready(&mut run)?;
    let socket = UdpSocket::bind((PEER, PORT + 1)).context("binding a UDP socket")?;
    let sender =
        thread::spawn(move || traffic::blast_with_losses(&socket, (SINK, PORT).into(), count, WINDOW));
    run.console.type_text("x")?;
    let pinger = Pinger::every(PING_PERIOD, ECHO.ip(), super::SOON)?;
    run.expect(&format!("source| sent {} of", count * 3 / 10))?;
    let pulled = now();
    run.pull_at_mark(0)?;
    let failover = run.expect_fields("failover lan: nic0 -> nic1")?;
    run.expect_in_any_order("source| PASS")?;
    run.expect_in_any_order("sink| COUNTERS")?;
    let tally = pinger.stop()?;
    [SOURCE_MAC, SINK_MAC, &*ECHO.mac()].iter().try_for_each(|mac| is_learnt(&run, mac))?;
    ECHO.stop(&mut run)?;
    let out = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    let stalls = sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    run.finish()?;
    println!("{} {} -> {}: {}", test.backend, models[0], models[1], failover.line());
    require!(failover.text("cause")? == "link" && failover.number("moved")? == 3, "{}", failover.line());
    require!(failover.time("took")? < LIMIT, "{}", failover.line());
    require!(failover.number("lost")? == 0 && failover.number("in-doubt")? == 0, "{}", failover.line());
    check_losses(&run, &out, stalls)?;
    check_pause(&run, LIMIT)?;
    check_pings(&run, &tally, pulled)?;
    check_wires(&run, pulled)
}

/// What is missing is what QEMU has swallowed at the one cable end, or the switch has sent to the other; there is no other fault.
fn check_losses(run: &Run, out: &SinkTally, stalls: u32) -> Outcome {
    let (missing, swallowed) = (out.missing()?, swallowed(run, 0));
    let (missing_in, not_received) = (missing_at_sink(run)?, not_received(run, 0));
    let reached = missing_in.iter().map(|number| wires_to_sink(run, *number)).collect::<Vec<_>>();
    println!(
        "  to the wire: {} of {} missing {missing:?}, {swallowed} swallowed by QEMU; to the guest: {missing_in:?} missing, \
         {not_received} sent to the NIC without a link, {stalls} stalls",
        missing.len(),
        out.count,
    );
    require!(missing.len() <= swallowed, "{} are missing, QEMU has swallowed {swallowed}", missing.len());
    // The others were lost with the port of the switch.
    let to_nic = |nic: usize| reached.iter().filter(|wires| wires.contains(&nic)).count();
    require!(
        to_nic(1) == 0 && to_nic(0) <= not_received,
        "{missing_in:?} did not reach the guest, and were on the wires {reached:?}; {not_received} did not reach nic0"
    );
    Ok(())
}

/// By the captures of QEMU, which have the machine's time, the survivor sends as soon as that after the cable was pulled: at least the
/// announcements, since guests that wait for answers may have nothing to send then.
fn check_pause(run: &Run, limit: Duration) -> Outcome {
    let after = first_after_mark(run, |_| true)?;
    println!("  by the captures, the survivor sends {after:?} after the pull");
    require!(after < limit, "the survivor sends {after:?} after the pull");
    Ok(())
}

/// When `nic1` has first sent such a frame after the mark that it has made itself, by QEMU's capture.
fn first_after_mark(run: &Run, is_it: impl Fn(&[u8]) -> bool) -> Outcome<Duration> {
    let sent = pcap::read(&run.folder().join("sent1.pcap"))?;
    let is_mark = |(_, frame): &(Duration, Vec<u8>)| frame::source(frame) == EmulatedNic::mac_of(1);
    let marked = sent.iter().rposition(is_mark).ok_or_else(|| Failure::Wrong("there is no mark".into()))?;
    let first = sent[marked + 1..].iter().find(|(_, frame)| is_it(frame));
    first.map(|(time, _)| *time - sent[marked].0).ok_or_else(|| Failure::Wrong("nothing was sent".into()))
}

/// A guest that sends a frame every tenth of a millisecond, and waits for nothing, is carried by the other NIC within the limit.
fn in_time(test: &Test, models: [EmulatedNicModel; 2]) -> Outcome {
    let sender = VmSpec::micro("sender", "load_send", &format!("frames={FRAMES} to=99 wait=1 pause=100000"))?;
    let scenario = Scenario::new(vec![sender.nic_in("lan", SOURCE_MAC)])
        .on_lan(LanPlan::one_switch(2), &models)
        .team("lan", &[TWO, "policy = \"order\""]);
    let mut run = Run::start(test, &scenario)?;
    ["failover lan", "nic0: no link"].iter().for_each(|text| run.allow(text));
    run.expect("sender| READY")?;
    for (nic, model) in models.into_iter().enumerate() {
        if model != E1000 {
            run.expect_in_any_order(&format!("nic{nic}: link up"))?;
        }
    }
    send_frame("A", &go())?;
    let sent = |run: &Run, nic: usize| super::sent_since(run, nic, SOURCE_MAC, Duration::ZERO).len();
    let start = now();
    while sent(&run, 0) < FRAMES / 4 {
        require!(now() < start + STEP, "nic0 has sent {} frames", sent(&run, 0));
        sleep(Duration::from_millis(1));
    }
    run.pull_at_mark(0)?;
    let line = run.expect_fields("failover lan: nic0 -> nic1")?;
    run.expect("sender| PASS")?;
    run.finish()?;
    let is_traffic =
        |frame: &[u8]| frame::source(frame) == SOURCE_MAC && frame::ether_type(frame) != Some(RARP);
    let after = first_after_mark(&run, is_traffic)?;
    let (on_wires, swallowed) = ([0, 1].map(|nic| sent(&run, nic)), swallowed(&run, 0));
    println!(
        "{} {} -> {}: a frame {after:?} after the pull; of {FRAMES} on the wires {on_wires:?}, {swallowed} swallowed: {}",
        test.backend,
        models[0],
        models[1],
        line.line()
    );
    require!(line.number("lost")? == 0 && after < LIMIT_OF_GUEST, "{}", line.line());
    require!(on_wires.iter().sum::<usize>() + swallowed == FRAMES, "frames are missing");
    Ok(())
}

/// A frame for the sender, which begins then.
fn go() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..14].copy_from_slice(&[0x52, 0x54, 0, 0, 1, 2, 2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    frame
}

/// At most one is missed: that which was under way when the cable was pulled.
fn check_pings(run: &Run, tally: &Tally, pulled: Duration) -> Outcome {
    println!("  pings: {} of {} missed, slowest {:?}", tally.missed.len(), tally.sent, tally.slowest);
    require!(tally.sent > 10 && tally.missed.len() <= 1, "{tally:?}");
    let at_pull = |time: Duration| time.abs_diff(pulled) < super::MOMENT;
    for sequence in &tally.missed {
        require!(super::pinged(run, &ECHO.mac(), *sequence, at_pull)?, "not at the pull: {tally:?}");
    }
    Ok(())
}

/// The NICs on whose wires the datagram with this number to the guest `sink` was.
fn wires_to_sink(run: &Run, number: u32) -> Vec<usize> {
    let is_it = |bytes: &[u8]| frame::destination(bytes) == SINK_MAC && frame::number(bytes) == Some(number);
    (0..2).filter(|nic| !run.captures[*nic].select(false, is_it).is_empty()).collect()
}

/// The datagrams that did not reach the guest `sink`, which has found no other fault.
fn missing_at_sink(run: &Run) -> Outcome<Vec<u32>> {
    let text = run.console.text();
    let mut missing = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("sink| fault: ")) {
        let number = |key: &str| line.split_once(key)?.1.split([',', ' ']).next()?.parse::<u32>().ok();
        let range = number("Missing { from: ").zip(number("to: "));
        let (from, to) = range.ok_or_else(|| Failure::Wrong(format!("sink: {line}")))?;
        missing.extend(from..to);
    }
    Ok(missing)
}

/// The switch looks for this address behind the survivor.
fn is_learnt(run: &Run, mac: &str) -> Outcome {
    let learnt = run.lan()?.learnt("A", mac)?;
    require!(learnt.as_deref() == Some("nic1"), "the switch has learnt {learnt:?} for {mac}");
    Ok(())
}

/// Whatever is sent after the failover goes by the other NIC, and the switch has been told.
fn check_wires(run: &Run, pulled: Duration) -> Outcome {
    for mac in [SOURCE_MAC, SINK_MAC, &*ECHO.mac()] {
        let told = [0, 1].map(|nic| announcements(run, nic, mac, pulled).len());
        require!(told == [0, COPIES], "{mac} is announced {told:?} times");
        require!(nics_of(run, mac, Duration::ZERO) == [0, 1], "{mac} did not use both NICs");
    }
    let last = run.captures[0].select(true, |_| true).last().map_or(pulled, |frame| frame.time);
    require!(last < pulled + super::SOON, "nic0 sends {:?} after its cable was pulled", last - pulled);
    Ok(())
}
