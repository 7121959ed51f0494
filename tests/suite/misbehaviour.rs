//! A guest that breaks the rules is reported, and the guest beside it does not notice: its ping never misses.

use crate::trial;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::{Outcome, Run, Scenario, Vm, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};

const BYSTANDER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
/// What the offender is told: its own address, and the wire's peer.
const OFFENDER: &str = "ip=10.0.5.3 peer=10.0.5.1";
/// Fewest pings that make "never misses" mean something.
const FEWEST_PINGS: u16 = 3;

/// What becomes of the offender.
#[derive(Clone, Copy)]
enum End {
    /// Its card was at fault: it works again after a reset, and the guest passes.
    Passes,
    /// Weir stops it, and says so in a line with this text.
    Stopped(&'static str),
}

pub fn trials() -> Vec<Trial> {
    [
        ("triple_fault", End::Stopped("triple fault")),
        ("tail_beyond_ring", End::Passes),
        ("descriptor_outside", End::Passes),
        ("odd_widths", End::Passes),
        ("port_storm", End::Passes),
        ("unmapped_memory", End::Passes),
    ]
    .into_iter()
    .map(|(guest, end)| match guest {
        "triple_fault" => trial("triple_fault_beside_another", move |name| beside(name, guest, end)),
        "tail_beyond_ring" => trial("tail_beyond_ring_beside_another", move |name| beside(name, guest, end)),
        "descriptor_outside" => {
            trial("descriptor_outside_beside_another", move |name| beside(name, guest, end))
        }
        "odd_widths" => trial("odd_widths_beside_another", move |name| beside(name, guest, end)),
        "port_storm" => trial("port_storm_beside_another", move |name| beside(name, guest, end)),
        _ => trial("unmapped_memory_beside_another", move |name| beside(name, guest, end)),
    })
    .collect()
}

fn beside(name: &str, guest: &str, end: End) -> Outcome {
    let vms = vec![
        Vm::micro("bystander", "nic_echo", &format!("ip={BYSTANDER}"))?.nic("52:54:00:00:01:02"),
        Vm::micro("offender", guest, OFFENDER)?.nic("52:54:00:00:01:03"),
    ];
    let mut run = Run::start(name, &Scenario::new(vms))?;
    // What Weir reports about the offender is wanted; about the bystander, or in general, it is not.
    run.allow("offender");
    run.expect("bystander| READY")?;
    require!(answers(BYSTANDER, STEP)?, "the bystander does not answer to begin with");
    let pinger = Pinger::start(BYSTANDER, STEP)?;
    match end {
        End::Passes => run.expect(&format!("offender| PASS {guest}"))?,
        End::Stopped(report) => run.expect(report)?,
    };
    std::thread::sleep(std::time::Duration::from_secs(2));
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent >= FEWEST_PINGS, "the bystander's ping missed: {tally:?}");
    require!(!run.console.text().contains("offender| FAIL"), "the offender failed");
    stop(BYSTANDER)?;
    run.expect("bystander| PASS nic_echo")?;
    run.finish()
}

/// Has a `nic_echo` guest print its counters and power off.
pub fn stop(guest: Ipv4Addr) -> Outcome {
    use end_to_end::failure::Context;
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.send_to(b"stop", (guest, 9)).context("sending a datagram")?;
    Ok(())
}
