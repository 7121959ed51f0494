//! The cable of the physical card is pulled and put back: the guest's driver says so, and traffic goes on. How soon its
//! card knows is tested with a micro-guest (`suite/cable.rs`).

use super::{Boot, GUEST};
use end_to_end::pinger::answers;
use end_to_end::run::STEP;
use end_to_end::{Failure, Outcome, Run, require};

/// How often; the middle of an odd number is judged, since a busy host may delay any one.
const PULLS: usize = 5;
/// Until the guest's card interrupts, in milliseconds.
const LIMIT: f64 = 10.0;
/// The guest's driver looks every two seconds: the look that an interrupt asks for does not come before one that is
/// due already.
const DRIVER: f64 = 2_000.0 + 8.0;
/// QEMU's cards take this long to agree on a speed with the other side.
const NEGOTIATION: f64 = 500.0;

pub fn cable(run: &mut Run, boot: &Boot) -> Outcome {
    let outcome = pull_and_put_back(run, boot);
    // The steps after this one want the cable.
    run.emulator.set_link(0, true).and(outcome)
}

fn pull_and_put_back(run: &mut Run, boot: &Boot) -> Outcome {
    // What the driver says comes to the console.
    run.shell("linux", "dmesg -n 7", STEP)?;
    let (mut pulled, mut put_back) = (Vec::new(), Vec::new());
    for _ in 0..PULLS {
        pulled.push(change(run, false, "nic0: link down", "NIC Link is Down")?);
        let up = "nic0: link up, 1000 Mb/s, full duplex";
        put_back.push(change(run, true, up, "NIC Link is Up 1000 Mbps Full Duplex")? - NEGOTIATION);
        // Frames of before may come as well: QEMU holds what is sent while the cable is out.
        require!(answers(GUEST, STEP)?, "no answer to ping with the cable back");
    }
    for (what, delays) in [("pulled", pulled), ("put back", put_back)] {
        println!(
            "{} {}: cable {what}: the guest's driver says so after {delays:.1?} ms",
            boot.backend, boot.card
        );
        let delay = middle(delays);
        require!(delay <= LIMIT + DRIVER, "cable {what}: the guest's driver says so after {delay:.1} ms");
    }
    Ok(())
}

/// Changes the cable; milliseconds of the guest's clock until its driver says so, which is after Weir has. They count
/// from a mark that the guest makes before, and the host's answer to it.
fn change(run: &mut Run, up: bool, of_weir: &str, of_guest: &str) -> Outcome<f64> {
    run.console.type_text("echo cable >/dev/kmsg\n")?;
    let mark = run.expect("] cable")?;
    run.emulator.set_link(0, up)?;
    run.expect(of_weir)?;
    let notice = run.expect(of_guest)?;
    Ok(1e3 * (time_before("] e1000: ", &notice)? - time_before("] cable", &mark)?))
}

/// The time that a message of a Linux guest's kernel bears, perhaps behind its prompt.
fn time_before(text: &str, line: &str) -> Outcome<f64> {
    line.split_once(text)
        .and_then(|(before, _)| before.rsplit_once('['))
        .and_then(|(_, seconds)| seconds.trim().parse().ok())
        .ok_or_else(|| Failure::Wrong(format!("no time in: {line}")))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}
