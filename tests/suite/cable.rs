//! How soon Weir's log and a guest's vNIC report that the cable of the physical NIC was unplugged or plugged in,
//! by the clock of the machine. A Linux guest cannot show that: its driver polls every two seconds, and an
//! interrupt does not make it poll sooner.

use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::choice;
use end_to_end::line::LogLine;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;

const NICS: [EmulatedNicModel; 4] =
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000Copper, EmulatedNicModel::E1000e, EmulatedNicModel::Igb];
/// How often the cable is unplugged and plugged in.
const CYCLES: usize = 9;
/// Index of the checked delay in the sorted list: a busy host makes some of them long. If Weir's drivers noticed
/// the change by polling every 100 ms, only one delay in nine would be below the limit.
const CHECKED: usize = 3;
/// The maximum delay in milliseconds, including the time that the test itself takes between the guest's mark and
/// the change.
const LIMIT: f64 = 10.0;
/// The same where this machine is emulated itself, and takes milliseconds for each exit of a guest.
const LIMIT_EMULATED: f64 = 300.0;
/// The time in milliseconds that QEMU's NICs take to negotiate the speed.
const NEGOTIATION: f64 = 500.0;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let trial = |nic| {
        let needs = [Need::Nic(nic), Need::Cable];
        trial_needing(backend, &needs, format!("{nic}_reports_a_cable_change_at_once"), move |test| {
            cable(test, nic)
        })
    };
    let mut trials: Vec<Trial> = NICS.into_iter().map(trial).collect();
    let needs = [Need::Cable];
    let name = "guests_that_keep_their_link_reach_each_other_without_the_cable";
    trials.push(trial_needing(backend, &needs, name, without_the_cable));
    trials
}

fn without_the_cable(test: &Test) -> Outcome {
    // The first guest has the keyboard.
    let vms = vec![
        VmSpec::micro("source", "nic_blast", "ip=10.0.5.2 peer=10.0.5.3 count=500 start=key")?
            .nic("52:54:00:00:01:02")
            .keeps_link(),
        VmSpec::micro("sink", "nic_sink", "ip=10.0.5.3")?.nic("52:54:00:00:01:03").keeps_link(),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.expect("sink| READY")?;
    run.emulator.set_link(0, false)?;
    run.expect("nic0: link down")?;
    run.console.type_text("x")?;
    run.expect("| PASS")?;
    run.expect("| PASS")?;
    run.finish()
}

/// Milliseconds from just before a change to the line that reports it, in Weir's log and from the guest.
#[derive(Default)]
struct Delays {
    weir: Vec<f64>,
    guest: Vec<f64>,
}

fn cable(test: &Test, nic: EmulatedNicModel) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_link", "")?.nic("52:54:00:00:01:02");
    let mut run = Run::start(test, &Scenario::new(vec![vm]).with_nics(&[nic]))?;
    run.expect("vm0| READY")?;
    let megahertz = frequency(&run)?;
    let (mut unplugged, mut plugged_in) = (Delays::default(), Delays::default());
    for _ in 0..CYCLES {
        change(&mut run, false, megahertz, &mut unplugged)?;
        change(&mut run, true, megahertz, &mut plugged_in)?;
    }
    run.console.type_text("q")?;
    run.expect("vm0| PASS nic_link")?;
    run.finish()?;
    let limit = if choice::is_emulated() { LIMIT_EMULATED } else { LIMIT };
    for (what, delays, own) in [("unplugged", unplugged, 0.0), ("plugged in", plugged_in, NEGOTIATION)] {
        for (source, mut delays) in [("Weir's log", delays.weir), ("the guest's vNIC", delays.guest)] {
            delays.sort_by(f64::total_cmp);
            let delay = delays[CHECKED] - own;
            println!("{} {nic}: cable {what}: {source} reports it after {delay:.1} ms", test.backend);
            require!(delay <= limit, "cable {what}: {source} reports it after {delay:.1} ms: {delays:.1?}");
        }
    }
    Ok(())
}

fn change(run: &mut Run, up: bool, megahertz: f64, delays: &mut Delays) -> Outcome {
    let before = mark(run, megahertz)?;
    run.emulator.set_link(0, up)?;
    let state = if up { "up" } else { "down" };
    let line = run.expect(&format!("nic0: link {state}"))?;
    let LogLine::Weir { seconds, .. } = LogLine::parse(&line) else {
        return Err(Failure::Wrong(format!("no time in: {line}")));
    };
    delays.weir.push(1e3 * seconds - before);
    delays.guest.push(time_after(run, &format!("vm0| LINK {state} "), megahertz)? - before);
    Ok(())
}

/// Asks the guest for the time, in milliseconds of Weir's clock.
fn mark(run: &mut Run, megahertz: f64) -> Outcome<f64> {
    run.console.type_text("m")?;
    time_after(run, "vm0| MARK ", megahertz)
}

/// The time-stamp counter at the end of a line of the guest, in milliseconds of Weir's clock: both started
/// together.
fn time_after(run: &mut Run, text: &str, megahertz: f64) -> Outcome<f64> {
    run.expect(text)?;
    let line = run.expect("\n")?;
    let number = line.split_whitespace().last().and_then(|word| word.parse::<f64>().ok());
    number.map(|ticks| ticks / megahertz / 1e3).ok_or_else(|| Failure::Wrong(format!("no time in: {line}")))
}

/// The frequency of the time-stamp counter that Weir measured, in MHz.
fn frequency(run: &Run) -> Outcome<f64> {
    let text = run.console.text();
    let number = text.split_once(", TSC ").and_then(|(_, rest)| rest.split_once(" MHz"));
    number
        .and_then(|(number, _)| number.parse().ok())
        .ok_or_else(|| Failure::Wrong("Weir's log has no frequency".into()))
}
