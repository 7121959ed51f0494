//! What one frame costs: two runs that differ in the number of frames only, so that all else falls away.

use super::Figure;
use crate::failure::Context;
use crate::machine::{Card, CardModel, Pace, Wire};
use crate::statistics::Statistics;
use crate::{Backend, Failure, Outcome, Run, Scenario, Vm, artifacts, require};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// For a run of a busy machine.
const LIMIT: Duration = Duration::from_secs(1800);

/// What frames cost on their way, per frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Exits of the VM that is looked at.
    pub exits: f64,
    /// Interrupts that this VM was given.
    pub interrupts: f64,
    /// Instructions of Weir, whichever VM they were for.
    pub instructions: f64,
}

impl Cost {
    /// Its figures under one name.
    pub fn figures(self, name: &str) -> Vec<Figure> {
        vec![
            Figure::new(format!("{name}-exits"), self.exits, "exits/frame"),
            Figure::new(format!("{name}-interrupts"), self.interrupts, "interrupts/frame"),
            Figure::new(format!("{name}-instructions"), self.instructions, "instructions/frame"),
        ]
    }
}

/// What carries a vNIC's frames: the machine's card, which is on no wire.
pub const WIRE: usize = 0;
/// Nothing: the vNIC reaches others of its kind.
pub const LOCAL: usize = 1;

/// VMs on a machine that counts, with one card.
pub fn machine(vms: Vec<Vm>) -> Scenario {
    let mut scenario = Scenario::new(vms);
    scenario.machine.pace = Pace::Counted;
    scenario.machine.cards = vec![Card { wire: Wire::Null, ..Card::on_tap(WIRE, CardModel::E1000) }];
    scenario
}

/// The cost for the VM `vm` of a frame of a scenario, which is made for a number of frames and a folder; `frames` are the
/// two numbers.
///
/// # Errors
/// A run failed.
pub fn per_frame(
    name: &str,
    vm: &str,
    frames: [u32; 2],
    make: impl Fn(u32, &Path) -> Outcome<Scenario> + Sync,
) -> Outcome<Cost> {
    let run = |frames: u32| {
        let folder = folder(&format!("{name}-{frames}"))?;
        let scenario = make(frames, &folder)?;
        run(folder, &scenario)
    };
    let [few, many] = frames;
    // Each run has a core and a network of its own.
    let (with_many, with_few) = thread::scope(|scope| {
        let other = scope.spawn(|| run(few));
        (run(many), other.join())
    });
    let with_few = with_few.map_err(|_| Failure::Wrong("a run panicked".into()))??;
    let (with_many, between) = (with_many?, f64::from(many - few));
    let per_frame = |of: &dyn Fn(&Statistics) -> Outcome<u64>| {
        Ok::<_, Failure>((of(&with_many)? as f64 - of(&with_few)? as f64) / between)
    };
    Ok(Cost {
        exits: per_frame(&|run| run.exits(vm))?,
        interrupts: per_frame(&|run| run.interrupts(vm))?,
        instructions: per_frame(&Statistics::weir_ticks)?,
    })
}

/// Runs a scenario to its end.
///
/// # Errors
/// It does not come to its end, or a line of the log is trouble.
pub fn run(folder: PathBuf, scenario: &Scenario) -> Outcome<Statistics> {
    let mut run = Run::start_in(Backend::BochsVtx, folder, scenario)?;
    run.expect_within(crate::run::CLOSING_LINE, LIMIT)?;
    run.emulator.wait_for_power_off(LIMIT)?;
    run.console.wait_for_end(LIMIT)?;
    let text = run.console.text();
    require!(!text.contains("TEST load FAIL"), "the guest's load failed: see {}", run.folder().display());
    Ok(Statistics::new(text))
}

/// An empty folder for a run: `target/bench/<name>`.
///
/// # Errors
/// What it held cannot be removed, or it cannot be made.
pub fn folder(name: &str) -> Outcome<PathBuf> {
    let folder = artifacts::target().join("bench").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).context(format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
    Ok(folder)
}
