//! How soon the log and a guest's card know that the cable of the physical card was pulled or put back, by the clock
//! of the machine. A Linux guest is no witness: its driver looks every two seconds, and an interrupt does not make it
//! look sooner.

use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::line::Line;
use end_to_end::machine::CardModel;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, Vm, require};
use libtest_mimic::Trial;

const CARDS: [CardModel; 4] = [CardModel::E1000, CardModel::E1000Copper, CardModel::E1000e, CardModel::Igb];
/// How often the cable is pulled and put back.
const PULLS: usize = 9;
/// The place of the delay that is judged, in their order: a busy host makes some long. If the drivers found out by
/// their look every 100 ms, one of nine would be below the limit.
const JUDGED: usize = 3;
/// Milliseconds until the log and the guest's card must know. What the test itself takes between the guest's mark and
/// the change counts as well.
const LIMIT: f64 = 10.0;
/// QEMU's cards take so many milliseconds to agree on a speed with the other side.
const NEGOTIATION: f64 = 500.0;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let trial = |card| {
        let needs = [Need::Card(card), Need::Cable];
        trial_needing(backend, &needs, format!("{card}_tells_of_its_cable_at_once"), move |test| {
            cable(test, card)
        })
    };
    CARDS.into_iter().map(trial).collect()
}

/// Milliseconds from before a change to the line about it, in Weir's log and by the guest's card.
#[derive(Default)]
struct Delays {
    weir: Vec<f64>,
    guest: Vec<f64>,
}

fn cable(test: &Test, card: CardModel) -> Outcome {
    let vm = Vm::micro("vm0", "nic_link", "")?.nic("52:54:00:00:01:02");
    let mut run = Run::start(test, &Scenario::new(vec![vm]).on(&[card]))?;
    run.expect("vm0| READY")?;
    let megahertz = frequency(&run)?;
    let (mut pulled, mut put_back) = (Delays::default(), Delays::default());
    for _ in 0..PULLS {
        change(&mut run, false, megahertz, &mut pulled)?;
        change(&mut run, true, megahertz, &mut put_back)?;
    }
    run.console.type_text("q")?;
    run.expect("vm0| PASS nic_link")?;
    run.finish()?;
    for (what, delays, rest) in [("pulled", pulled, 0.0), ("put back", put_back, NEGOTIATION)] {
        for (who, mut delays) in [("Weir's log", delays.weir), ("the guest's card", delays.guest)] {
            delays.sort_by(f64::total_cmp);
            let judged = delays[JUDGED] - rest;
            println!("{} {card}: cable {what}: {who} has it after {judged:.1} ms", test.backend);
            require!(judged <= LIMIT, "cable {what}: {who} has it after {judged:.1} ms: {delays:.1?}");
        }
    }
    Ok(())
}

fn change(run: &mut Run, up: bool, megahertz: f64, delays: &mut Delays) -> Outcome {
    let before = mark(run, megahertz)?;
    run.emulator.set_link(0, up)?;
    let state = if up { "up" } else { "down" };
    let of_weir = run.expect(&format!("nic0: link {state}"))?;
    let Line::Weir { seconds, .. } = Line::parse(&of_weir) else {
        return Err(Failure::Wrong(format!("no time in: {of_weir}")));
    };
    delays.weir.push(1e3 * seconds - before);
    delays.guest.push(time_after(run, &format!("vm0| LINK {state} "), megahertz)? - before);
    Ok(())
}

/// The guest's time at an answer, in milliseconds of Weir's clock.
fn mark(run: &mut Run, megahertz: f64) -> Outcome<f64> {
    run.console.type_text("m")?;
    time_after(run, "vm0| MARK ", megahertz)
}

/// The time-stamp counter that a line of the guest ends with, in milliseconds of Weir's clock: both begin at once.
fn time_after(run: &mut Run, text: &str, megahertz: f64) -> Outcome<f64> {
    run.expect(text)?;
    let line = run.expect("\n")?;
    let number = line.split_whitespace().last().and_then(|word| word.parse::<f64>().ok());
    number.map(|ticks| ticks / megahertz / 1e3).ok_or_else(|| Failure::Wrong(format!("no time in: {line}")))
}

/// What Weir has measured.
fn frequency(run: &Run) -> Outcome<f64> {
    let text = run.console.text();
    let number = text.split_once(", TSC ").and_then(|(_, rest)| rest.split_once(" MHz"));
    number
        .and_then(|(number, _)| number.parse().ok())
        .ok_or_else(|| Failure::Wrong("Weir's log has no frequency".into()))
}
