//! Guests that share processors, and their life cycle: shares, pause and resume, stop and restart, crash and
//! restart.

use crate::misbehaviour::stop;
use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::pinger::{Pinger, answers, ping};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const FIRST_MAC: &str = "52:54:00:00:01:02";
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);
const SECOND_MAC: &str = "52:54:00:00:01:03";
/// Switches between a guest's console and the shell.
const ESCAPE: &str = "\x1e";
/// Timeout for a ping that must not be answered.
const SILENCE: Duration = Duration::from_secs(2);
/// Datagrams of a transfer.
fn datagrams() -> u32 {
    choice::datagrams(2000)
}

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial_needing(backend, &[Need::Undisturbed], "shares_of_a_core_hold", shares_of_a_core_hold),
        trial(backend, "a_spinning_guest_starves_no_other_guest", |test| spinning_beside(test, 1)),
        trial(backend, "a_spinning_guest_starves_no_other_guest_on_two_cores", |test| {
            spinning_beside(test, 2)
        }),
        trial(backend, "guests_on_two_cores_exchange_datagrams", guests_on_two_cores_exchange_datagrams),
        trial(backend, "three_guests_share_one_core", |test| three_guests(test, 1)),
        trial(backend, "three_guests_share_two_cores", |test| three_guests(test, 2)),
        trial(backend, "three_guests_share_four_cores", |test| three_guests(test, 4)),
        trial(backend, "a_paused_guest_resumes_with_its_network", a_paused_guest_resumes_with_its_network),
        trial(backend, "a_guest_is_stopped_started_and_restarted", a_guest_is_stopped_started_and_restarted),
        trial_needing(
            backend,
            &[Need::Shutdown],
            "a_guest_resets_itself_by_firmware_and_by_a_breakpoint",
            resets,
        ),
        trial_needing(
            backend,
            &[Need::Shutdown],
            "a_guest_that_crashes_again_restarts_after_a_longer_delay",
            a_guest_that_crashes_again_restarts_after_a_longer_delay,
        ),
    ]
}

/// Types a command into the shell and waits for its answer.
pub fn command(run: &mut Run, text: &str, answer: &str) -> Outcome {
    run.console.type_text(&format!("{text}\r"))?;
    run.expect(&format!("weir| {answer}")).map(drop)
}

/// Opens the shell; its prompt is not a line of the log.
pub fn open_shell(run: &mut Run) -> Outcome {
    run.allow("weir> ");
    run.console.type_text(ESCAPE)?;
    run.expect("weir> ").map(drop)
}

/// Returns to the guest's console.
pub fn close_shell(run: &mut Run) -> Outcome {
    run.console.type_text(ESCAPE)
}

/// Makes the operator end Weir, in the open shell.
pub fn power_off(run: &mut Run) -> Outcome {
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}

/// Processor time in seconds that a guest has used, from the statistics at the end of the log.
fn ran(run: &Run, vm: &str) -> Outcome<f64> {
    let text = run.console.text();
    let begin = format!("{vm}: ran ");
    let value = text.lines().find_map(|line| line.split_once(&begin)?.1.split_once(" s")?.0.parse().ok());
    value.ok_or_else(|| end_to_end::Failure::Wrong(format!("no processor time of {vm} in the log")))
}

/// Processor time in seconds that two guests have used so far, from one `stats` command.
fn usage(run: &mut Run, vms: [&str; 2]) -> Outcome<[f64; 2]> {
    let from = run.console.text().len();
    run.console.type_text("stats\r")?;
    run.expect(&format!("weir| {}: starts", vms[1]))?;
    run.expect("exits")?;
    let text = run.console.text();
    let of = |vm: &str| {
        let begin = format!("weir| {vm}: starts 1, ran ");
        let line = text[from..].lines().find_map(|line| line.strip_prefix(&begin))?;
        line.split_once(" s")?.0.parse().ok()
    };
    let both = of(vms[0]).zip(of(vms[1])).map(|(first, second)| [first, second]);
    both.ok_or_else(|| end_to_end::Failure::Wrong("no processor times in the answer to stats".into()))
}

fn shares_of_a_core_hold(test: &Test) -> Outcome {
    let spin = format!("for=ever interrupts={}", off_if_harmless(test));
    let vms = vec![
        VmSpec::micro("small", "spin", &spin)?.shares(500),
        VmSpec::micro("large", "spin", &spin)?.shares(1500),
    ];
    let mut run = Run::start(test, &Scenario::new(vms).free())?;
    while !["small| 1 s", "large| 1 s"].iter().all(|text| run.console.count(text) > 0) {
        run.expect("| 1 s")?;
    }
    open_shell(&mut run)?;
    let before = usage(&mut run, ["small", "large"])?;
    run.expect("small| 5 s")?;
    let after = usage(&mut run, ["small", "large"])?;
    let ratio = (after[1] - before[1]) / (after[0] - before[0]);
    require!(
        (ratio / 3.0 - 1.0).abs() < 0.05,
        "the guest with three times the shares got {ratio} times the processor time"
    );
    power_off(&mut run)
}

/// Each guest is started again after its reset, as often as it resets itself.
fn resets(test: &Test) -> Outcome {
    let ways = ["low", "high", "port", "trap"];
    let vms = ways.iter().map(|way| VmSpec::micro(way, "reset_ways", way)).collect::<Outcome<_>>()?;
    let mut run = Run::start(test, &Scenario::new(vms))?;
    // Guests that do not last wait before their next start.
    run.allow(" in a row, starts again in ");
    for way in ways {
        run.expect_in_any_order(&format!("INFO  vm: {way}: reset"))?;
        run.expect_in_any_order(&format!("INFO  vm: {way}: started"))?;
    }
    open_shell(&mut run)?;
    power_off(&mut run)
}

/// Whether a guest spins with interrupts on: off, where Weir can interrupt it nevertheless.
fn off_if_harmless(test: &Test) -> &'static str {
    if test.backend.lacks(Need::InterruptWhileOff).is_some() { "on" } else { "off" }
}

/// A machine with this number of processors on which one guest spins while another sends datagrams to a third.
fn beside_a_spinner(test: &Test, cpus: u32, load: &str) -> Outcome<Run> {
    let blast = format!("ip={SECOND} peer={FIRST} {load}");
    let vms = vec![
        VmSpec::micro("spinner", "spin", &format!("for=ever interrupts={}", off_if_harmless(test)))?,
        VmSpec::micro("sink", "nic_sink", &format!("ip={FIRST}"))?.nic(FIRST_MAC),
        VmSpec::micro("source", "nic_blast", &blast)?.nic(SECOND_MAC),
    ];
    let mut scenario = Scenario::new(vms);
    scenario.machine.cpus = cpus;
    Run::start(test, &scenario)
}

/// A guest spins while two others exchange datagrams, none of which is lost.
fn spinning_beside(test: &Test, cpus: u32) -> Outcome {
    let mut run = beside_a_spinner(test, cpus, &format!("count={} window=32", datagrams()))?;
    run.expect("spinner| 1 s")?;
    for verdict in ["source| PASS nic_blast", "sink| PASS nic_sink"] {
        run.expect_in_any_order(verdict)?;
    }
    open_shell(&mut run)?;
    command(&mut run, "vm stop spinner", "spinner: stopped")?;
    power_off(&mut run)
}

fn guests_on_two_cores_exchange_datagrams(test: &Test) -> Outcome {
    let blast = format!("ip={SECOND} peer={FIRST} count={} window=32", datagrams());
    let vms = vec![
        VmSpec::micro("sink", "nic_sink", &format!("ip={FIRST}"))?.nic(FIRST_MAC).on_core(0),
        VmSpec::micro("source", "nic_blast", &blast)?.nic(SECOND_MAC).on_core(1),
    ];
    let mut scenario = Scenario::new(vms);
    scenario.machine.cpus = 2;
    let mut run = Run::start(test, &scenario)?;
    run.expect("2 cores run")?;
    run.expect("| PASS ")?;
    run.expect("| PASS ")?;
    run.finish()
}

/// Seconds for which three guests share the machine: the environment variable `SOAK_SECONDS`, or 10.
fn soak_seconds() -> u32 {
    std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// One guest spins while the other two exchange datagrams with each other and one of them answers pings from the
/// wire; the other is paused for a while. Neither frames nor processor time get lost.
fn three_guests(test: &Test, cpus: u32) -> Outcome {
    let count = soak_seconds() * 20;
    let timeout = STEP + Duration::from_secs(u64::from(soak_seconds()) * 3);
    let mut run = beside_a_spinner(test, cpus, &format!("count={count} window=32 gap=5"))?;
    run.expect("sink| READY")?;
    require!(answers(FIRST, STEP)?, "no answer to ping to begin with");
    let pinger = Pinger::start(FIRST, STEP)?;
    open_shell(&mut run)?;
    // Its core may take longer to answer than the shell waits.
    command(&mut run, "vm pause source", "source: ")?;
    run.expect_in_any_order("vm: source: paused")?;
    sleep(SILENCE);
    command(&mut run, "vm resume source", "source: ")?;
    run.expect_in_any_order("vm: source: resumed")?;
    // The sink powers off at the end of the traffic; the pings must have stopped before.
    run.expect_within(&format!("sent {} of {count}", count / 10 * 7), timeout)?;
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty(), "ping missed: {tally:?}");
    run.expect_within("source: powered off", timeout)?;
    run.expect_in_any_order("sink: powered off")?;
    command(&mut run, "vm stop spinner", "spinner: stopped")?;
    power_off(&mut run)?;
    for verdict in ["source| PASS nic_blast", "sink| PASS nic_sink"] {
        require!(run.console.count(verdict) == 1, "no \"{verdict}\"");
    }
    if test.backend.lacks(Need::Undisturbed).is_none() { core_time_is_spent(&run, cpus) } else { Ok(()) }
}

/// The core of the spinning guest was never idle: all its time went to the spinner and the guests beside it,
/// except what Weir needed for timers and the wire, which is a lot in an emulator.
fn core_time_is_spent(run: &Run, cpus: u32) -> Outcome {
    let stamp = |text: &str| -> Option<f64> {
        let log = run.console.text();
        let line = log.lines().find(|line| line.contains(text))?;
        line.strip_prefix('[')?.split_once(']')?.0.trim().parse().ok()
    };
    let begin = stamp(" shell: ");
    let end = stamp("spinner: stopped by the operator");
    let elapsed = begin.zip(end).map(|(begin, end)| end - begin);
    let elapsed = elapsed.ok_or_else(|| end_to_end::Failure::Wrong("no time stamps in the log".into()))?;
    // Guests are placed in order on the core with the fewest shares: with fewer than three cores, the source is on
    // the spinner's.
    let beside: &[&str] = match cpus {
        1 => &["spinner", "sink", "source"],
        2 => &["spinner", "source"],
        _ => &["spinner"],
    };
    let ran = beside.iter().map(|vm| ran(run, vm)).sum::<Outcome<f64>>()?;
    let spent = ran / elapsed;
    require!((0.9..=1.02).contains(&spent), "guests used a fraction of {spent} of the core's time");
    Ok(())
}

fn a_paused_guest_resumes_with_its_network(test: &Test) -> Outcome {
    let vm = VmSpec::micro("echo", "nic_echo", &format!("ip={FIRST}"))?.nic(FIRST_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    run.expect("echo| READY")?;
    require!(answers(FIRST, STEP)?, "no answer to ping to begin with");
    open_shell(&mut run)?;
    command(&mut run, "vm resume echo", "echo: no resume: it is not paused")?;
    command(&mut run, "vm pause echo", "echo: paused")?;
    command(&mut run, "vm pause echo", "echo: no pause: it is paused")?;
    require!(ping(FIRST, 1, 56, SILENCE)?.missed.len() == 1, "a paused guest answers");
    command(&mut run, "vm resume echo", "echo: ")?;
    require!(answers(FIRST, STEP)?, "no answer to ping after the pause");
    close_shell(&mut run)?;
    stop(FIRST)?;
    run.expect("echo| PASS nic_echo")?;
    run.finish()
}

fn a_guest_is_stopped_started_and_restarted(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("echo", "nic_echo", &format!("ip={FIRST}"))?.nic(FIRST_MAC),
        VmSpec::micro("later", "hello", "")?.not_started(),
        VmSpec::micro("busy", "spin", "seconds=1 naps=on")?.not_started(),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.expect("echo| READY")?;
    open_shell(&mut run)?;
    command(&mut run, "vm start later", "later: ")?;
    run.expect("later: powered off")?;
    command(&mut run, "vm stop echo", "echo: stopped")?;
    command(&mut run, "vm stop echo", "echo: no stop: it is stopped")?;
    require!(ping(FIRST, 1, 56, SILENCE)?.missed.len() == 1, "a stopped guest answers");
    command(&mut run, "vm start echo", "echo: ")?;
    run.expect("echo: started")?;
    require!(answers(FIRST, STEP)?, "no answer to ping after the start");
    command(&mut run, "vm restart echo", "echo: ")?;
    run.expect("echo: started")?;
    require!(answers(FIRST, STEP)?, "no answer to ping after the restart");
    // It runs when it is restarted, and must not go on: it would halt, which is no state that leads to a start.
    command(&mut run, "vm start busy", "busy: starting")?;
    run.expect("busy| START spin")?;
    for _ in 0..3 {
        command(&mut run, "vm restart busy", "busy: starting")?;
        run.expect("busy| START spin")?;
    }
    run.expect("busy| PASS spin")?;
    close_shell(&mut run)?;
    stop(FIRST)?;
    run.expect("echo| PASS nic_echo")?;
    run.finish()
}

fn a_guest_that_crashes_again_restarts_after_a_longer_delay(test: &Test) -> Outcome {
    let vm = VmSpec::micro("crasher", "triple_fault", "")?;
    let mut run = Run::start(test, &Scenario::new(vec![vm]).free())?;
    run.allow("crasher: ");
    for (crash, wait) in [(1, 1), (2, 2), (3, 4)] {
        run.expect("ERROR vm: crasher: stopped: triple fault")?;
        run.expect(&format!("crasher: crash {crash} in a row, starts again in {wait} s"))?;
        run.expect("crasher: started")?;
    }
    open_shell(&mut run)?;
    power_off(&mut run)
}
