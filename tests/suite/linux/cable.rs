//! The cable of the physical card is pulled and put back: how soon Weir and the guest know, and that traffic goes on.

use super::{Boot, GUEST};
use end_to_end::line::Line;
use end_to_end::pinger::answers;
use end_to_end::run::STEP;
use end_to_end::{Failure, Outcome, Run, require};
use std::time::Instant;

/// How often; the middle of an odd number is judged, since a busy host may delay any one.
const PULLS: usize = 5;
/// Until Weir's log has the new state, in milliseconds.
const WEIR_LIMIT: f64 = 10.0;
/// Until the guest's log has it: its driver looks one tick of 4 ms after the interrupt, which may mean two.
const GUEST_LIMIT: f64 = WEIR_LIMIT + 8.0;
/// QEMU's cards take this long to agree on a speed with the other side, in milliseconds.
const NEGOTIATION: f64 = 500.0;

/// An event as the host sees it and as a clock of the machine does. That clock runs as fast as the host's, from
/// another beginning.
struct Sighting {
    /// When the host changed the cable, in seconds.
    changed: f64,
    /// When the line came, by the host's clock.
    came: f64,
    /// The time that the line bears, by the machine's clock.
    written: f64,
}

/// Milliseconds from each change to the line about it, and never less than it was. The clocks differ by no more than
/// the least difference that is seen, since no line comes before it is written.
fn delays(sightings: &[Sighting]) -> Vec<f64> {
    let offset = sightings.iter().map(|seen| seen.came - seen.written).fold(f64::INFINITY, f64::min);
    sightings.iter().map(|seen| 1e3 * (seen.written + offset - seen.changed)).collect()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

pub fn cable(run: &mut Run, boot: &Boot) -> Outcome {
    let outcome = pull_and_put_back(run, boot);
    // The steps after this one want the cable.
    run.emulator.set_link(0, true).and(outcome)
}

fn pull_and_put_back(run: &mut Run, boot: &Boot) -> Outcome {
    let start = Instant::now();
    let (mut weir, mut guest) = (Vec::new(), Vec::new());
    for _ in 0..PULLS {
        for (up, of_weir, of_guest) in [
            (false, "nic0: link down", "NIC Link is Down"),
            (true, "nic0: link up, 1000 Mb/s, full duplex", "NIC Link is Up 1000 Mbps Full Duplex"),
        ] {
            let changed = start.elapsed().as_secs_f64();
            run.emulator.set_link(0, up)?;
            for (sightings, text) in [(&mut weir, of_weir), (&mut guest, of_guest)] {
                let line = run.expect(text)?;
                let came = start.elapsed().as_secs_f64();
                sightings.push(Sighting { changed, came, written: time_of(&line)? });
            }
        }
        // Frames of before may come as well: QEMU holds what is sent while the cable is out.
        require!(answers(GUEST, STEP)?, "no answer to ping with the cable back");
    }
    let (weir, guest) = (delays(&weir), delays(&guest));
    let nth = |delays: &[f64], first: usize| middle(delays.iter().skip(first).step_by(2).copied().collect());
    let down = (nth(&weir, 0), nth(&guest, 0));
    let up = (nth(&weir, 1) - NEGOTIATION, nth(&guest, 1) - NEGOTIATION);
    println!(
        "{} {}: cable pulled: in Weir's log after {:.1} ms, in the guest's after {:.1} ms; put back: {:.1} and {:.1} ms",
        boot.backend, boot.card, down.0, down.1, up.0, up.1
    );
    for (what, (weir, guest)) in [("pulled", down), ("put back", up)] {
        require!(weir <= WEIR_LIMIT, "cable {what}: Weir's log has it after {weir:.1} ms");
        require!(guest <= GUEST_LIMIT, "cable {what}: the guest's log has it after {guest:.1} ms");
    }
    Ok(())
}

/// The time that a line of Weir's log bears, or of a Linux guest's.
fn time_of(line: &str) -> Outcome<f64> {
    let time = match Line::parse(line) {
        Line::Weir { seconds, .. } => Some(seconds),
        Line::Guest { text, .. } => text
            .strip_prefix('[')
            .and_then(|text| text.split_once(']'))
            .and_then(|(seconds, _)| seconds.trim().parse().ok()),
        Line::Prompt(_) | Line::Other(_) => None,
    };
    time.ok_or_else(|| Failure::Wrong(format!("no time in: {line}")))
}
