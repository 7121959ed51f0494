//! What the loss of a link costs a guest that sends as fast as it can, for each model of NIC that Weir drives.
//!
//! The link is taken from outside, at no fixed instruction, so these figures differ from run to run.

use super::Figure;
use super::cost::folder;
use crate::failure::ErrorContext;
use crate::fields::LineFields;
use crate::lan::LanPlan;
use crate::machine::EmulatedNicModel;
use crate::traffic::PORT;
use crate::{Backend, Failure, Outcome, Run, Scenario, VmSpec};
use std::net::{Ipv4Addr, UdpSocket};

const MODELS: [EmulatedNicModel; 3] =
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000e, EmulatedNicModel::Igb];
const RUNS: usize = 5;
const COUNT: u32 = 10_000;
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 1);

/// One failover.
struct Loss {
    /// Microseconds of the machine's time from the interrupt to the survivor's first frame.
    took: u64,
    /// Datagrams that have reached no wire.
    missing: u64,
    /// Those of them that Weir knows of: dropped, or given up because the NIC may have sent them.
    given_up: u64,
    /// Frames that the NIC gave back, and the survivor sent.
    resent: u64,
}

/// A part's name, unit and value.
type LossPart = (&'static str, &'static str, fn(&Loss) -> u64);

/// Median and worst of each.
pub fn figures() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for model in MODELS {
        let losses = (0..RUNS).map(|run| fail_over(model, run)).collect::<Outcome<Vec<_>>>()?;
        let parts: [LossPart; 4] = [
            ("took", "us", |loss| loss.took),
            ("missing", "frames", |loss| loss.missing),
            ("given-up", "frames", |loss| loss.given_up),
            ("resent", "frames", |loss| loss.resent),
        ];
        for (part, unit, of) in parts {
            let mut values: Vec<u64> = losses.iter().map(of).collect();
            values.sort_unstable();
            for (which, value) in [("median", values[RUNS / 2]), ("worst", values[RUNS - 1])] {
                figures.push(Figure::new(format!("failover-{model}-{part}-{which}"), value as f64, unit));
            }
        }
    }
    Ok(figures)
}

/// A guest sends by the first NIC of a team, whose link is taken away.
fn fail_over(model: EmulatedNicModel, number: usize) -> Outcome<Loss> {
    // QEMU lays the virtual functions of one 82576 on those of the next.
    let survivor = if model == EmulatedNicModel::Igb { EmulatedNicModel::E1000e } else { model };
    let source = format!("ip=10.0.5.2 peer={PEER} count={COUNT} window=0");
    let source = VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", "52:54:00:00:01:02");
    let scenario = Scenario::new(vec![source])
        .on_lan(LanPlan::one_switch(2), &[model, survivor])
        .team("lan", &["nics = [\"nic0\", \"nic1\"]", "policy = \"order\""]);
    let mut run = Run::start_in(Backend::QemuSvm, folder(&format!("failover-{model}-{number}"))?, &scenario)?;
    run.allow("failover lan");
    run.allow("no link");
    // Nobody reads what arrives: the guest waits for no answer.
    let _socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    run.expect(&format!("source| sent {} of", COUNT / 10 * 3))?;
    run.plug(0, false)?;
    let line = run.expect_fields("failover lan: nic0 -> nic1")?;
    run.expect(&format!("source| sent {COUNT} of"))?;
    loss(&run, &line)
}

/// What the captures and the line say. Missing are the numbers between the last that left by the one NIC and the first that left
/// by the other.
fn loss(run: &Run, line: &LineFields) -> Outcome<Loss> {
    let cables = run.lan()?.of_nics().into_iter().map(|cable| cable.numbers());
    let mut cables = cables.map(|numbers| numbers.into_iter().filter(|number| *number < COUNT).collect());
    let (failed, survivor): (Vec<u32>, Vec<u32>) =
        (cables.next().unwrap_or_default(), cables.next().unwrap_or_default());
    // The survivor may have carried the first ones, too, before the other had a link.
    let last = failed.iter().max();
    let (Some(last), Some(first)) = (last, survivor.iter().filter(|number| Some(*number) > last).min())
    else {
        return Err(Failure::Wrong("one of the NICs has sent nothing".into()));
    };
    println!("{} missing={}", line.line(), i64::from(*first) - i64::from(*last) - 1);
    Ok(Loss {
        took: u64::try_from(line.time("took")?.as_micros()).unwrap_or(u64::MAX),
        missing: u64::from(first.saturating_sub(last + 1)),
        given_up: line.number("in-doubt")? + line.number("lost")?,
        resent: line.number("resent")?,
    })
}
