//! Figures that need no frame: sizes, memory, and the time to the first guest.

use super::Figure;
use super::cost::{folder, machine, run};
use crate::failure::ErrorContext;
use crate::{Backend, Failure, Outcome, VmSpec, artifacts};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Sizes of the kernel and of an image with the smallest guest; memory, and instructions until that guest runs.
pub fn figures() -> Outcome<Vec<Figure>> {
    let folder = folder("still")?;
    let scenario = machine(vec![VmSpec::micro("vm0", "hello", "")?.nic("52:54:00:00:01:01")]);
    let image = fs::metadata(scenario.build(&folder)?).context("the image")?.len();
    let kernel = stripped_kernel(&folder)?;
    let log = run(Backend::BochsVtx, folder, &scenario)?;
    let kib = |before, after| log.number(before, after).map(|kib| kib as f64);
    let own = kib("Weir's tables, rings and heap ", " KiB")?;
    let loaded = kib("kernel and loader ", " KiB")?;
    let before = log.number("TSC ticks: ", " before Weir")? as f64;
    let boot = log.number(" before Weir, ", " until the first guest")? as f64;
    Ok(vec![
        Figure::new("kernel-size", kernel as f64, "bytes"),
        Figure::new("image-size", image as f64, "bytes"),
        Figure::new("hypervisor-memory", own + loaded, "KiB"),
        Figure::new("hypervisor-memory-kernel-and-loader", loaded, "KiB"),
        Figure::new("boot-to-first-guest-instruction", before + boot, "instructions"),
        Figure::new("boot-in-weir", boot, "instructions"),
    ])
}

/// Size in bytes of the kernel without its symbols, as it is in images.
fn stripped_kernel(folder: &Path) -> Outcome<u64> {
    let stripped = folder.join("kernel");
    let output = Command::new("strip")
        .args(["--strip-all", "-o"])
        .arg(&stripped)
        .arg(artifacts::kernel()?)
        .output()
        .context("starting strip")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::Program { program: "strip".into(), output: said });
    }
    Ok(fs::metadata(stripped).context("the stripped kernel")?.len())
}
