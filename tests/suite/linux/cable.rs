//! The cable of the physical NIC is unplugged and plugged in: the guest's driver reports it, and traffic
//! continues. How soon the vNIC reports it is tested with a micro-guest (`suite/cable.rs`).

use super::{Boot, GUEST};
use end_to_end::pinger::answers;
use end_to_end::run::STEP;
use end_to_end::{Failure, Outcome, Run, require};

/// How often the cable is unplugged and plugged in. An odd number: the median is checked, since a busy host may
/// delay any single report.
const CYCLES: usize = 5;
/// The maximum delay of the vNIC's interrupt, in milliseconds.
const LIMIT: f64 = 10.0;
/// The guest's driver polls every two seconds, and an interrupt does not make it poll before that.
const DRIVER: f64 = 2_000.0 + 8.0;
/// The time in milliseconds that QEMU's NICs take to negotiate the speed.
const NEGOTIATION: f64 = 500.0;

pub fn cable(run: &mut Run, boot: &Boot) -> Outcome {
    let outcome = unplug_and_plug_in(run, boot);
    // The following steps need the cable.
    run.emulator.set_link(0, true).and(outcome)
}

fn unplug_and_plug_in(run: &mut Run, boot: &Boot) -> Outcome {
    // Shows the driver's messages on the console.
    run.shell("linux", "dmesg -n 7", STEP)?;
    let (mut unplugged, mut plugged_in) = (Vec::new(), Vec::new());
    for _ in 0..CYCLES {
        unplugged.push(change(run, false, "nic0: link down", "NIC Link is Down")?);
        let up = "nic0: link up, 1000 Mb/s, full duplex";
        plugged_in.push(change(run, true, up, "NIC Link is Up 1000 Mbps Full Duplex")? - NEGOTIATION);
        // Earlier frames may arrive as well: QEMU queues frames that are sent while the cable is unplugged.
        require!(answers(GUEST, STEP)?, "no answer to ping with the cable plugged in again");
    }
    for (what, delays) in [("unplugged", unplugged), ("plugged in", plugged_in)] {
        println!("{} {}: cable {what}: the guest reports it after {delays:.1?} ms", boot.backend, boot.nic);
        let delay = median(delays);
        require!(delay <= LIMIT + DRIVER, "cable {what}: the guest reports it after {delay:.1} ms");
    }
    Ok(())
}

/// Unplugs the cable or plugs it in, and returns the delay in milliseconds of the guest's clock until its driver
/// reports it, which is after Weir's report. It counts from a mark that the guest makes just before.
fn change(run: &mut Run, up: bool, of_weir: &str, of_guest: &str) -> Outcome<f64> {
    run.console.type_text("echo cable >/dev/kmsg\n")?;
    let mark = run.expect("] cable")?;
    run.emulator.set_link(0, up)?;
    run.expect(of_weir)?;
    let notice = run.expect(of_guest)?;
    Ok(1e3 * (time_before("] e1000: ", &notice)? - time_before("] cable", &mark)?))
}

/// The time stamp of a message of the guest's kernel, which may follow the shell's prompt on its line.
fn time_before(text: &str, line: &str) -> Outcome<f64> {
    line.split_once(text)
        .and_then(|(before, _)| before.rsplit_once('['))
        .and_then(|(_, seconds)| seconds.trim().parse().ok())
        .ok_or_else(|| Failure::Wrong(format!("no time in: {line}")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}
