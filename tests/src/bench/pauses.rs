//! How long a guest stands still beside one that gives its NIC as much work as it can.

use super::Figure;
use super::cost::{RUN_TIMEOUT, WIRE, folder, machine};
use crate::statistics::RunStatistics;
use crate::{Backend, Outcome, Run, VmSpec};

/// Kinds of work of the micro-guest `nic_hog`.
const WORK: [&str; 4] = ["frames", "broadcasts", "segments", "fragments"];
/// When the work begins, in hundredths of a second after the start of the guests: the one that watches has found out the
/// speed of its clock by then, and stands still for no more than its neighbour's interrupts.
const AFTER: u32 = 150;
/// For how many seconds the guest watches.
const SECONDS: u32 = 4;

/// The longest time between two readings of the bystander's clock.
pub fn figures() -> Outcome<Vec<Figure>> {
    WORK.map(beside).into_iter().collect()
}

fn beside(work: &str) -> Outcome<Figure> {
    let name = format!("pause-beside-{work}");
    let hog = VmSpec::micro("hog", "nic_hog", &format!("work={work} after={AFTER}"))?;
    let bystander = VmSpec::micro("bystander", "watch", &format!("seconds={SECONDS} interrupts=on"))?;
    let scenario = machine(vec![hog.nic_on(WIRE, "52:54:00:00:01:02"), bystander]);
    let mut run = Run::start_in(Backend::BochsVtx, folder(&name)?, &scenario)?;
    // What the guest does wrong is said once.
    run.allow("WARN  vm: hog: vnic");
    run.expect_within(&format!("hog| GO {work}"), RUN_TIMEOUT)?;
    // The hog goes on for ever, and the machine with it.
    run.expect_within(&format!(" us in {SECONDS} seconds"), RUN_TIMEOUT)?;
    let log = RunStatistics::new(run.console.text());
    let pause = log.number("bystander| longest pause ", &format!(" us in {SECONDS} seconds"))?;
    Ok(Figure::new(name, pause as f64, "us"))
}
