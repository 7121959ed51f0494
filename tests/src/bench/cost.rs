//! The cost of one frame, or of another operation: the difference between two runs that differ only in their number.

use super::Figure;
use crate::failure::ErrorContext;
use crate::machine::{EmulatedNic, EmulatedNicModel, Pace, Wire};
use crate::statistics::RunStatistics;
use crate::{Backend, Failure, Outcome, Run, Scenario, VmSpec, artifacts, require};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Timeout for a run. Generous: the host may be busy.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(1800);

/// The cost of a frame, or of another operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Exits of the measured VM.
    pub exits: f64,
    /// Interrupts injected into the measured VM.
    pub interrupts: f64,
    /// Instructions of Weir, for all VMs.
    pub instructions: f64,
}

impl Cost {
    /// Its figures, whose names begin with `name`.
    pub fn figures(self, name: &str) -> Vec<Figure> {
        self.figures_in(name, ["exits/frame", "interrupts/frame", "instructions/frame"])
    }

    /// The same in other units.
    pub fn figures_in(self, name: &str, units: [&'static str; 3]) -> Vec<Figure> {
        let values =
            [("exits", self.exits), ("interrupts", self.interrupts), ("instructions", self.instructions)];
        let named = values.into_iter().zip(units);
        named.map(|((of, value), unit)| Figure::new(format!("{name}-{of}"), value, unit)).collect()
    }
}

/// Uplink of a vNIC: the machine's NIC, which has no far side.
pub const WIRE: usize = 0;
/// No uplink: the vNIC only reaches other vNICs without one.
pub const LOCAL: usize = 1;

/// VMs on a machine that counts instructions, with one NIC.
pub fn machine(vms: Vec<VmSpec>) -> Scenario {
    let mut scenario = Scenario::new(vms);
    scenario.machine.pace = Pace::Counted;
    scenario.machine.nics =
        vec![EmulatedNic { wire: Wire::Null, ..EmulatedNic::on_tap(WIRE, EmulatedNicModel::E1000) }];
    scenario
}

/// The cost of a frame for the VM `vm`, with VT-x: see [`each`].
///
/// # Errors
/// A run failed.
pub fn per_frame(
    name: &str,
    vm: &str,
    frames: [u32; 2],
    make: impl Fn(u32, &Path) -> Outcome<Scenario> + Sync,
) -> Outcome<Cost> {
    each(Backend::BochsVtx, name, vm, frames, make)
}

/// The cost of a frame, or of what else the VM `vm` does so many times. `make` builds the scenario for a number of times in
/// a folder; it is run with both numbers in `times`.
///
/// # Errors
/// A run failed.
pub fn each(
    backend: Backend,
    name: &str,
    vm: &str,
    times: [u32; 2],
    make: impl Fn(u32, &Path) -> Outcome<Scenario> + Sync,
) -> Outcome<Cost> {
    let run = |times: u32| {
        let folder = folder(&format!("{name}-{times}"))?;
        // What boot leaves to be said would be said while the guests run, the longer run saying more of it then.
        let scenario = make(times, &folder)?.whole_log();
        run(backend, folder, &scenario)
    };
    let [few, many] = times;
    // Each run has its own core and network namespace.
    let (with_many, with_few) = thread::scope(|scope| {
        let other = scope.spawn(|| run(few));
        (run(many), other.join())
    });
    let with_few = with_few.map_err(|_| Failure::Wrong("a run panicked".into()))??;
    let (with_many, between) = (with_many?, f64::from(many - few));
    let each = |of: &dyn Fn(&RunStatistics) -> Outcome<u64>| {
        Ok::<_, Failure>((of(&with_many)? as f64 - of(&with_few)? as f64) / between)
    };
    Ok(Cost {
        exits: each(&|run| run.exits(vm))?,
        interrupts: each(&|run| run.interrupts(vm))?,
        instructions: each(&RunStatistics::weir_ticks)?,
    })
}

/// Runs a scenario until Weir powers off.
///
/// # Errors
/// It does not power off in time, or the log contains a warning or worse.
pub fn run(backend: Backend, folder: PathBuf, scenario: &Scenario) -> Outcome<RunStatistics> {
    let mut run = Run::start_in(backend, folder, scenario)?;
    run.expect_within(crate::run::CLOSING_LINE, RUN_TIMEOUT)?;
    run.emulator.wait_for_power_off(RUN_TIMEOUT)?;
    run.console.wait_for_end(RUN_TIMEOUT)?;
    let text = run.console.text();
    require!(!text.contains("TEST load FAIL"), "the guest's load failed: see {}", run.folder().display());
    Ok(RunStatistics::new(text))
}

/// An empty folder for a run: `target/bench/<name>`.
///
/// # Errors
/// Its contents cannot be removed, or it cannot be created.
pub fn folder(name: &str) -> Outcome<PathBuf> {
    let folder = artifacts::target().join("bench").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).context(format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).context(format!("creating {}", folder.display()))?;
    Ok(folder)
}
