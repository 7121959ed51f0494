//! A guest that gives its NIC as much work as it can costs no other guest of its core more than its share of time.
//! Beside it, a guest watches the clock: how long it stands still at a time. And a guest that takes no frames costs
//! another one none of its own.

use crate::lifecycle::{open_shell, power_off};
use crate::misbehaviour::stop;
use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

/// Two slices (`SLICE` in `kernel/crates/schedule`), in microseconds.
pub const TWO_SLICES: u32 = 4000;
/// For how many seconds the guest watches beside the other one.
const SECONDS: u32 = 3;
/// Time between two frames from the wire to all.
const GAP: Duration = Duration::from_millis(2);
/// Length of a large initial RAM disk.
const INITRD: usize = 16 << 20;
/// The guest that is pinged beside one that takes no frames.
const BYSTANDER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);

pub fn trials(backend: Backend) -> Vec<Trial> {
    let mut trials: Vec<Trial> = [
        ("a_packet_of_a_million_segments_costs_no_other_guest_its_time", "segments"),
        ("a_ring_of_32766_frames_costs_no_other_guest_its_time", "frames"),
        ("a_ring_of_32766_broadcasts_costs_no_other_guest_its_time", "broadcasts"),
        ("a_ring_of_32766_empty_fragments_costs_no_other_guest_its_time", "fragments"),
    ]
    .into_iter()
    .map(|(name, work)| {
        trial_needing(backend, &[Need::Undisturbed], name, move |test| beside(test, work, |_| Ok(())))
    })
    .collect();
    let name = "a_ring_of_32766_empty_buffers_costs_no_other_guest_its_time";
    trials
        .push(trial_needing(backend, &[Need::Undisturbed], name, |test| beside(test, "nulls", send_to_all)));
    let name = "a_start_with_a_large_initrd_costs_no_other_guest_its_time";
    trials.push(trial_needing(backend, &[Need::Speed, Need::Undisturbed], name, beside_starts));
    trials.push(trial(backend, "a_guest_that_takes_no_frames_costs_no_other_guest_its_frames", beside_full));
    trials
}

/// A guest that watches the clock, with interrupts on where the machine's would not be taken at once while it has them off.
pub fn bystander(test: &Test) -> Outcome<VmSpec> {
    let late = test.backend.accelerator().is_none() || test.backend.lacks(Need::InterruptWhileOff).is_some();
    let interrupts = if late { "on" } else { "off" };
    VmSpec::micro("bystander", "watch", &format!("for=ever interrupts={interrupts}"))
}

/// One guest works its NIC hard, and another one watches the clock. `meanwhile` is done once a second.
fn beside(test: &Test, work: &str, meanwhile: impl Fn(&UdpSocket) -> Outcome) -> Outcome {
    // The first guest has the keyboard.
    let vms = vec![
        VmSpec::micro("hog", "nic_hog", &format!("work={work} start=key"))?.nic("52:54:00:00:01:02"),
        bystander(test)?,
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    // What the guest does wrong is said once.
    run.allow("WARN  vm: hog: vnic");
    run.expect("bystander| longest pause")?;
    run.console.type_text("x")?;
    run.expect(&format!("hog| GO {work}"))?;
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.set_broadcast(true).context("sending to all")?;
    // The second in which it began is not whole.
    run.expect("bystander| longest pause")?;
    let before = run.console.text().len();
    for _ in 0..SECONDS {
        meanwhile(&socket)?;
        run.expect("bystander| longest pause")?;
        run.expect(" us in second")?;
    }
    let pauses = pauses(&run.console.text()[before..]);
    let longest = pauses.iter().max();
    require!(longest.is_some_and(|pause| *pause <= TWO_SLICES), "the bystander stood still: {pauses:?} us");
    open_shell(&mut run)?;
    power_off(&mut run)
}

/// A guest with a large initial RAM disk is started again and again, and another one watches the clock.
fn beside_starts(test: &Test) -> Outcome {
    let folder = test.empty_folder()?;
    let initrd = folder.join("initrd");
    std::fs::write(&initrd, vec![0x5a; INITRD]).context("writing the initrd")?;
    let vms = vec![
        VmSpec::micro("bystander", "watch", "for=ever")?,
        VmSpec::micro("starter", "hello", "")?.with_initrd(initrd).not_started(),
    ];
    let mut run = Run::start_in(test.backend, folder, &Scenario::new(vms))?;
    run.expect("bystander| longest pause")?;
    open_shell(&mut run)?;
    run.expect("bystander| longest pause")?;
    let before = run.console.text().len();
    for _ in 0..SECONDS {
        run.console.type_text("vm start starter\r")?;
        run.expect("starter| PASS hello")?;
        run.expect("bystander| longest pause")?;
    }
    let pauses = pauses(&run.console.text()[before..]);
    let longest = pauses.iter().max();
    require!(longest.is_some_and(|pause| *pause <= TWO_SLICES), "the bystander stood still: {pauses:?} us");
    power_off(&mut run)
}

/// A guest answers pings between broadcasts that another one has no room for.
fn beside_full(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("hog", "nic_hog", "work=full")?.nic("52:54:00:00:01:02"),
        VmSpec::micro("bystander", "nic_echo", &format!("ip={BYSTANDER}"))?.nic("52:54:00:00:01:03"),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.expect("hog| GO full")?;
    run.expect_in_any_order("bystander| READY")?;
    require!(answers(BYSTANDER, STEP)?, "the bystander does not answer");
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.set_broadcast(true).context("sending to all")?;
    // More than the FIFO of a vNIC has room for.
    for _ in 0..100 {
        socket.send_to(&[0; 1400], "10.0.5.255:9").context("sending to all")?;
        let tally = ping(BYSTANDER, 1, 56, STEP)?;
        require!(tally.missed.is_empty(), "{tally:?}");
    }
    stop(BYSTANDER)?;
    run.expect("bystander| PASS nic_echo")?;
    open_shell(&mut run)?;
    power_off(&mut run)?;
    // The first port is the wire's. What the hog had no room for was dropped at once, and has waited for nothing.
    let text = run.console.text();
    let counters = text.lines().find(|line| line.contains("switch nic0 port 1:")).unwrap_or_default();
    let at_once = counters.contains(" no_room ") && !counters.contains(" held_too_long ");
    require!(at_once, "the hog's port: {counters}");
    Ok(())
}

/// Sends frames to all guests for about a second.
fn send_to_all(socket: &UdpSocket) -> Outcome {
    for _ in 0..500 {
        socket.send_to(b"all", "10.0.5.255:9").context("sending to all")?;
        std::thread::sleep(GAP);
    }
    Ok(())
}

/// The pauses in the lines of the guest that watches.
pub fn pauses(text: &str) -> Vec<u32> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("bystander| longest pause "));
    lines.filter_map(|line| line.split_once(" us in second")?.0.parse().ok()).collect()
}
