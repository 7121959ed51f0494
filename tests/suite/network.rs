//! Frames between guests and the wire arrive once, complete and in order.

use crate::misbehaviour::stop;
use crate::trial;
use end_to_end::failure::ErrorContext;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::statistics::RunStatistics;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, choice, debug, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const FIRST_MAC: &str = "52:54:00:00:01:02";
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);
const SECOND_MAC: &str = "52:54:00:00:01:03";
/// The MAC address of the emulated machine's physical NIC: no frame may have it as source.
const NIC_MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
/// Datagrams of a transfer.
fn datagrams() -> u32 {
    choice::datagrams(10_000)
}

/// The maximum number of datagrams on their way: half of what the guest's receive ring holds.
const WINDOW: u32 = 64;
/// Timeout for the answer to a datagram; the host may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial(backend, "a_guest_answers_ping_and_datagrams_of_all_sizes", echo),
        trial(backend, "datagrams_from_a_guest_arrive_once_complete_in_order", guest_to_wire),
        trial(backend, "datagrams_to_a_guest_arrive_once_complete_in_order", wire_to_guest),
        trial(backend, "datagrams_between_guests_arrive_once_complete_in_order", guest_to_guest),
        trial(backend, "two_guests_answer_concurrently_with_their_own_addresses", two_guests),
    ]
}

fn peer_socket(port: u16) -> Outcome<UdpSocket> {
    let socket = UdpSocket::bind(("10.0.5.1", port)).context("binding a UDP socket")?;
    socket.set_read_timeout(Some(debug::timeout(ANSWER_TIMEOUT))).context("UDP timeout")?;
    Ok(socket)
}

fn echo(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_echo", &format!("ip={FIRST}"))?.nic(FIRST_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    run.expect(&format!("vm0| READY {FIRST} {FIRST_MAC}"))?;
    require!(answers(FIRST, STEP)?, "no answer to ping");
    for size in [0, 1, 56, 1000, 1472] {
        let tally = ping(FIRST, 4, size, STEP)?;
        require!(tally.missed.is_empty(), "ping with {size} bytes of data: {tally:?}");
    }
    let socket = peer_socket(0)?;
    let mut buffer = [0; 2048];
    for size in (0_usize..=1472).step_by(23) {
        let sent: Vec<u8> = (0..size).map(|index| (index ^ size).to_le_bytes()[0]).collect();
        socket.send_to(&sent, (FIRST, 7)).context("sending a datagram")?;
        let (length, _) =
            traffic::receive(&socket, &mut buffer).context(format!("waiting for {size} bytes back"))?;
        require!(buffer[..length] == sent, "{size} bytes were returned as {length} bytes, or changed");
    }
    stop(FIRST)?;
    run.expect("broken=0")?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()
}

fn guest_to_wire(test: &Test) -> Outcome {
    let command_line = format!("ip={FIRST} peer=10.0.5.1 count={} window={WINDOW}", datagrams());
    let vm = VmSpec::micro("vm0", "nic_blast", &command_line)?.nic(FIRST_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    let socket = peer_socket(PORT)?;
    run.expect("vm0| READY")?;
    let count = traffic::sink(&socket)?;
    require!(count == datagrams(), "the guest sent {count}");
    run.expect("vm0| PASS nic_blast")?;
    run.finish()?;
    // Two frames per datagram, and a timer: more interrupts than that come from a line that is not masked while
    // asserted.
    let taken = RunStatistics::new(run.console.text()).number("interrupts taken: ", "\n")?;
    require!(taken < 5 * u64::from(datagrams().max(2000)), "Weir took {taken} interrupts");
    Ok(())
}

fn wire_to_guest(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_sink", &format!("ip={FIRST}"))?.nic(FIRST_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    run.expect("vm0| READY")?;
    traffic::blast(&peer_socket(PORT)?, (FIRST, PORT).into(), datagrams(), WINDOW)?;
    run.expect("vm0| PASS nic_sink")?;
    run.finish()
}

fn guest_to_guest(test: &Test) -> Outcome {
    let command_line = format!("ip={FIRST} peer={SECOND} count={}", datagrams());
    let vms = vec![
        VmSpec::micro("source", "nic_blast", &command_line)?.nic(FIRST_MAC),
        VmSpec::micro("sink", "nic_sink", &format!("ip={SECOND}"))?.nic(SECOND_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms).free())?;
    run.expect("| PASS")?;
    run.expect("| PASS")?;
    run.finish()?;
    // The switch has learnt both addresses: frames to one of them must not be sent on the wire.
    let frames = run.from_weir();
    let leaked = frames.iter().filter(|frame| frame.first().is_some_and(|first| first & 1 == 0)).count();
    require!(leaked == 0, "{leaked} frames between the guests were sent on the wire");
    Ok(())
}

fn two_guests(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("left", "nic_echo", &format!("ip={FIRST}"))?.nic(FIRST_MAC),
        VmSpec::micro("right", "nic_echo", &format!("ip={SECOND}"))?.nic(SECOND_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    require!(answers(FIRST, STEP)? && answers(SECOND, STEP)?, "a guest does not answer");
    for _ in 0..5 {
        for guest in [FIRST, SECOND] {
            let tally = ping(guest, 2, 200, STEP)?;
            require!(tally.missed.is_empty(), "{guest}: {tally:?}");
        }
    }
    stop(FIRST)?;
    run.expect("left| PASS nic_echo")?;
    let tally = ping(SECOND, 3, 56, STEP)?;
    require!(tally.missed.is_empty(), "after the other guest powered off: {tally:?}");
    stop(SECOND)?;
    run.expect("right| PASS nic_echo")?;
    run.finish()?;
    let frames = run.from_weir();
    require!(!frames.is_empty(), "the capture is empty");
    require!(
        frames.iter().all(|frame| frame.get(6..12) != Some(&NIC_MAC)),
        "a frame has the physical NIC's address as source"
    );
    Ok(())
}
